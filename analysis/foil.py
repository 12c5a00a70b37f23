"""Metal foils: their position on an energy axis, and the shift it asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.energy_scale import FOIL_SCALES, EnergyScale, EnergyShift, ScaleError
from analysis.foil_rise import SIGNIFICANT, first_inflection
from analysis.numbers import real_array

Array = NDArray[np.float64]

__all__ = ["FoilPosition", "foil_position", "foil_scale", "foil_shift"]


PRE_EDGE = (-60.0, -5.0)  # eV from the edge: where the line below the edge is fitted
POST_EDGE = (5.0, 20.0)  # eV from the edge: where the jump is measured


@dataclass(frozen=True, slots=True)
class FoilPosition:
    """Where a foil spectrum is steepest.

    Attributes
    ----------
    energy, sigma : float
        Energy of the steepest point and its uncertainty, eV.
    half_width : float
        Of the fit, eV.
    jump, jump_sigma : float
        Mean absorption 5 to 20 eV above it over the straight line through the points 5 to 60 eV below it, in the
        unit of the spectrum, and its uncertainty by the scatter about that line.
    """

    energy: float
    sigma: float
    half_width: float
    jump: float
    jump_sigma: float


def foil_position(
    energy: ArrayLike,
    mu: ArrayLike,
    *,
    near: float,
    search: float = 6.0,
    half_width: float = 1.0,
    least_jump: float = 0.0,
) -> FoilPosition:
    """Find the maximum derivative of a foil spectrum between the points of its grid.

    The first steep rise on the grid starts the search; a cubic fitted within ``half_width`` of it has its
    inflection there, and the window follows the inflection until it rests. A foil edge is not symmetric, so
    the answer depends on the window (0.1 eV from 1 to 1.5 eV for nickel): half of the change on a window
    1.5 times as wide is part of the uncertainty.

    Parameters
    ----------
    energy, mu : array_like, shape (E,)
        Energies in eV, strictly increasing, and absorption of the foil in any unit.
    near : float
        Where to look, in eV (``FOIL_ENERGIES["Ni"]``); metals have a second steep rise 5 to 12 eV above
        the first, which is not taken for the edge: a steep rise up to 15 eV below the search range is an error.
    search : float
        How far from ``near`` to look, in eV.
    half_width : float
        Half width of the fit in eV, widened where needed to hold five points.
    least_jump : float
        Smallest jump that is believed to be a foil, in the unit of ``mu``; 5 standard deviations in any case.

    Raises
    ------
    ScaleError
        When the foil is outside the range, too coarse, has no rising edge there, or no jump: noise has a steepest
        point, too, and the spectrum of a holder without a foil is noise. Also when it is no metal: the edge of an oxide
        lies elsewhere, and its pre-edge is no edge.
    """
    e, m = _checked(energy, mu)
    if not (half_width > 0 and search > 0 and least_jump >= 0):
        raise ValueError(
            f"half_width {half_width} eV and search {search} eV must be above 0, least_jump {least_jump} not below"
        )
    inside = np.flatnonzero(np.abs(e - near) <= search)
    if inside.size < 5:
        raise ScaleError(f"{inside.size} foil points within {search} eV of {near} eV, at least 5 are needed")
    width = max(half_width, 2.6 * float(np.median(np.diff(e[inside]))))
    try:
        found, sigma = first_inflection(e, m, inside, half_width, width)
    except ScaleError:
        _required_jump(e, m, near, least_jump)  # where there is no foil, that is the reason
        raise
    if abs(found - near) > search + width:
        raise ScaleError(f"no foil edge within {search} eV of {near} eV: the steepest point is at {found:.2f} eV")
    jump, jump_sigma = _required_jump(e, m, found, least_jump)
    return FoilPosition(found, sigma, width, jump, jump_sigma)


def foil_shift(
    energy: ArrayLike,
    foil: ArrayLike,
    *,
    element: str,
    to: EnergyScale | None = None,
    near: float | None = None,
    search: float = 6.0,
    least_jump: float = 0.0,
) -> EnergyShift:
    """Find what to add to an energy axis so that the foil measured on it lies where ``to`` has it.

    Parameters
    ----------
    energy, foil : array_like, shape (E,)
        Energies in eV and absorption of the foil measured on this axis.
    element : str
        Element of the foil.
    to : EnergyScale, optional
        The scale to reach; the project's foil scale of the element when not given.
    near : float, optional
        Where the foil is expected on the measured axis, when it is more than ``search`` eV from the table.
    least_jump : float
        As for `foil_position`: a spectrum without a foil gives an error, never a shift.

    Examples
    --------
    >>> e = np.arange(8300.0, 8400.0, 0.5)
    >>> found = foil_shift(e, np.arctan((e - 8331.3) / 1.5), element="Ni")
    >>> round(found.shift, 1)
    1.7
    """
    scale = foil_scale(element, to)
    target = scale.foil_energy
    assert target is not None
    expected = target if near is None else near
    found = foil_position(energy, real_array("foil", foil), near=expected, search=search, least_jump=least_jump)
    sigma = float(np.hypot(found.sigma, scale.sigma))
    return EnergyShift(target - found.energy, sigma, scale, f"maximum derivative of {element} foil")


def foil_scale(element: str, to: EnergyScale | None) -> EnergyScale:
    """Return `to` if it says where the foil of `element` lies, the project's scale if it is None."""
    if to is None:
        if element not in FOIL_SCALES:
            raise ScaleError(f"no foil energy for {element}: give to=EnergyScale(name, {element!r}, foil_energy)")
        return FOIL_SCALES[element]
    if to.foil_energy is None or to.element != element:
        raise ScaleError(f"{to.name!r} does not say where the {element} foil lies")
    return to


