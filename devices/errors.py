"""What can go wrong with the hardware: one root, and every error names the device, the value and the limit.

DeviceError
├── MotionError      a motor or axis did not arrive where it was sent
├── DetectorError    frames or counts are missing, or the detector or its file reports an error
├── FlyError         a flight gave fewer triggers than asked for
├── ShutterError     a shutter did not follow its command
├── FoilError        the foil did not follow its command
├── CellError        the cycler is silent, has tripped or did not follow its command
└── LimitError       a value was refused before anything moved (also ophyd's LimitError)
"""

from ophyd.utils import LimitError as OphydLimitError


class DeviceError(RuntimeError):
    """The hardware did not do what it was told."""


class MotionError(DeviceError):
    """A motor or axis did not arrive where it was sent."""


class DetectorError(DeviceError):
    """Frames or counts are missing, or the detector or its file writer reports an error."""


class FlyError(DeviceError):
    """A flight gave fewer triggers than asked for, or did not begin."""


class ShutterError(DeviceError):
    """A shutter did not follow its command."""


class FoilError(DeviceError):
    """The foil did not follow its command."""


class CellError(DeviceError):
    """The cycler is silent, has tripped or did not follow its command."""


class LimitError(DeviceError, OphydLimitError):
    """A value was refused before anything moved."""
