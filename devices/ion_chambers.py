"""Ion chambers counted together: before the sample, behind it, and behind the reference foil."""

from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, EpicsSignal, EpicsSignalRO
from ophyd import FormattedComponent as FCpt
from ophyd.status import DeviceStatus, StatusBase

from devices.errors import DetectorError, LimitError
from devices.setting import Setting
from devices.status import fail, fail_after, fail_on_disconnect, finish, put_if_connected

__all__ = ["Counter", "IonChamber", "IonChambers"]


class IonChamber(Device):
    """One chamber with its current amplifier and voltage-to-frequency converter.

    Values are asked for, not monitored: after a counting they must be those of that counting.
    """

    counts = Cpt(EpicsSignalRO, "Counts", kind="hinted")
    voltage = Cpt(EpicsSignalRO, "Voltage", kind="normal")  # V behind the amplifier
    overload = Cpt(EpicsSignalRO, "Overload", string=True, kind="normal")
    gain = Cpt(EpicsSignal, "Gain", string=True, kind="config")  # e.g. "1e8 V/A"
    offset = Cpt(EpicsSignal, "Offset", kind="config")  # V in the dark

    def set(self, value: str) -> StatusBase:
        """Set the gain, e.g. ``"1e8 V/A"``; done when the amplifier reads it back, within 5 s."""
        known = tuple(self.gain.enum_strs or ())
        if value not in known:
            raise LimitError(f"{self.name} gain {value!r} is not one of {', '.join(known)}")
        return self.gain.set(value, timeout=5.0)


class Counter(Device):
    """The counter that gates all chambers."""

    preset = Cpt(EpicsSignal, "Preset", kind="config")  # s
    count = Cpt(EpicsSignal, "Count", kind="omitted", auto_monitor=True)
    elapsed = Cpt(EpicsSignalRO, "Elapsed", kind="normal")  # s of the last counting


class IonChambers(Device):
    """Three ion chambers and their counter.

    Reads the counts of `incident`, `transmitted` and `reference` and the counting time. ``prepare`` sets the time,
    ``trigger`` counts; it fails with `DetectorError` when the counter does not end in time, when a chamber is in
    overload (clipped counts are no measurement), or when light was promised and the first chamber shows none.

    Parameters
    ----------
    counter, incident, transmitted, reference : str
        PV prefixes.
    """

    counter = FCpt(Counter, "{_prefixes[counter]}")
    incident = FCpt(IonChamber, "{_prefixes[incident]}")
    transmitted = FCpt(IonChamber, "{_prefixes[transmitted]}")
    reference = FCpt(IonChamber, "{_prefixes[reference]}")
    least_voltage = Cpt(Setting, value=0.005, units="V", kind="config")  # above the offset, where there is light

    margin = 5.0  # s beyond the counting time before a counting has failed

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        counter: str,
        incident: str,
        transmitted: str,
        reference: str,
        **kwargs: Any,
    ) -> None:
        self._prefixes = {
            "counter": counter, "incident": incident, "transmitted": transmitted, "reference": reference
        }  # fmt: skip
        self._light = False
        self._counting: DeviceStatus | None = None
        super().__init__(prefix, name=name, **kwargs)

    @property
    def chambers(self) -> tuple[IonChamber, IonChamber, IonChamber]:
        """The chambers in the order of the light."""
        return self.incident, self.transmitted, self.reference

    def prepare(self, value: dict[str, float]) -> StatusBase:
        """Set how long to count.

        Parameters
        ----------
        value : dict
            ``exposure``: seconds; ``light``: whether the beam is on the chambers (default: not known), so that a dead
            chamber is an error and not a low count.
        """
        self.check_value(value)
        self._light = bool(value.get("light", False))
        return self.counter.preset.set(float(value["exposure"]), timeout=5.0)

    def check_value(self, value: dict[str, float]) -> None:
        """Refuse a counting (see `prepare`) whose time the counter does not take."""
        seconds = float(value["exposure"])
        if not 0 < seconds <= 3600:
            raise LimitError(f"{self.name} exposure {seconds} s is outside 0..3600 s")

    def trigger(self) -> StatusBase:
        """Count once; success means that the counter ended and the counts are those of this counting."""
        seconds = float(self.counter.preset.get())
        if self.counter.count.get(use_monitor=False):
            raise DetectorError(f"{self.name}: the counter is busy with another counting")
        self.counter.elapsed.get()
        before = self.counter.elapsed.timestamp
        self._counting = status = DeviceStatus(self)
        fail_on_disconnect(status, self.counter.count)
        limit = seconds + self.margin

        def not_done() -> DetectorError:
            return DetectorError(f"{self.name}: the counter did not end within {limit:.1f} s; it is told to stop")

        def ended(**_: Any) -> None:
            if status.done:
                return
            reason = self._reason_not_counted(seconds, before)
            if reason is None:
                finish(status)
            else:
                fail(status, DetectorError(reason))

        fail_after(status, limit, not_done, then=self._stop_counter)
        self.counter.count.put(1, wait=False, use_complete=True, callback=ended)
        return status

    def pause(self) -> None:
        """End a counting without an error: the RunEngine calls this when a plan pauses, which then counts again."""
        counting, self._counting = self._counting, None
        if counting is not None and not counting.done:
            finish(counting)
            self._stop_counter()

    def _stop_counter(self) -> None:
        put_if_connected(self.counter.count, 0)

    def resume(self) -> None:
        """Nothing; the RunEngine pauses only what can also resume."""

    def _reason_not_counted(self, seconds: float, before: float) -> str | None:
        elapsed = float(self.counter.elapsed.get())
        if self.counter.elapsed.timestamp <= before:
            return f"{self.name}: the counter ended without counting"
        if abs(elapsed - seconds) > 0.01 * seconds + 1e-3:
            return f"{self.name}: counted for {elapsed:.4g} s instead of {seconds:.4g} s"
        for chamber in self.chambers:
            if chamber.overload.get() == "Overload":
                return f"{chamber.name}: amplifier in overload at gain {chamber.gain.get()}"
        signal = float(self.incident.voltage.get()) - float(self.incident.offset.get())
        if self._light and signal < float(self.least_voltage.get()):
            return (
                f"{self.incident.name}: {1e3 * signal:.3g} mV above its offset, less than"
                f" {1e3 * float(self.least_voltage.get()):.3g} mV: no light, or a dead chamber"
            )
        return None
