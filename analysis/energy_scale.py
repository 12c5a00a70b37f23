"""Energy scales: which axis an energy was measured on, moving spectra between axes, refusing to mix them.

The half height of a nickel oxide moves by about 2.6 eV per valence unit while monochromators of different
beamlines disagree by 1 to 3 eV; so an edge position means something only together with the position of a
foil on the same axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.spectra import Spectrum

__all__ = [
    "FOIL_ENERGIES",
    "FOIL_SCALES",
    "EnergyScale",
    "EnergyShift",
    "ScaleError",
    "align",
    "require_same_scale",
]


class ScaleError(ValueError):
    """Two energy scales were about to be mixed, or a foil cannot fix one; the message says what to do."""


@dataclass(frozen=True, slots=True)
class EnergyScale:
    """An energy axis, identified by where a metal foil lies on it.

    Attributes
    ----------
    name : str
        Who calibrated it, in words ("SOLEIL ROCK, Ni foil in every scan").
    element : str or None
        Element of the foil.
    foil_energy : float or None
        Energy in eV of the maximum derivative of that foil **on this axis**; None when no foil was
        measured, and then the scale agrees with nothing but itself.
    sigma : float
        Uncertainty of ``foil_energy`` in eV.
    """

    name: str
    element: str | None = None
    foil_energy: float | None = None
    sigma: float = 0.0

    def __post_init__(self) -> None:
        if self.foil_energy is not None and not (math.isfinite(self.foil_energy) and self.foil_energy > 0):
            raise ScaleError(f"foil energy {self.foil_energy} eV of {self.name!r} is not a positive number")
        if not self.sigma >= 0:
            raise ScaleError(f"sigma {self.sigma} eV of {self.name!r} is not 0 or more")

    def agrees_with(self, other: EnergyScale, *, tolerance: float = 0.05) -> bool:
        """Whether energies on both may be compared: one axis, or one foil within ``tolerance`` eV."""
        if self == other:
            return True
        if self.foil_energy is None or other.foil_energy is None or self.element != other.element:
            return False
        return abs(self.foil_energy - other.foil_energy) <= tolerance


# First maximum of the derivative of the metal foils in eV: the convention of this project, the K energies of Bearden
# and Burr (1967), doi:10.1103/RevModPhys.39.125, rounded (theirs for Mn, Co and Ni: 6539.0, 7708.9 and 8332.8 eV).
_FOILS = (
    *(("Ti", 4966.0), ("V", 5465.0), ("Cr", 5989.0), ("Mn", 6539.0), ("Fe", 7112.0)),
    *(("Co", 7709.0), ("Ni", 8333.0), ("Cu", 8979.0), ("Zn", 9659.0)),
)
FOIL_ENERGIES: Mapping[str, float] = MappingProxyType(dict(_FOILS))
FOIL_SCALES: Mapping[str, EnergyScale] = MappingProxyType(
    {
        element: EnergyScale(name=f"{element} foil at {energy} eV", element=element, foil_energy=energy)
        for element, energy in FOIL_ENERGIES.items()
    }
)


@dataclass(frozen=True, slots=True)
class EnergyShift:
    """What to add to measured energies (eV) to reach ``scale``, with its uncertainty and how it was found."""

    shift: float
    sigma: float
    scale: EnergyScale
    method: str


def require_same_scale(scales: Mapping[str, EnergyScale | None], *, tolerance: float = 0.05) -> EnergyScale:
    """Return the common scale of named data, or say which two disagree and how to align them.

    Parameters
    ----------
    scales : mapping of str to EnergyScale or None
        What is to be combined, by name.
    tolerance : float
        Largest difference of foil energies in eV that counts as one scale.

    Raises
    ------
    ScaleError
        When a scale is missing or two differ.

    Examples
    --------
    >>> rock = EnergyScale("ROCK", "Ni", 8333.0)
    >>> require_same_scale({"sample": rock, "NiO": EnergyScale("FXI")})  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
    ...
    analysis.energy_scale.ScaleError: sample is on 'ROCK' (Ni foil at 8333.00 eV) but NiO is on 'FXI'
    (no foil): measure a foil on the axis of NiO and shift it with
    align(spectrum, foil_shift(energy, foil, element="Ni"))
    """
    if not scales:
        raise ValueError("no scale given: name at least one spectrum")
    for name, scale in scales.items():
        if scale is None:
            raise ScaleError(
                f"{name} has no energy scale: name the one it was measured on, EnergyScale(...), or measure "
                "a foil on its axis and shift it with align(spectrum, foil_shift(energy, foil, element=...))"
            )
    known = {name: scale for name, scale in scales.items() if scale is not None}
    for (first, a), (second, b) in pairwise(known.items()):
        if not a.agrees_with(b, tolerance=tolerance):
            raise ScaleError(_disagreement(first, a, second, b))
    return next(iter(known.values()))


def _disagreement(first: str, a: EnergyScale, second: str, b: EnergyScale) -> str:
    text = f"{first} is on {_described(a)} but {second} is on {_described(b)}: "
    if a.foil_energy is not None and b.foil_energy is not None and a.element == b.element:
        shift = a.foil_energy - b.foil_energy
        return text + f"add {shift:+.3f} eV to {second} with align(spectrum, to=scale)"
    lacking = second if b.foil_energy is None or a.foil_energy is not None else first
    element = a.element or b.element or "..."
    return text + (
        f"measure a foil on the axis of {lacking} and shift it with "
        f'align(spectrum, foil_shift(energy, foil, element="{element}"))'
    )


def _described(scale: EnergyScale) -> str:
    foil = "no foil" if scale.foil_energy is None else f"{scale.element} foil at {scale.foil_energy:.2f} eV"
    return f"{scale.name!r} ({foil})"


def align(spectrum: Spectrum, shift: EnergyShift | None = None, *, to: EnergyScale | None = None) -> Spectrum:
    """Return ``spectrum`` on another energy scale.

    Give either ``shift``, found from a foil on the same axis, or ``to``, when the foil of both scales is
    known.

    Raises
    ------
    ScaleError
        When a foil is not known, or is of another element than the spectrum.
    """
    if (shift is None) == (to is None):
        raise ValueError("give either shift or to, not both and not neither")
    found = shift.scale if shift is not None else to
    if found is not None and spectrum.element and found.element and spectrum.element != found.element:
        raise ScaleError(
            f"{spectrum.name} is of {spectrum.element} but the foil of {found.element}: what an axis is off by changes "
            "with energy (as E cot theta for an error of the angle); a foil of the same element is needed"
        )
    if shift is not None:
        return replace(spectrum, energy=spectrum.energy + shift.shift, scale=shift.scale)
    assert to is not None
    old = spectrum.scale
    if old is None or old.foil_energy is None or to.foil_energy is None or old.element != to.element:
        have = "no energy scale" if old is None else _described(old)
        raise ScaleError(
            f"{spectrum.name} cannot be moved from {have} to {_described(to)}: both need a foil of one "
            "element; find the shift with foil_shift(energy, foil, element=...)"
        )
    return replace(spectrum, energy=spectrum.energy + (to.foil_energy - old.foil_energy), scale=to)
