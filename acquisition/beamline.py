"""Build the devices of a beamline file and connect them, naming all that fail at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

from ophyd import Device

from acquisition.config import BeamlineFile, SharedSettings, SpectroscopyFile
from acquisition.config import EnergySettings as MicroscopeEnergy
from acquisition.errors import ConnectionFailed
from devices.beam import FluxMonitor, Ring
from devices.detector import Detector
from devices.energy import Energy
from devices.fly import FlyScan
from devices.focused_energy import FocusedEnergy, FollowingEnergy
from devices.foil import Foil
from devices.ion_chambers import IonChambers
from devices.optics import CameraStage, Condenser, OrderSortingAperture
from devices.potentiostat import Potentiostat
from devices.sample_stage import SampleStage
from devices.shutter import PhotonShutter, Shutter

__all__ = ["Beamline", "Spectroscopy", "Station", "build", "build_spectroscopy", "build_station", "connect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """The named devices that every station has or may have; None where the file has none."""

    shutter: Shutter
    ring: Ring
    flux: FluxMonitor
    photon_shutter: PhotonShutter | None = None
    cell: Potentiostat | None = None

    def devices(self) -> Iterator[Device]:
        """Every device there is."""
        return (device for field in fields(self) if (device := getattr(self, field.name)) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beamline(Station):
    """The named devices of a transmission X-ray microscope."""

    energy: FocusedEnergy
    sample: SampleStage
    detector: Detector
    fly: FlyScan | None = None
    condenser: Condenser | None = None
    aperture: OrderSortingAperture | None = None
    camera_stage: CameraStage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectroscopy(Station):
    """The named devices of a bulk absorption station."""

    energy: Energy
    chambers: IonChambers
    foil: Foil


def build(file: BeamlineFile) -> Beamline:
    """Make every device of a microscope; none is asked to connect yet."""
    d = file.devices
    sample = SampleStage(d.sample.prefix, name="sample")
    detector = Detector(
        d.detector.prefix, name="detector", write_path=d.detector.write_path or str(file.storage.frames)
    )
    fly = None
    if d.fly is not None:
        fly = FlyScan(d.fly.prefix, name="fly", rotation=sample.rotation, detector=detector)
    return Beamline(
        energy=_energy(d.energy),
        sample=sample,
        detector=detector,
        fly=fly,
        condenser=Condenser(d.condenser.prefix, name="condenser") if d.condenser else None,
        aperture=OrderSortingAperture(d.aperture.prefix, name="aperture") if d.aperture else None,
        camera_stage=CameraStage(d.camera_stage.prefix, name="camera_stage") if d.camera_stage else None,
        **_shared(d),
    )


def build_spectroscopy(file: SpectroscopyFile) -> Spectroscopy:
    """Make every device of a bulk absorption station; none is asked to connect yet."""
    d = file.devices
    return Spectroscopy(
        energy=Energy(name="energy", **d.energy.model_dump()),
        chambers=IonChambers(name="chambers", **d.chambers.model_dump()),
        foil=Foil(d.foil.prefix, name="foil"),
        **_shared(d),
    )


def build_station(file: BeamlineFile | SpectroscopyFile) -> Beamline | Spectroscopy:
    """Make every device of a station of either kind."""
    return build(file) if isinstance(file, BeamlineFile) else build_spectroscopy(file)


def _energy(settings: MicroscopeEnergy) -> FocusedEnergy:
    options = settings.model_dump(exclude={"camera"})
    camera = settings.camera
    if camera is None:
        return FocusedEnergy(name="energy", **options)
    return FollowingEnergy(
        name="energy",
        camera=camera.prefix,
        magnification=camera.magnification,
        camera_reference=camera.reference,
        **options,
    )


def _shared(settings: SharedSettings) -> dict[str, Any]:
    cell = None
    if settings.cell is not None:
        cell = Potentiostat(settings.cell.prefix, name="cell")
        cell.stale_after.put(settings.cell.stale_after)
    photon = settings.photon_shutter
    return {
        "shutter": Shutter(settings.shutter.prefix, name="shutter"),
        "photon_shutter": PhotonShutter(photon.prefix, name="photon_shutter") if photon else None,
        "ring": Ring(settings.ring.prefix, name="ring"),
        "flux": FluxMonitor(settings.flux.prefix, name="flux"),
        "cell": cell,
    }


def connect(station: Station, *, timeout: float = 10.0) -> None:
    """Wait for all devices side by side; those that fail are asked once more, then named together.

    Raises
    ------
    ConnectionFailed
        With one error per device, each naming its unconnected process variables.
    """
    pending = list(station.devices())
    reasons: dict[str, Exception] = {}
    for _ in range(2):
        reasons = unconnected(pending, timeout=timeout)
        pending = [device for device in pending if device.name in reasons]
        if not pending:
            return
    for name, reason in reasons.items():
        reason.add_note(f"while connecting device {name!r}")
    names = ", ".join(reasons)
    raise ConnectionFailed(
        f"{len(reasons)} devices did not connect within {timeout} s: {names}", list(reasons.values())
    )


def unconnected(devices: list[Device], *, timeout: float) -> dict[str, Exception]:
    """Wait for the devices side by side; the reason for each that did not connect, by its name."""

    def one(device: Device) -> Exception | None:
        try:
            device.wait_for_connection(all_signals=True, timeout=timeout)
        except TimeoutError as reason:
            return reason
        return None

    with ThreadPoolExecutor(max_workers=max(1, len(devices))) as pool:
        outcomes = list(pool.map(one, devices))
    return {device.name: reason for device, reason in zip(devices, outcomes, strict=True) if reason is not None}
