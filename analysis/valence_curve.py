"""The curve from edge position to valence: monotone, with the uncertainty of its references carried along.

Half heights are not linear in valence (Mn 2 to 3: 5.0 eV, 3 to 4: 2 to 4 eV), so the curve is a
monotone cubic (PCHIP, Fritsch and Carlson, doi:10.1137/0717021) through the references. Only oxides
follow it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

from analysis.edge import Code
from analysis.energy_scale import EnergyScale, require_same_scale
from analysis.numbers import broadcast_real, real_array, sigma_array
from analysis.threads import available_threads, run_tasks
from analysis.valence_kernels import CurveTable, read_curve

Array = NDArray[np.float64]
Floats = NDArray[np.floating]

__all__ = ["Calibration", "CalibrationError", "ValenceEstimate"]

_TABLE_POINTS = 2001  # of the tabulated curve; linear interpolation between them is exact to 1e-6 of a valence unit
_WORTH_A_THREAD = 100_000  # positions
_BEYOND = 3.0  # standard deviations outside the references that still count as at the outermost one


class CalibrationError(ValueError):
    """References do not make a monotone curve; the message names those that contradict each other."""


@dataclass(frozen=True, slots=True, eq=False)
class ValenceEstimate:
    """Valence and its uncertainty.

    Attributes
    ----------
    valence : ndarray
        NaN where ``code`` is not OK.
    sigma : ndarray
        Total standard deviation: of the edge position and of the references.
    statistical : ndarray
        The part from the edge position; it averages out over voxels.
    systematic : ndarray
        The part from the references; it does not, being common to all voxels of one valence.
    code : ndarray of uint8
        Of ``edge.Code``: OUT_OF_RANGE where the edge is beyond the references by more than the
        noise explains.
    """

    valence: Floats
    sigma: Floats
    statistical: Floats
    systematic: Floats
    code: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """A monotone curve from edge position to valence.

    Attributes
    ----------
    edge_energies, valences, sigmas : ndarray, shape (k,)
        Points of the curve: edge position in eV; valence; uncertainty of the edge position in eV.
        Both rise.
    element : str
    edge_definition : str
        What "edge position" means, with the windows ("half height, pre ..., post ..."). Another
        definition, or other windows, need another calibration.
    scale : EnergyScale
        Axis the positions are on.
    source : str
        Where the references are from.
    """

    edge_energies: Array
    valences: Array
    sigmas: Array
    element: str
    edge_definition: str
    scale: EnergyScale
    source: str

    def __post_init__(self) -> None:
        names = ("edge_energies", "valences", "sigmas")
        given = [real_array(name, getattr(self, name), np.float64) for name in names]
        shapes = [x.shape for x in given]
        if given[0].ndim != 1 or len(set(shapes)) != 1:
            raise CalibrationError(f"edge energies, valences and sigmas have shapes {shapes}; one (k,) is needed")
        if given[0].size < 2:
            raise CalibrationError("a calibration needs at least two references of different valence")
        if not np.isfinite(given).all() or np.any(given[2] < 0):
            raise CalibrationError(f"a reference is not finite, or its sigma is negative: {given}")
        order = np.argsort(given[1], kind="stable")
        energies, valences, sigmas = (x[order] for x in given)
        for i in np.flatnonzero((np.diff(valences) <= 0) | (np.diff(energies) <= 0)):
            raise CalibrationError(
                f"valence {valences[i]:g} at {energies[i]:.2f} eV and {valences[i + 1]:g} at "
                f"{energies[i + 1]:.2f} eV do not rise together"
            )
        for name, values in zip(names, (energies, valences, sigmas), strict=True):
            object.__setattr__(self, name, values)

    def valence(
        self,
        edge_energy: ArrayLike,
        edge_sigma: ArrayLike | None = None,
        *,
        code: ArrayLike | None = None,
        scale: EnergyScale | None = None,
        extrapolate: float = 0.0,
        threads: int | None = None,
    ) -> ValenceEstimate:
        """Read valences off the curve.

        Parameters
        ----------
        edge_energy : array_like
            Edge positions in eV, by the definition of this calibration and on its scale.
        edge_sigma : array_like, optional
            Their standard deviations in eV; statistical uncertainties are NaN without.
        code : array_like, optional
            Codes of the edges (``edge.Code``); positions that are not OK stay so.
        scale : EnergyScale, optional
            The scale the positions are on; checked when given. Bare numbers cannot be checked:
            ``spectrum_valence`` takes a spectrum and insists.
        extrapolate : float
            How many eV beyond the outermost references the curve goes on straight. Positions beyond
            by less than three standard deviations are taken in any case, or averages near the ends
            would be biased.
        threads : int, optional
            All processors when not given.

        Returns
        -------
        ValenceEstimate
            In the shape of ``edge_energy``; float32 where that is.

        Raises
        ------
        ScaleError
            When ``scale`` is not that of the calibration.
        """
        if scale is not None:
            require_same_scale({f"{self.element} calibration": self.scale, "edge positions": scale})
        if not extrapolate >= 0:
            raise ValueError(f"extrapolate {extrapolate} eV is not 0 or more")
        given = real_array("edge_energy", edge_energy)
        kind: type[np.floating] = np.float32 if given.dtype == np.float32 else np.float64
        energy: Floats = np.ascontiguousarray(given, dtype=kind).reshape(-1)
        noise: Floats = np.zeros(0, kind)
        if edge_sigma is not None:
            noise = np.ascontiguousarray(sigma_array("edge_sigma", edge_sigma, given.shape, kind)).reshape(-1)
        codes = np.empty(given.shape, np.uint8)
        told = broadcast_real("code", Code.OK if code is None else code, given.shape)
        codes[...] = told
        if told.dtype != codes.dtype and (codes != told).any():
            raise ValueError(f"code {told[codes != told][0]} is not of edge.Code")
        flat = codes.reshape(-1)
        out = np.empty((4, energy.size), kind)
        table = _tabulated(self, extrapolate)
        workers = available_threads(threads)
        count = workers if energy.size > _WORTH_A_THREAD else 1
        bounds = np.linspace(0, energy.size, count + 1).astype(int)

        def run(i: int) -> None:
            part = slice(int(bounds[i]), int(bounds[i + 1]))
            read_curve(energy[part], noise[part], table, _BEYOND, out[:, part], flat[part])

        run_tasks(run, range(count), workers)
        valence, total, statistical, systematic = (row.reshape(given.shape) for row in out)
        return ValenceEstimate(valence, total, statistical, systematic, codes)

    def shifted(self, shift: float, scale: EnergyScale) -> Calibration:
        """Return this calibration with ``shift`` eV added, on another scale (of a foil measured on both)."""
        return replace(self, edge_energies=self.edge_energies + shift, scale=scale)


def _tabulated(calibration: Calibration, beyond: float) -> CurveTable:
    """The curve on even energies, up to ``beyond`` eV outside the references.

    Its uncertainty is what it moves when the references do: by its derivative to the position of each.
    """
    energies, sigmas = calibration.edge_energies, calibration.sigmas
    grid = np.linspace(energies[0] - beyond, energies[-1] + beyond, _TABLE_POINTS)
    curve, slope = _curve(energies, calibration.valences, grid)
    variance = np.zeros_like(grid)
    step = 1e-3 * float(np.diff(energies).min())
    for k in np.flatnonzero(sigmas > 0):
        nudge = step * (np.arange(energies.size) == k)
        up, down = (_curve(energies + d, calibration.valences, grid)[0] for d in (nudge, -nudge))
        variance += ((up - down) / (2 * step) * sigmas[k]) ** 2
    return CurveTable(
        start=float(grid[0]),
        per_ev=(_TABLE_POINTS - 1) / float(grid[-1] - grid[0]),
        value=curve,
        slope=slope,
        shared=np.sqrt(variance),
        low=float(grid[0]),
        high=float(grid[-1]),
        low_sigma=float(sigmas[0]),
        high_sigma=float(sigmas[-1]),
    )


def _curve(energies: Array, valences: Array, at: Array) -> tuple[Array, Array]:
    """Monotone cubic and its slope, straight beyond the ends with the slope of the outermost chord."""
    chords = np.diff(valences) / np.diff(energies)
    curve = PchipInterpolator(energies, valences)
    inside = np.clip(at, energies[0], energies[-1])
    outer = np.where(at < energies[0], chords[0], chords[-1])
    beyond = at - inside
    slope = np.where(beyond != 0, outer, curve(inside, 1))
    return np.asarray(curve(inside) + outer * beyond), np.asarray(slope)
