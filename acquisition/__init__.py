"""The service: beamline, session, journal, archive, live maps and command line."""
