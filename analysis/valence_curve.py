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

Array = NDArray[np.float64]

__all__ = ["Calibration", "CalibrationError", "ValenceEstimate"]

_TABLE_POINTS = 2001  # of the tabulated curve; linear interpolation between them is exact to 1e-6 of a valence unit
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

    valence: Array
    sigma: Array
    statistical: Array
    systematic: Array
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
        given = [np.array(x, dtype=np.float64) for x in (self.edge_energies, self.valences, self.sigmas)]
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
        for name, values in zip(("edge_energies", "valences", "sigmas"), (energies, valences, sigmas), strict=True):
            object.__setattr__(self, name, values)

    def valence(
        self,
        edge_energy: ArrayLike,
        edge_sigma: ArrayLike | None = None,
        *,
        code: ArrayLike | None = None,
        scale: EnergyScale | None = None,
        extrapolate: float = 0.0,
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

        Raises
        ------
        ScaleError
            When ``scale`` is not that of the calibration.
        """
        if scale is not None:
            require_same_scale({f"{self.element} calibration": self.scale, "edge positions": scale})
        energy = np.asarray(edge_energy, dtype=np.float64)
        noise = np.nan if edge_sigma is None else np.asarray(edge_sigma, dtype=np.float64)
        noise = np.broadcast_to(noise, energy.shape)
        grid, curve, slope, shared = _tabulated(self, extrapolate)
        codes = self._codes(energy, noise, code, extrapolate)
        inside = np.clip(energy, grid[0], grid[-1])
        steepness = np.interp(inside, grid, slope)
        systematic = np.interp(inside, grid, shared)
        value = np.interp(inside, grid, curve) + steepness * (energy - inside)
        statistical = steepness * noise
        total = systematic if edge_sigma is None else np.hypot(statistical, systematic)
        good = codes == Code.OK
        return ValenceEstimate(
            valence=np.where(good, value, np.nan),
            sigma=np.where(good, total, np.nan),
            statistical=np.where(good, statistical, np.nan),
            systematic=np.where(good, systematic, np.nan),
            code=codes,
        )

    def shifted(self, shift: float, scale: EnergyScale) -> Calibration:
        """Return this calibration with ``shift`` eV added, on another scale (of a foil measured on both)."""
        return replace(self, edge_energies=self.edge_energies + shift, scale=scale)

    def _codes(self, energy: Array, noise: Array, code: ArrayLike | None, extrapolate: float) -> NDArray[np.uint8]:
        codes = np.zeros(energy.shape, np.uint8)
        codes[...] = Code.OK if code is None else code
        codes[(codes == Code.OK) & ~np.isfinite(energy)] = Code.NOT_MEASURED
        ends = self.edge_energies[[0, -1]]
        spread = np.hypot(np.nan_to_num(noise), np.interp(energy, ends, self.sigmas[[0, -1]]))
        outside = np.maximum(ends[0] - energy, energy - ends[1]) - extrapolate
        codes[(codes == Code.OK) & (outside > _BEYOND * spread)] = Code.OUT_OF_RANGE
        return codes


def _tabulated(calibration: Calibration, beyond: float) -> tuple[Array, Array, Array, Array]:
    """Grid (eV), curve, slope (1/eV) and uncertainty of the curve from its references.

    The curve moves when a reference does: by the derivative of the curve to each reference's position.
    """
    energies, sigmas = calibration.edge_energies, calibration.sigmas
    grid = np.linspace(energies[0], energies[-1], _TABLE_POINTS)
    if beyond > 0:
        grid = np.concatenate(([energies[0] - beyond], grid, [energies[-1] + beyond]))
    curve, slope = _curve(energies, calibration.valences, grid)
    variance = np.zeros_like(grid)
    step = 1e-3 * float(np.diff(energies).min())
    for k in np.flatnonzero(sigmas > 0):
        nudge = step * (np.arange(energies.size) == k)
        up, down = (_curve(energies + d, calibration.valences, grid)[0] for d in (nudge, -nudge))
        change = (up - down) / (2 * step)
        variance += (change * sigmas[k]) ** 2
    return grid, curve, slope, np.sqrt(variance)


def _curve(energies: Array, valences: Array, at: Array) -> tuple[Array, Array]:
    """Monotone cubic and its slope, straight beyond the ends with the slope of the outermost chord."""
    chords = np.diff(valences) / np.diff(energies)
    curve = PchipInterpolator(energies, valences)
    inside = np.clip(at, energies[0], energies[-1])
    outer = np.where(at < energies[0], chords[0], chords[-1])
    beyond = at - inside
    slope = np.where(beyond != 0, outer, curve(inside, 1))
    return np.asarray(curve(inside) + outer * beyond), np.asarray(slope)
