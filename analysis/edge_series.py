"""Edge positions of a series of spectra, each on the axis that its own foil fixes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.edge import Code, half_height
from analysis.energy_scale import FOIL_ENERGIES, EnergyScale
from analysis.foil_drift import foil_drift
from analysis.series_files import SpectrumSeries
from analysis.spectra import Normalisation, normalise

Array = NDArray[np.float64]

__all__ = ["EdgeSeries", "edge_positions"]

# The half height of an oxide lies 6 to 15 eV above the foil's maximum derivative, its white line
# below 30 eV.
_SEARCH = (-8.0, 32.0)


@dataclass(frozen=True, slots=True, eq=False)
class EdgeSeries:
    """Edge positions of a series of spectra.

    Attributes
    ----------
    time : ndarray, shape (n,)
        POSIX seconds by ``clock``.
    energy, sigma : ndarray, shape (n,)
        Half height in eV on ``scale``, and its standard deviation from noise and foil but not below
        the roughness of the series (what neighbours in time scatter about a straight line); NaN
        where there is none.
    white_line : ndarray, shape (n,)
        Energy of the white line in eV.
    code : ndarray of uint8, shape (n,)
        Of ``edge.Code``.
    shift : ndarray, shape (n,)
        What was added to the energies of each spectrum for its own foil, in eV; 0 without foils,
        NaN where the foil could not be fitted, and then the edge is not reported (NOT_MEASURED).
    scale : EnergyScale or None
        The axis of the results, None when no foil was measured.
    normalisation : Normalisation or None
        Windows used, or those the file says it was normalised with.
    clock : str
        Time zone of the times, or that it is not known.
    element : str
        Whose edge it is.
    """

    time: Array
    energy: Array
    sigma: Array
    white_line: Array
    code: NDArray[np.uint8]
    shift: Array
    scale: EnergyScale | None
    normalisation: Normalisation | None
    clock: str
    element: str


def edge_positions(
    series: SpectrumSeries,
    *,
    element: str = "Ni",
    align: bool = True,
    to: EnergyScale | None = None,
    normalisation: Normalisation | None = None,
    search: tuple[float, float] | None = None,
) -> EdgeSeries:
    """Read the half height of every spectrum, each on the axis fixed by its own foil.

    Parameters
    ----------
    series : SpectrumSeries
        The spectra.
    element : str
        Element of edge and foil.
    align : bool
        Shift each spectrum by its foil against the mean foil of the series. Halves the scatter even
        of series whose foils were aligned one by one before.
    to : EnergyScale, optional
        Move all to this scale too; otherwise the mean axis of the series is kept, and ``scale``
        says where its foil is.
    normalisation : Normalisation, optional
        Windows to normalise with. Needed when the series is not normalised; replaces its own when it is.
    search : (low, high), optional
        Range of the crossing and of the white line in eV.

    Raises
    ------
    ValueError
        When windows are needed, the element's range is not known, or the spectra do not reach it.
    """
    if search is None:
        if element not in FOIL_ENERGIES:
            raise ValueError(f"no search range known for {element}: give search=(low, high) in eV")
        search = (FOIL_ENERGIES[element] + _SEARCH[0], FOIL_ENERGIES[element] + _SEARCH[1])
    near = (series.energy >= search[0] - 5) & (series.energy <= search[1] + 5)
    if near.sum() < 2:
        low, high = series.energy[0], series.energy[-1]
        held = ", ".join(name for name, edge in FOIL_ENERGIES.items() if low < edge < high) or "no element of the table"
        raise ValueError(
            f"element {element!r}: {near.sum()} energies around the search range {search[0]:g}..{search[1]:g} eV;"
            f" the spectra hold {low:g}..{high:g} eV, the edge of {held}"
        )
    mu, sigma_mu, windows = _normalised(series, normalisation)
    noise = _point_noise(series.energy, mu, search[0] - 15.0)[:, None] if sigma_mu is None else sigma_mu
    noise = np.broadcast_to(noise, mu.shape)
    shift, shift_sigma, scale = _foil_shifts(series, element, to, align=align)
    found = np.full((series.time.size, 3), np.nan)
    code = np.full(series.time.size, Code.NOT_MEASURED, np.uint8)
    for i in np.flatnonzero(np.isfinite(shift)):
        edge = half_height(series.energy[near], mu[i, near], None, sigma=noise[i, near], search=search)
        found[i], code[i] = (edge.energy + shift[i], edge.sigma, edge.white_line + shift[i]), edge.code
    energy, sigma, white_line = found.T
    sigma = np.maximum(np.hypot(sigma, shift_sigma), _roughness(energy))
    return EdgeSeries(
        time=series.time,
        energy=energy,
        sigma=np.where(code == Code.OK, sigma, np.nan),
        white_line=white_line,
        code=code,
        shift=shift,
        scale=scale,
        normalisation=windows,
        clock=series.clock,
        element=element,
    )


def _normalised(
    series: SpectrumSeries, normalisation: Normalisation | None
) -> tuple[Array, Array | None, Normalisation | None]:
    """Normalised spectra, their sigma where it is known, and the windows."""
    if normalisation is not None:
        done = normalise(series.energy, series.mu, normalisation)
        return done.mu, None if series.sigma is None else series.sigma / done.jump[:, None], done.normalisation
    if not series.normalised:
        raise ValueError("the series is not normalised: give normalisation=Normalisation(pre, post, e0=...)")
    return series.mu, series.sigma, series.normalisation


def _point_noise(energy: Array, mu: Array, below: float) -> Array:
    """Noise of one point of each spectrum, from second differences of the pre-edge."""
    pre = energy < below
    if pre.sum() < 8:
        return np.full(mu.shape[0], np.nan)
    second = np.diff(mu[:, pre], 2, axis=1)
    return np.asarray(1.4826 / np.sqrt(6.0) * np.median(np.abs(second), axis=1))


def _roughness(energy: Array) -> float:
    """Scatter of one edge about the line through its neighbours in time; 0 for short series."""
    known = energy[np.isfinite(energy)]
    if known.size < 10:
        return 0.0
    return float(1.4826 / np.sqrt(6.0) * np.median(np.abs(np.diff(known, 2))))


def _foil_shifts(
    series: SpectrumSeries, element: str, to: EnergyScale | None, *, align: bool
) -> tuple[Array, Array, EnergyScale | None]:
    """Shift per spectrum, its sigma, and the scale reached."""
    if series.foil is None or not align:
        if to is not None:
            raise ValueError(f"cannot move to {to.name!r}: the series has no foil, or align is off")
        nothing = np.zeros(series.time.size)
        return nothing, nothing, None
    drift = foil_drift(series.energy, series.foil, element=element, to=to, times=series.time)
    if to is not None:
        return drift.shift, drift.sigma, to
    mean = float(np.nanmean(drift.shift))
    assert drift.scale.foil_energy is not None
    own = EnergyScale(
        name=f"mean {element} foil of the series",
        element=element,
        foil_energy=drift.scale.foil_energy - mean,
        sigma=drift.offset_sigma,
    )
    return drift.shift - mean, drift.sigma, own
