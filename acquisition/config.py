"""The beamline file: one TOML file names every device, its process variables and where data go."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from acquisition.errors import ConfigurationError

__all__ = [
    "BeamSettings",
    "BeamlineFile",
    "ScanSettings",
    "SpectroscopyFile",
    "StationFile",
    "StorageSettings",
    "TiledSettings",
    "load_file",
    "located",
    "packaged",
]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PrefixSettings(_Table):
    """A device that is known by its PV prefix."""

    prefix: str


class MonochromatorSettings(_Table):
    """The energy axis of a station without a lens: the monochromator."""

    monochromator: str = Field(description="PV prefix of the monochromator")
    gap_follows: bool = Field(True, description="whether the gap moves with the energy, for a fixed exit")
    tolerance: float = Field(0.2, gt=0, description="eV between read-back and target that count as arrived")
    settling_time: float = Field(5.0, gt=0, description="s for the read-back to agree after the motors arrived")


class CameraSettings(PrefixSettings):
    """A camera that follows the energy, so that the magnification stays; the prefix is that of its motor."""

    magnification: float = Field(gt=1, description="of the zone plate")
    reference: float = Field(0.0, description="mm at the reference energy of the zone plate")


class EnergySettings(MonochromatorSettings):
    """The energy axis of a microscope: the zone plate moves, too, and the camera where it follows."""

    zone_plate: str = Field(description="PV prefix of the zone plate")
    x_slope: float = Field(0.0, description="mm/eV the zone plate moves across the beam; 0: it does not")
    y_slope: float = Field(0.0, description="mm/eV")
    x_reference: float = Field(0.0, description="mm at the reference energy of the zone plate, where x follows")
    y_reference: float = Field(0.0, description="mm")
    camera: CameraSettings | None = Field(None, description="the camera, where it follows")


class DetectorSettings(PrefixSettings):
    """The imaging detector."""

    write_path: str | None = Field(
        None, description="folder the detector writes to, as the detector sees it; default: storage.frames"
    )


class ChamberSettings(_Table):
    """Three ion chambers in the order of the light, and the counter that gates them."""

    counter: str = Field(description="PV prefix")
    incident: str = Field(description="PV prefix")
    transmitted: str = Field(description="PV prefix")
    reference: str = Field(description="PV prefix")


class CellSettings(PrefixSettings):
    """The potentiostat."""

    stale_after: float = Field(10.0, gt=0, description="s of silence after which its values are refused")


class SharedSettings(_Table):
    """What every station has or may have."""

    shutter: PrefixSettings
    ring: PrefixSettings
    flux: PrefixSettings
    photon_shutter: PrefixSettings | None = None
    cell: CellSettings | None = None


class DeviceSettings(SharedSettings):
    """Every device of a microscope."""

    energy: EnergySettings
    sample: PrefixSettings
    detector: DetectorSettings
    fly: PrefixSettings | None = None
    condenser: PrefixSettings | None = None
    aperture: PrefixSettings | None = None
    camera_stage: PrefixSettings | None = None


class SpectroscopyDevices(SharedSettings):
    """Every device of a bulk absorption station."""

    energy: MonochromatorSettings
    chambers: ChamberSettings
    foil: PrefixSettings


class ChannelAccessSettings(_Table):
    """Where the IOCs are; empty: the environment of the beamline decides."""

    servers: list[str] = Field(default_factory=list, description="host:port, one per IOC")


class StorageSettings(_Table):
    """Folders; relative ones lie below the folder the service was started with."""

    frames: Path = Path("frames")
    journal: Path = Path("journal")
    results: Path = Path("results")
    tiled: Path = Path("tiled")
    logs: Path = Path("logs")

    def below(self, folder: Path) -> Self:
        """The same folders, absolute."""
        return self.model_copy(
            update={name: (folder / getattr(self, name)).absolute() for name in type(self).model_fields}
        )


class TiledSettings(_Table):
    """The Tiled server."""

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, lt=65536, description="0: a free one")
    catalog: str | None = Field(None, description="database URI; default: an SQLite file in storage.tiled")
    tables: str | None = Field(None, description="database URI of tables; default: a DuckDB file in storage.tiled")


class ScanSettings(_Table):
    """What plans on this beamline use unless told otherwise."""

    sample_in: float = Field(description="sample x (mm) in the beam")
    sample_out: float = Field(description="sample x (mm) out of the beam")
    flats: int = Field(10, ge=1)
    darks: int = Field(10, ge=1)


class BeamSettings(_Table):
    """When a scan waits for the storage ring."""

    least_current: float = Field(50.0, gt=0, description="mA below which a scan waits, its shutter closed")
    settle: float = Field(60.0, ge=0, description="s for the optics to settle after the beam is back")


class StationFile(_Table):
    """What the files of all stations have in common."""

    name: str
    channel_access: ChannelAccessSettings = ChannelAccessSettings()
    storage: StorageSettings = StorageSettings()
    tiled: TiledSettings = TiledSettings()
    beam: BeamSettings = BeamSettings()
    simulation: dict[str, Any] | None = Field(None, description="given to the simulated beamline, if there is one")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and validate a TOML file; every mistake is named with its key, all at once."""
        try:
            return cls.model_validate(_table(path))
        except ValidationError as reason:
            lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']} (given: {e['input']!r})" for e in reason.errors()]
            raise ConfigurationError(f"beamline file {path}:\n" + "\n".join(lines)) from reason


class BeamlineFile(StationFile):
    """A microscope."""

    kind: Literal["microscope"] = "microscope"
    devices: DeviceSettings
    scan: ScanSettings


class SpectroscopyFile(StationFile):
    """A bulk absorption station."""

    kind: Literal["spectroscopy"]
    devices: SpectroscopyDevices


def load_file(path: Path) -> BeamlineFile | SpectroscopyFile:
    """Read the file of any station, by its ``kind``."""
    kind = _table(path).get("kind", "microscope")
    if kind == "spectroscopy":
        return SpectroscopyFile.load(path)
    return BeamlineFile.load(path)


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise ConfigurationError(f"beamline file {path}: {reason}") from reason


def located(beamline: str | Path) -> Path:
    """Path of a beamline file, given itself or as the name of a packaged one."""
    return Path(beamline) if Path(beamline).suffix == ".toml" else packaged(str(beamline))


def packaged(name: str) -> Path:
    """Path of a beamline file that comes with Edgewise, e.g. ``txm_sim``."""
    folder = Path(__file__).parent / "beamlines"
    path = folder / f"{name}.toml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise ConfigurationError(f"there is no packaged beamline {name!r}; there are: {known}")
    return path
