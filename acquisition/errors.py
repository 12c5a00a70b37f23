"""What can go wrong in the service, under one root.

EdgewiseError
├── ConfigurationError   the beamline file is wrong; names the key
├── ConnectionFailed     devices that did not connect, all of them at once (an ExceptionGroup)
├── JournalError         a document could not be kept; the scan stops
├── ReadingInAlarm       a value in MAJOR or INVALID alarm was to be recorded; the scan stops
└── ServiceError         a process the service needs did not start or died
"""


class EdgewiseError(Exception):
    """Something in the service went wrong; the message says what to do."""


class ConfigurationError(EdgewiseError):
    """The beamline file is wrong."""


class JournalError(EdgewiseError, OSError):
    """A document could not be kept."""


class ReadingInAlarm(EdgewiseError, RuntimeError):
    """A value in MAJOR or INVALID alarm was to be recorded."""


class ServiceError(EdgewiseError, RuntimeError):
    """A process the service needs did not start or died."""


class ConnectionFailed(ExceptionGroup[Exception], EdgewiseError):
    """Devices that did not connect, all of them at once."""

    def derive(self, excs):  # type: ignore[no-untyped-def]
        return ConnectionFailed(self.message, excs)
