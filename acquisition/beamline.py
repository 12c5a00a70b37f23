"""Build the devices of a beamline file and connect them, naming all that fail at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

from ophyd import Device

from acquisition.config import BeamlineFile
from acquisition.errors import ConnectionFailed
from devices.beam import FluxMonitor, Ring
from devices.detector import Detector
from devices.energy import Energy
from devices.sample_stage import SampleStage
from devices.shutter import Shutter

__all__ = ["Beamline", "build", "connect"]


@dataclass(frozen=True, slots=True)
class Beamline:
    """The named devices of a transmission X-ray microscope."""

    energy: Energy
    sample: SampleStage
    detector: Detector
    shutter: Shutter
    ring: Ring
    flux: FluxMonitor

    def devices(self) -> Iterator[Device]:
        """Every device."""
        return (getattr(self, field.name) for field in fields(self))


def build(file: BeamlineFile) -> Beamline:
    """Make every device; none is asked to connect yet."""
    d = file.devices
    return Beamline(
        energy=Energy(
            name="energy",
            monochromator=d.energy.monochromator,
            zone_plate=d.energy.zone_plate,
            tolerance=d.energy.tolerance,
            settling_time=d.energy.settling_time,
        ),
        sample=SampleStage(d.sample.prefix, name="sample"),
        detector=Detector(
            d.detector.prefix, name="detector", write_path=d.detector.write_path or str(file.storage.frames)
        ),
        shutter=Shutter(d.shutter.prefix, name="shutter"),
        ring=Ring(d.ring.prefix, name="ring"),
        flux=FluxMonitor(d.flux.prefix, name="flux"),
    )


def connect(beamline: Beamline, *, timeout: float = 10.0) -> None:
    """Wait for all devices side by side; those that fail are asked once more, then named together.

    Raises
    ------
    ConnectionFailed
        With one error per device, each naming its unconnected process variables.
    """
    pending = list(beamline.devices())
    reasons: dict[str, Exception] = {}
    for _ in range(2):
        with ThreadPoolExecutor(max_workers=len(pending)) as pool:
            outcomes = pool.map(lambda device: _connect_one(device, timeout), pending)
            reasons = {device.name: r for device, r in zip(pending, outcomes, strict=True) if r is not None}
        pending = [device for device in pending if device.name in reasons]
        if not pending:
            return
    for name, reason in reasons.items():
        reason.add_note(f"while connecting device {name!r}")
    names = ", ".join(reasons)
    raise ConnectionFailed(
        f"{len(reasons)} devices did not connect within {timeout} s: {names}", list(reasons.values())
    )


def _connect_one(device: Device, timeout: float) -> Exception | None:
    try:
        device.wait_for_connection(all_signals=True, timeout=timeout)
    except TimeoutError as reason:
        return reason
    return None
