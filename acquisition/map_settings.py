"""The TOML file that says how a valence map is made."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from acquisition.errors import ConfigurationError
from analysis.energy_scale import EnergyScale
from analysis.live.mapping import MapSettings
from analysis.spectra import Normalisation
from analysis.spectrum_files import read_spectrum

__all__ = ["load_map_settings"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reference(_Table):
    """A reference spectrum and the valence it stands for."""

    path: Path
    valence: float


class Scale(_Table):
    """The energy scale that measurement and references share."""

    name: str
    foil_energy: float | None = Field(
        None, description="eV at which this scale has the foil's maximum derivative; none when no foil was measured"
    )


class Windows(_Table):
    """Normalisation windows in eV and the orders of the lines in them."""

    pre: tuple[float, float]
    post: tuple[float, float]
    e0: float
    pre_order: int = 1
    post_order: int = 1


class MapFile(_Table):
    """How a valence map is made."""

    element: str
    windows: Windows
    scale: Scale
    references: list[Reference] = Field(min_length=2)
    shell_thickness: float = Field(gt=0, description="µm")
    air_columns: int = Field(0, ge=0)
    smoothing: float = Field(0.0, ge=0, description="pixels")
    flux: str | None = None


def load_map_settings(path: Path) -> MapSettings:
    """Read and validate a map settings file and the reference spectra it names.

    Paths of references are relative to the file. Errors name the key, or the file and line of a reference.
    """
    try:
        table = MapFile.model_validate(tomllib.loads(path.read_text()))
    except (OSError, tomllib.TOMLDecodeError) as reason:
        raise ConfigurationError(f"map settings {path}: {reason}") from reason
    except ValidationError as reason:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']} (given: {e['input']!r})" for e in reason.errors()]
        raise ConfigurationError(f"map settings {path}:\n" + "\n".join(lines)) from reason
    scale = EnergyScale(table.scale.name, table.element, table.scale.foil_energy)
    references = tuple(
        (read_spectrum(path.parent / r.path, element=table.element, scale=scale), r.valence) for r in table.references
    )
    w = table.windows
    return MapSettings(
        element=table.element,
        normalisation=Normalisation(pre=w.pre, post=w.post, pre_order=w.pre_order, post_order=w.post_order, e0=w.e0),
        references=references,
        shell_thickness=table.shell_thickness,
        air_columns=table.air_columns,
        smoothing=table.smoothing,
        flux=table.flux,
    )
