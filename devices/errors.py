"""What can go wrong with the hardware: one root, and every error names the device, the value and the limit.

DeviceError
├── MotionError      a motor or axis did not arrive where it was sent
├── DetectorError    frames are missing, or the detector or its file reports an error
├── ShutterError     the shutter did not follow its command
└── LimitError       a value was refused before anything moved (also ophyd's LimitError)
"""

from ophyd.utils import LimitError as OphydLimitError


class DeviceError(RuntimeError):
    """The hardware did not do what it was told."""


class MotionError(DeviceError):
    """A motor or axis did not arrive where it was sent."""


class DetectorError(DeviceError):
    """Frames are missing, or the detector or its file writer reports an error."""


class ShutterError(DeviceError):
    """The shutter did not follow its command."""


class LimitError(DeviceError, OphydLimitError):
    """A value was refused before anything moved."""
