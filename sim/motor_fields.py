"""The fields of an EPICS motor record, with their kinds, units and start values."""

from dataclasses import dataclass
from typing import Any

from sim.records import Bank, Kind, Record

MSTA_DONE = 2
GO = 3


@dataclass(frozen=True, slots=True)
class MotorSettings:
    """How a motor is set up.

    Attributes
    ----------
    units : str
        EGU.
    velocity : float
        VELO, per second.
    acceleration : float
        ACCL, s to full velocity.
    limits : (low, high)
        Soft limits; (0, 0) for none.
    precision : int
        PREC.
    start : float
        Position at the start.
    deadband : float
        RDBD, the tolerance that the read-back is meant to reach.
    delay : float
        DLY, s to settle after a motion before DMOV is 1.
    description : str
        DESC.
    """

    units: str = "mm"
    velocity: float = 1.0
    acceleration: float = 0.1
    limits: tuple[float, float] = (-100.0, 100.0)
    precision: int = 4
    start: float = 0.0
    deadband: float = 1e-4
    delay: float = 0.0
    description: str = ""


class MotorFields:
    """The records of one motor; `sim.motor_record.Motor` says what puts to them do."""

    def __init__(self, bank: Bank, name: str, settings: MotorSettings) -> None:
        self._bank, self._name, self._settings = bank, name, settings
        self._add_positions()
        self._add_motion()
        self._add_status()
        self._add_commands()
        for field, text in (("DESC", settings.description or name), ("RTYP", "motor"), ("EGU", settings.units)):
            self._add(field, text)

    def _add(self, field: str, value: Any, kind: Kind | None = None, **metadata: Any) -> Record:
        return self._bank.add(f"{self._name}.{field}", value, kind, **metadata)

    def _add_positions(self) -> None:
        start, limits = self._settings.start, self._settings.limits
        shown: dict[str, Any] = {"units": self._settings.units, "precision": self._settings.precision}
        self.val = self._add("VAL", start, limits=limits, **shown)
        self._bank.alias(self._name, self.val)
        self.rbv = self._add("RBV", start, read_only=True, limits=limits, **shown)
        self.drbv = self._add("DRBV", start, read_only=True, **shown)
        self.dval = self._add("DVAL", start, **shown)
        self.offset = self._add("OFF", 0.0, **shown)
        self.direction = self._add("DIR", 0, enums=("Pos", "Neg"))
        self.freeze_offset = self._add("FOFF", 0, enums=("Variable", "Frozen"))
        self.set_mode = self._add("SET", 0, enums=("Use", "Set"))
        self.high_limit = self._add("HLM", limits[1], **shown)
        self.low_limit = self._add("LLM", limits[0], **shown)
        self.dial_high_limit = self._add("DHLM", limits[1], read_only=True, **shown)
        self.dial_low_limit = self._add("DLLM", limits[0], read_only=True, **shown)

    def _add_motion(self) -> None:
        s = self._settings
        rate: dict[str, Any] = {"units": f"{s.units}/s", "precision": s.precision}
        self.velocity = self._add("VELO", s.velocity, **rate)
        self._add("VBAS", 0.0, **rate)
        self._add("VMAX", 0.0, **rate)
        self.acceleration = self._add("ACCL", s.acceleration, units="s")
        self._add("PREC", s.precision, Kind.SHORT)
        self._add("MRES", s.deadband / 10 or 1e-5, units=s.units, precision=8)
        self._add("RDBD", s.deadband, units=s.units, precision=s.precision)
        self._add("BDST", 0.0, units=s.units)
        self.delay = self._add("DLY", s.delay, units="s")

    def _add_status(self) -> None:
        def flag(field: str, value: int = 0) -> Record:
            return self._add(field, value, Kind.SHORT, read_only=True)

        self.dmov, self.movn = flag("DMOV", 1), flag("MOVN")
        self.hls, self.lls, self.lvio = flag("HLS"), flag("LLS"), flag("LVIO")
        self.tdir, self.miss, self.severity = flag("TDIR"), flag("MISS"), flag("SEVR")
        self.stat = flag("STAT")
        self.msta = self._add("MSTA", MSTA_DONE, read_only=True)

    def _add_commands(self) -> None:
        self.spmg = self._add("SPMG", GO, enums=("Stop", "Pause", "Move", "Go"))
        self.stop = self._add("STOP", 0, Kind.SHORT)
        self.home_forward = self._add("HOMF", 0, Kind.SHORT)
        self.home_reverse = self._add("HOMR", 0, Kind.SHORT)
        self.jog_forward = self._add("JOGF", 0, Kind.SHORT)
        self.jog_reverse = self._add("JOGR", 0, Kind.SHORT)
        self.tweak = self._add("TWV", 0.1)
        self.tweak_forward = self._add("TWF", 0, Kind.SHORT)
        self.tweak_reverse = self._add("TWR", 0, Kind.SHORT)
        self.relative = self._add("RLV", 0.0)
