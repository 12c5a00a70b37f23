"""The beamline file: one TOML file names every device, its process variables and where data go."""

import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from acquisition.errors import ConfigurationError

__all__ = ["BeamlineFile", "ScanSettings", "StorageSettings", "TiledSettings", "packaged"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EnergySettings(_Table):
    """The energy axis: monochromator and zone plate."""

    monochromator: str = Field(description="PV prefix of the monochromator")
    zone_plate: str = Field(description="PV prefix of the zone plate")
    tolerance: float = Field(0.2, gt=0, description="eV between read-back and target that count as arrived")
    settling_time: float = Field(5.0, gt=0, description="s for the read-back to agree after the motors arrived")


class PrefixSettings(_Table):
    """A device that is known by its PV prefix."""

    prefix: str


class DetectorSettings(PrefixSettings):
    """The imaging detector."""

    write_path: str | None = Field(
        None, description="folder the detector writes to, as the detector sees it; default: storage.frames"
    )


class DeviceSettings(_Table):
    """Every device of the beamline."""

    energy: EnergySettings
    sample: PrefixSettings
    detector: DetectorSettings
    shutter: PrefixSettings
    ring: PrefixSettings
    flux: PrefixSettings


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


class BeamlineFile(_Table):
    """A whole beamline."""

    name: str
    devices: DeviceSettings
    scan: ScanSettings
    channel_access: ChannelAccessSettings = ChannelAccessSettings()
    storage: StorageSettings = StorageSettings()
    tiled: TiledSettings = TiledSettings()
    simulation: dict[str, Any] | None = Field(None, description="given to the simulated beamline, if there is one")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and validate a TOML file; every mistake is named with its key, all at once."""
        try:
            table = tomllib.loads(Path(path).read_text())
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
            raise ConfigurationError(f"beamline file {path}: {reason}") from reason
        try:
            return cls.model_validate(table)
        except ValidationError as reason:
            lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']} (given: {e['input']!r})" for e in reason.errors()]
            raise ConfigurationError(f"beamline file {path}:\n" + "\n".join(lines)) from reason


def packaged(name: str) -> Path:
    """Path of a beamline file that comes with Edgewise, e.g. ``txm_sim``."""
    folder = Path(__file__).parent / "beamlines"
    path = folder / f"{name}.toml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise ConfigurationError(f"there is no packaged beamline {name!r}; there are: {known}")
    return path