def _checked(energy: ArrayLike, mu: ArrayLike) -> tuple[Array, Array]:
    e, m = real_array("energy", energy, np.float64), real_array("mu", mu, np.float64)
    if e.ndim != 1 or e.shape != m.shape:
        raise ValueError(f"energy {e.shape} and mu {m.shape} must be one-dimensional and equally long")
    if not (np.isfinite(e).all() and np.isfinite(m).all()):
        raise ScaleError("foil spectrum has values that are not finite")
    if np.any(np.diff(e) <= 0):
        at = int(np.flatnonzero(np.diff(e) <= 0)[0])
        raise ScaleError(f"foil energies are not increasing at {e[at]:.3f}, {e[at + 1]:.3f} eV")
    return e, m


def _required_jump(e: Array, m: Array, edge: float, least_jump: float) -> tuple[float, float]:
    """Jump and its standard deviation; refuses one that may be noise, or is smaller than the foil's must be."""
    jump, sigma = _jump(e, m, edge)
    if not jump >= max(least_jump, SIGNIFICANT * sigma):
        raise ScaleError(
            f"no foil in the beam: the jump at {edge:.1f} eV is {jump:.3g} ± {sigma:.2g}, at least {least_jump:g}"
            f" and {SIGNIFICANT:g} of its standard deviations are needed"
        )
    return jump, sigma


def _jump(e: Array, m: Array, edge: float) -> tuple[float, float]:
    """Jump over the straight line below the edge, and its standard deviation."""
    below = (e >= edge + PRE_EDGE[0]) & (e <= edge + PRE_EDGE[1])
    above = (e >= edge + POST_EDGE[0]) & (e <= edge + POST_EDGE[1])
    if below.sum() < 4 or not above.any():
        raise ScaleError(
            f"{below.sum()} and {above.sum()} foil points {PRE_EDGE[0]:g}..{PRE_EDGE[1]:g} eV and"
            f" {POST_EDGE[0]:g}..{POST_EDGE[1]:g} eV from {edge:.1f} eV: at least 4 and 1 are needed to see a jump"
        )
    x = e[below] - e[below].mean()
    slope = float(x @ m[below]) / float(x @ x)
    scatter = m[below] - m[below].mean() - slope * x
    variance = float(scatter @ scatter) / (x.size - 2)
    ahead = float(e[above].mean() - e[below].mean())
    jump = float(m[above].mean() - m[below].mean() - slope * ahead)
    return jump, float(np.sqrt(variance * (1 / above.sum() + 1 / x.size + ahead**2 / float(x @ x))))
