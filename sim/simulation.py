"""The settings of a simulated beamline, from a TOML table; every mistake is named with its value and limit."""

import dataclasses
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.effects import Amplitudes, Effects
from sim.morphology import OTHER_PROFILES, Morphology, Profile, check_profile
from sim.references import EDGES, Reference, measured, parametric
from sim.specimen import Specimen, from_file, particle


class SimulationError(ValueError):
    """A setting that cannot be used; the message says name, value and limit."""


@dataclass(frozen=True, slots=True)
class ReferenceFile:
    """A measured reference spectrum and the valence it stands for."""

    path: Path
    valence: float


@dataclass(frozen=True)
class Simulation:
    """A simulated beamline.

    Attributes
    ----------
    prefix : str
        Of all process variables.
    seed : int
        Of everything random.
    shape : (rows, columns)
        Of the camera.
    pixel_size : float
        At the sample, at the zone plate's reference energy, nm.
    element : str
        Whose edge is followed: Mn, Co or Ni.
    others : tuple of str
        Further elements whose edges show valences, with the parametric references.
    speed : float
        Motion and exposure are compressed by this factor.
    photon_rate : float
        Photons per second and pixel, unattenuated, at nominal ring current.
    photons_per_count : float
        Of the camera.
    readout : float
        Dead time of the camera per frame, s.
    magnification : float
        Of the zone plate at its reference energy with the camera's motor at 0. The pixel grows with energy unless
        that motor follows.
    focus_error : float
        True reference position of the zone plate minus the one shown, mm; what a focus scan finds.
    bragg_error : float
        True Bragg angle minus the one shown, deg; what a foil calibration finds.
    references : tuple of ReferenceFile
        Measured references of `element`; the built-in parametric ones when empty. Measured ones carry the bandwidth
        they were taken with, so `from_dict` leaves the effect of that name off unless it is given.
    profiles : mapping of str to profile
        Valence against depth of the other elements; built-in ones when not given.
    volumes : Path or None
        HDF5 file with the user's own volumes instead of a particle, see `sim.specimen.from_file`.
    motors : mapping of str to mapping
        Per motor ("sample:x", ...) its ``velocity``, ``acceleration`` (s), ``delay`` (s to settle), ``low`` and
        ``high`` limit, where they differ from the usual ones.
    follows_cell : bool
        Whether the metals' valences follow the state of charge of the cell: pristine at 0, as given at 1.
    specimen, effects, amplitudes
        See `sim.morphology.Morphology`, `sim.effects.Effects`, `sim.effects.Amplitudes`.
    """

    prefix: str = "SIM:"
    seed: int = 1
    shape: tuple[int, int] = (96, 96)
    pixel_size: float = 150.0
    element: str = "Ni"
    speed: float = 1.0
    photon_rate: float = 4e5
    photons_per_count: float = 8.0
    readout: float = 0.0
    magnification: float = 41.0
    focus_error: float = 0.0
    bragg_error: float = 0.0
    references: tuple[ReferenceFile, ...] = ()
    others: tuple[str, ...] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    volumes: Path | None = None
    motors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    follows_cell: bool = False
    specimen: Morphology = field(default_factory=Morphology)
    effects: Effects = field(default_factory=Effects)
    amplitudes: Amplitudes = field(default_factory=Amplitudes)

    def __post_init__(self) -> None:
        """Check every number against its limits."""
        for name in ("pixel_size", "speed", "photon_rate", "photons_per_count"):
            if not getattr(self, name) > 0:
                raise SimulationError(f"simulation {name} {getattr(self, name)} must be positive")
        if len(self.shape) != 2 or not all(8 <= n <= 4096 for n in self.shape):
            raise SimulationError(f"simulation shape {list(self.shape)} is not two numbers within 8..4096")
        if not self.magnification > 1:
            raise SimulationError(f"simulation magnification {self.magnification} must be above 1")
        for element in self.elements:
            if element not in EDGES:
                raise SimulationError(f"simulation element {element!r} is none of {tuple(EDGES)}")
        if len(set(self.elements)) < len(self.elements):
            raise SimulationError(f"simulation elements {self.elements} are not all different")
        if self.readout < 0 or self.seed < 0:
            raise SimulationError(f"simulation readout {self.readout} and seed {self.seed} must not be negative")

    def replace(self, **changes: Any) -> "Simulation":
        """Return a copy with some settings changed."""
        return dataclasses.replace(self, **changes)

    @property
    def elements(self) -> tuple[str, ...]:
        """All elements whose edges show valences, the followed one first."""
        return (self.element, *self.others)

    def make_specimen(self) -> Specimen:
        """Return the specimen: particles, or the user's volumes."""
        if self.volumes is not None:
            return from_file(self.volumes, self.elements)
        profiles = {element: self.profiles.get(element, OTHER_PROFILES[element]) for element in self.others}
        return particle(self.specimen, {self.element: self.specimen.valence} | profiles)

    def load_references(self) -> tuple[Reference, ...]:
        """Return the reference spectra, read from their files or built in."""
        if not self.references:
            return parametric(self.element)
        return tuple(measured(file.path, self.element, file.valence) for file in self.references)

    @classmethod
    def from_toml(cls, path: Path) -> "Simulation":
        """Read the table ``[simulation]`` of a TOML file, or the whole file when it has none.

        Raises
        ------
        SimulationError
            With the file's name, when it cannot be read or a setting cannot be used.
        """
        try:
            with path.open("rb") as file:
                content = tomllib.load(file)
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SimulationError(f"{path}: {error}") from error
        try:
            return cls.from_dict(content.get("simulation", content), folder=path.parent)
        except (ValueError, TypeError) as error:
            raise SimulationError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], *, folder: Path = Path()) -> "Simulation":
        """Return the simulation that a mapping describes.

        Parameters
        ----------
        settings : mapping
            Names as the attributes; ``specimen``, ``effects``, ``amplitudes`` are tables; ``references`` is
            "parametric" or a list of tables with ``path`` and ``valence``.
        folder : Path
            Relative paths of references start here.

        Examples
        --------
        >>> Simulation.from_dict({"shape": [64, 64], "effects": {"photon_noise": False}}).effects.photon_noise
        False
        """
        values = dict(_known(cls, settings, "simulation"))
        for name, kind in (("specimen", Morphology), ("effects", Effects), ("amplitudes", Amplitudes)):
            if name in values:
                values[name] = _table(kind, values[name], name)
        if "shape" in values:
            values["shape"] = tuple(values["shape"])
        if "others" in values:
            values["others"] = tuple(values["others"])
        if "volumes" in values:
            values["volumes"] = folder / values["volumes"]
        if "profiles" in values:
            values["profiles"] = {name: _profile(profile) for name, profile in values["profiles"].items()}
        if "references" in values:
            values["references"] = _references(values["references"], folder)
            if values["references"] and "bandwidth" not in settings.get("effects", {}):
                values["effects"] = dataclasses.replace(values.get("effects", Effects()), bandwidth=False)
        return cls(**values)


