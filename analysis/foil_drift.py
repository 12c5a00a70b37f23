"""Drift of the energy axis in a series, by the foil recorded with each spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from scipy.stats import trim_mean

from analysis.energy_scale import EnergyScale, ScaleError
from analysis.foil import foil_position, foil_scale
from analysis.numbers import real_array

Array = NDArray[np.float64]

__all__ = ["FoilDrift", "foil_drift"]


@dataclass(frozen=True, slots=True)
class FoilDrift:
    """Shifts of a series of foil spectra.

    Attributes
    ----------
    shift, sigma : ndarray, shape (n,)
        What to add to the energies of spectrum i (eV) to put its foil on ``scale``; its relative
        uncertainty. NaN where a foil spectrum could not be fitted.
    scale : EnergyScale
        The scale reached.
    offset_sigma : float
        Uncertainty in eV common to all shifts (of the foil position of the mean spectrum).
    rate, rate_sigma : float
        Linear drift of the measured axis in eV per hour and its uncertainty; NaN without times.
    scatter : float
        Standard deviation of the shifts about that line, in eV.
    """

    shift: Array
    sigma: Array
    scale: EnergyScale
    offset_sigma: float
    rate: float
    rate_sigma: float
    scatter: float


def foil_drift(
    energies: ArrayLike,
    foils: ArrayLike,
    *,
    element: str,
    to: EnergyScale | None = None,
    times: ArrayLike | None = None,
    half_width: float = 15.0,
    near: float | None = None,
) -> FoilDrift:
    """Follow the energy axis through a series by the foil recorded with each spectrum.

    Each foil spectrum is fitted by the mean one, shifted, scaled and on a straight line (least squares over
    all points of the edge, so the relative shifts are far better than one maximum derivative); the mean one
    fixes the common offset by its maximum derivative.

    Parameters
    ----------
    energies : array_like, shape (E,)
        Energies in eV, common to the series, strictly increasing.
    foils : array_like, shape (n, E)
        Absorption of the foil in each spectrum.
    element : str
        Element of the foil.
    to : EnergyScale, optional
        Scale to reach; the project's foil scale of the element when not given.
    times : array_like, shape (n,), optional
        Times in seconds, for the rate.
    half_width : float
        How far from the foil edge points are used, in eV.
    near : float, optional
        Where the foil lies on the measured axis, in eV, when that is more than 6 eV from where `to` has it.
    """
    scale = foil_scale(element, to)
    target = scale.foil_energy
    assert target is not None
    f = np.atleast_2d(real_array("foils", foils, np.float64))
    e = real_array("energies", energies, np.float64)
    if f.shape[1] != e.size:
        raise ValueError(f"foils have {f.shape[1]} points but energies {e.size}")
    if times is not None and np.shape(times) != (f.shape[0],):
        raise ValueError(f"times have shape {np.shape(times)}; {f.shape[0]} foil spectra need ({f.shape[0]},)")
    good = np.isfinite(f).all(axis=1)
    if not good.any():
        raise ScaleError(f"none of {f.shape[0]} foil spectra is finite")
    relative = np.zeros(f.shape[0])
    sigma = np.full(f.shape[0], np.nan)
    for _ in range(3):
        template = _common_shape(e, f[good], relative[good])
        anchor = foil_position(e, template, near=target if near is None else near)
        found = [_shift_against(e, foil, template, anchor.energy, half_width) for foil in f[good]]
        relative[good], sigma[good] = np.array(found).T
        good &= np.isfinite(relative)
        if not good.any():
            raise ScaleError(f"the {f.shape[0]} foil spectra do not resemble each other")
        relative[good] -= relative[good].mean()
    shift = np.where(good, target - anchor.energy + relative, np.nan)
    sigma[~good] = np.nan
    rate, rate_sigma, scatter = _trend(times, shift)
    return FoilDrift(shift, sigma, scale, float(np.hypot(anchor.sigma, scale.sigma)), rate, rate_sigma, scatter)


def _common_shape(e: Array, foils: Array, shifts: Array) -> Array:
    """Mean of the foils without the odd ones, each moved up by its shift (eV)."""
    moved = [f if d == 0 else CubicSpline(e, f)(e - d) for f, d in zip(foils, shifts, strict=True)]
    return np.asarray(trim_mean(moved, 0.3, axis=0))


def _shift_against(e: Array, foil: Array, template: Array, centre: float, half_width: float) -> tuple[float, float]:
    """What to add to the energies of a foil to lie on the template, and its uncertainty; NaN if it is none."""
    take = np.abs(e - centre) <= half_width
    x = (e[take] - centre) / half_width
    spline = CubicSpline(e, template)
    shift, sigma = 0.0, np.nan
    for _ in range(3):
        at = e[take] + shift
        design = np.stack([np.ones_like(x), x, spline(at), spline(at, 1)], axis=1)
        inverse = np.linalg.pinv(design)
        c = inverse @ foil[take]
        residual = foil[take] - design @ c
        noise = np.sqrt(float(residual @ residual) / max(x.size - 4, 1))
        if not c[2] > 5 * noise * np.linalg.norm(inverse[2]) or abs(shift + c[3] / c[2]) > half_width:
            return np.nan, np.nan
        shift += float(c[3] / c[2])
        sigma = float(noise * np.linalg.norm(inverse[3]) / c[2])
    return shift, sigma


def _trend(times: ArrayLike | None, shift: Array) -> tuple[float, float, float]:
    """Rate of the axis in eV/h (opposite to the shift), its uncertainty, scatter of the shifts in eV."""
    good = np.isfinite(shift)
    if times is None or good.sum() < 3:
        return np.nan, np.nan, float(np.std(shift[good]))
    hours = real_array("times", times, np.float64)[good] / 3600.0
    hours -= hours.mean()
    spread = float(hours @ hours)
    if spread == 0:
        return np.nan, np.nan, float(np.std(shift[good]))
    y = -(shift[good] - shift[good].mean())
    rate = float(hours @ y) / spread
    scatter = float(np.sqrt(np.sum((y - rate * hours) ** 2) / (good.sum() - 2)))
    return rate, scatter / float(np.sqrt(spread)), scatter
