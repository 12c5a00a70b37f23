"""Linear combination of reference spectra, per voxel, with fractions, their uncertainty and the fit's chi-square."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.edge import LEAST_JUMP
from analysis.numbers import real_array, whole_number
from analysis.spectra import FloatArray, checked_energies

MOST_REFERENCES = 6
PART = 65536  # voxels fitted together: keeps the working set small


@dataclass(frozen=True, slots=True, eq=False)
class Combination:
    """Fractions of R references in N voxels; NaN where the spectrum is not finite or the jump is not certain.

    Attributes
    ----------
    fractions, sigma : float32 [R, N], adding up to 1 over the references, and their standard deviation; for
        non-negative fractions that of the fit without the bound, which is rather too large where the bound holds
    jump, jump_sigma : float32 [N], sum of the weights: the edge jump
    chi2 : float32 [N], residual over its degrees of freedom; 1 when the references explain the spectrum
    freedom : degrees of freedom
    """

    fractions: NDArray[np.float32]
    sigma: NDArray[np.float32]
    jump: NDArray[np.float32]
    jump_sigma: NDArray[np.float32]
    chi2: NDArray[np.float32]
    freedom: int


def linear_combination(
    energies: ArrayLike,
    spectra: ArrayLike,
    references: ArrayLike,
    *,
    sigma: ArrayLike,
    background_order: int = 1,
    non_negative: bool = False,
) -> Combination:
    """Fit each spectrum by references plus a polynomial background, weighted by the noise.

    Parameters
    ----------
    energies : [E], eV, strictly increasing
    spectra : [E, N], absorption, not normalised (or normalised, with ``background_order=-1``)
    references : [R, E], normalised to unit jump, on the same energies and the same energy scale
    sigma : noise, one number or [E]
    background_order : order of the polynomial added to the references; -1 adds none
    non_negative : allow no negative fraction (the best of all subsets of the references is taken, which is exact)

    Raises
    ------
    ValueError
        On mismatched shapes, references that are not independent on these energies, too few energies.
    """
    energy = checked_energies(energies)
    values = real_array("spectra", spectra, np.float32)
    refs = np.atleast_2d(real_array("references", references, np.float64))
    noise = real_array("sigma", sigma, np.float64)
    if values.ndim != 2 or values.shape[0] != energy.size:
        raise ValueError(f"spectra have shape {values.shape}; [{energy.size}, N] is needed")
    if refs.shape[1] != energy.size or not np.isfinite(refs).all():
        raise ValueError(f"references have shape {refs.shape}; finite [R, {energy.size}] is needed")
    if not 1 <= refs.shape[0] <= MOST_REFERENCES:
        raise ValueError(f"{refs.shape[0]} references are outside 1..{MOST_REFERENCES}")
    if noise.shape not in ((), energy.shape):
        raise ValueError(f"sigma has shape {noise.shape}; one number or [{energy.size}] is needed")
    if not ((noise > 0) & np.isfinite(noise)).all():
        raise ValueError(f"sigma {noise.min()}..{noise.max()} is not positive and finite")
    noise = np.broadcast_to(noise, energy.shape)
    background_order = whole_number("background_order", background_order, least=-1)
    x = (energy - energy.mean()) / max(float(np.ptp(energy)), 1.0)
    background = np.vander(x, background_order + 1, increasing=True).T
    subsets = _subsets(refs.shape[0]) if non_negative else [tuple(range(refs.shape[0]))]
    solvers = [_Solver.of(refs, background, noise, subset) for subset in subsets]
    freedom = energy.size - refs.shape[0] - background.shape[0]
    count = values.shape[1]
    out = np.full((2 * refs.shape[0] + 3, count), np.nan, np.float32)
    for low in range(0, count, PART):
        out[:, low : low + PART] = _best(values[:, low : low + PART], noise, solvers, refs.shape[0], freedom)
    r = refs.shape[0]
    return Combination(out[:r], out[r : 2 * r], out[2 * r], out[2 * r + 1], out[2 * r + 2], freedom)


@dataclass(frozen=True, slots=True, eq=False)
class _Solver:
    """Weighted least squares with some of the references; rows for references left out are zero."""

    coefficients: FloatArray
    covariance: FloatArray
    hat: FloatArray

    @classmethod
    def of(cls, references: FloatArray, background: FloatArray, noise: FloatArray, subset: tuple[int, ...]) -> _Solver:
        design = np.vstack([references[list(subset)], background]) / noise
        if design.shape[0] > noise.size or np.linalg.matrix_rank(design, tol=1e-7 * np.abs(design).max()) < len(design):
            raise ValueError(
                f"{noise.size} energies do not tell {len(subset)} references and a background of "
                f"{background.shape[0]} terms apart"
            )
        inverse = np.linalg.pinv(design.T)
        members = inverse[: len(subset)]
        coefficients = np.zeros((references.shape[0], noise.size))
        covariance = np.zeros((references.shape[0], references.shape[0]))
        coefficients[list(subset)] = members / noise
        covariance[np.ix_(subset, subset)] = members @ members.T
        return cls(coefficients, covariance, design.T @ inverse)


def _subsets(count: int) -> list[tuple[int, ...]]:
    return [s for size in range(count, 0, -1) for s in combinations(range(count), size)]


def _best(
    values: NDArray[np.float32], noise: FloatArray, solvers: list[_Solver], count: int, freedom: int
) -> FloatArray:
    """Return fractions, sigmas, jump, jump sigma and chi2 of the best allowed solver for each voxel.

    A fraction that the bound sets to zero is not certain: all sigmas are those of the first solver, which has all
    references.
    """
    C = solvers[0].covariance
    white = values / noise[:, None]
    out = np.full((2 * count + 3, values.shape[1]), np.nan)
    least = np.full(values.shape[1], np.inf)
    for solver in solvers:
        weights = solver.coefficients @ values
        chi2 = ((white - solver.hat @ white) ** 2).sum(axis=0)
        jump = weights.sum(axis=0)
        certain = LEAST_JUMP * np.sqrt(solver.covariance.sum())
        allowed = (jump > 0) & (jump >= certain) & np.isfinite(chi2) & (chi2 < least)
        if len(solvers) > 1:
            allowed &= (weights >= 0).all(axis=0)
        if not allowed.any():
            continue
        least[allowed] = chi2[allowed]
        w, j = weights[:, allowed], jump[allowed]
        fraction = w / j
        # d f_r = (d w_r - f_r sum d w) / jump
        variance = np.diag(C)[:, None] - 2 * fraction * C.sum(axis=1)[:, None] + fraction**2 * C.sum()
        out[:count, allowed] = fraction
        out[count : 2 * count, allowed] = np.sqrt(np.maximum(variance, 0.0)) / j
        out[2 * count, allowed] = j
        out[2 * count + 1, allowed] = np.sqrt(C.sum())
        out[2 * count + 2, allowed] = chi2[allowed] / freedom if freedom > 0 else np.nan
    return out