def _known(kind: Any, settings: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(settings, Mapping):
        raise SimulationError(f"{name} is {settings!r}, not a table")
    allowed = {f.name: f for f in dataclasses.fields(kind)}
    for key, value in settings.items():
        if key not in allowed:
            raise SimulationError(f"{name} has no setting {key!r}; there are {', '.join(sorted(allowed))}")
        _check_type(f"{name} {key}", value, allowed[key].type)
    return settings


def _check_type(name: str, value: Any, wanted: Any) -> None:
    if wanted is bool and not isinstance(value, bool):
        raise SimulationError(f"{name} {value!r} is not true or false")
    if wanted in (int, float) and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise SimulationError(f"{name} {value!r} is not a number")
    if wanted is int and not isinstance(value, int):
        raise SimulationError(f"{name} {value!r} is not a whole number")
    if wanted is str and not isinstance(value, str):
        raise SimulationError(f"{name} {value!r} is not a text")
    if typing.get_origin(wanted) is tuple and not isinstance(value, list | tuple | str):
        raise SimulationError(f"{name} {value!r} is not a list")


def _table(kind: Any, settings: Any, name: str) -> Any:
    if isinstance(settings, kind):
        return settings
    values = dict(_known(kind, settings, name))
    if "valence" in values:
        values["valence"] = _profile(values["valence"])
    if "particles" in values:
        values["particles"] = tuple(tuple(map(float, place)) for place in values["particles"])
    return kind(**values)


def _profile(pairs: Any) -> Profile:
    profile = tuple((float(depth), float(value)) for depth, value in pairs)
    check_profile(profile)
    return profile


def _references(setting: Any, folder: Path) -> tuple[ReferenceFile, ...]:
    if setting == "parametric":
        return ()
    if isinstance(setting, str):
        raise SimulationError(f"references {setting!r} is neither 'parametric' nor a list of path and valence")
    files = []
    for item in setting:
        if isinstance(item, ReferenceFile):
            files.append(item)
        elif isinstance(item, Mapping) and set(item) == {"path", "valence"}:
            files.append(ReferenceFile(folder / item["path"], float(item["valence"])))
        else:
            raise SimulationError(f"reference {item!r} does not have just path and valence")
    return tuple(files)
