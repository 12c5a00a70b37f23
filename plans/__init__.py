"""Bluesky plans across absorption edges: devices arrive as arguments."""
