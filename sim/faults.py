"""Faults on demand: ``SIM:sim:Fault`` takes "device=fault", and "device=" heals it.

====================  ==========================================================================
device                faults
====================  ==========================================================================
any motor             stuck (never moves, DMOV stays 0), stall (stops half way, no alarm),
(mono:bragg, zp:z,    limit (stops half way at a limit switch, MAJOR alarm), alarm (arrives with a
sample:x, ...)        MAJOR alarm), no_dmov (arrives, DMOV stays 0)
cam                   hang (never ends), error (ends in state Error), drop (every third frame does
                      not reach the file), lose (every third frame never leaves the camera),
                      disk_full (writing fails), bad_file (the file is truncated on closing)
shutter               stuck (the status stays)
ring                  dump (no beam until healed)
mono                  off_energy (the read-back stays 5 eV beside the target)
foil                  missing (a hole instead of the foil), stuck
ic                    dead (offsets only)
cell                  silent (posts nothing), over_voltage (trips), open (no current)
pv                    a text: every process variable whose name contains it is offline
alarm                 a text: every reading whose name contains it is in MAJOR alarm
invalid               a text: every reading whose name contains it is in INVALID alarm
====================  ==========================================================================
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from sim.records import Bank, PutRefusedError, Record, Severity

ALARMS = {"alarm": Severity.MAJOR, "invalid": Severity.INVALID}


class Faulty(Protocol):
    """A model that can misbehave."""

    fault: str | None


@runtime_checkable
class Refreshing(Protocol):
    """A model whose records show a fault at once."""

    async def refresh(self) -> None:
        """Post the present readings."""


class Faults:
    """The record ``Fault`` and the models it acts on.

    Parameters
    ----------
    bank : Bank
        Where the record goes.
    prefix : str
        For example ``SIM:sim:``.
    devices : mapping of str to (model, names of its faults)
    """

    def __init__(self, bank: Bank, prefix: str, devices: Mapping[str, tuple[Faulty, tuple[str, ...]]]) -> None:
        self._bank, self._devices, self._prefix = bank, devices, prefix
        self._texts: dict[str, str] = {}  # of pv, alarm, invalid
        self.record = bank.add(prefix + "Fault", "", on_put=self._put)
        self.active = bank.add(prefix + "FaultsActive", "none", read_only=True)

    async def _put(self, record: Record, value: str) -> None:
        device, _, fault = (part.strip() for part in value.partition("="))
        if not device and not fault:
            await self._heal_all()
        elif device == "pv" or device in ALARMS:
            await self._set_text(device, fault)
        else:
            await self._set(record.name, device, fault)
        await self.active.post(self._summary())

    async def _set(self, name: str, device: str, fault: str) -> None:
        if device not in self._devices:
            raise PutRefusedError(
                f"{name}: no device {device!r}; there are {', '.join(self._devices)}, pv, alarm, invalid"
            )
        model, known = self._devices[device]
        if fault and fault not in known:
            raise PutRefusedError(f"{name}: {device} has no fault {fault!r}; it has {', '.join(known)}")
        await self._change(model, fault or None)

    @staticmethod
    async def _change(model: Faulty, fault: str | None) -> None:
        model.fault = fault
        if isinstance(model, Refreshing):
            await model.refresh()

    async def _heal_all(self) -> None:
        for model, _ in self._devices.values():
            await self._change(model, None)
        for device in list(self._texts):
            await self._set_text(device, "")

    async def _set_text(self, device: str, text: str) -> None:
        self._texts.pop(device, None)
        if text:
            self._texts[device] = text
        for name, record in self._bank.items():
            if name.startswith(self._prefix):
                continue
            if device == "pv":
                await self._connect(record, not text or text not in name)
            elif record.read_only:
                await self._alarm(record, self._severity(name))

    @staticmethod
    async def _connect(record: Record, online: bool) -> None:
        """Show a record as connected or as disconnected."""
        if record.online is not online:
            record.online = online
            await record.set_metadata()

    def _severity(self, name: str) -> Severity:
        held = [ALARMS[device] for device, text in self._texts.items() if device in ALARMS and text in name]
        return max(held, default=Severity.NO_ALARM)

    @staticmethod
    async def _alarm(record: Record, severity: Severity) -> None:
        """Hold a record in an alarm, whatever its model posts, or let it go."""
        if record.least_severity is not severity:
            record.least_severity = severity
            await record.post(record.value, severity)

    def _summary(self) -> str:
        on = [f"{name}={model.fault}" for name, (model, _) in self._devices.items() if model.fault]
        on += [f"{device}={text}" for device, text in self._texts.items()]
        return " ".join(on)[:39] or "none"
