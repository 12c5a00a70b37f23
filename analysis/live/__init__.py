"""Thin consumers of the document stream: they follow a run and hand arrays to the functions of `analysis`."""
