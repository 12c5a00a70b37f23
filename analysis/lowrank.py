"""Noise-weighted low-rank bases of voxel spectra, learnt from the data themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.spectra import FloatArray, checked_energies

FEWEST_SPECTRA_PER_ENERGY = 8  # fewer spectra than this times the energies do not fix a basis
BLOCK = 128  # neighbouring voxels taken together into the sample: contiguous reads
LEAST_WEIGHT = 0.25  # components whose signal is a smaller part of signal + noise are left out
FREE_WEIGHT = 0.7  # of directions whose signal is a larger part the measurement alone decides
FEWEST_ENERGIES_FOR_NOISE = 16
NOISE_TURNS = 6
SETTLED = 0.04  # change of variance between turns
NEGLIGIBLE = 1e-3  # of the assumed variance
LEAST_NOISE_RATIO = 0.5
LEAST_LEFT = 0.1  # of an energy that the basis explains by more than 90 % the noise is not read but bounded
LARGEST_PRIOR = 1e12  # stands for "nothing assumed"


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Spectra that voxel spectra are made of, with the strength to be expected of each.

    Attributes
    ----------
    energies : float64 [E], eV
    vectors : float64 [E, k]; a voxel spectrum is ``vectors @ c`` plus noise
    prior : float64 [k], expected mean square of each coefficient; inf where nothing is assumed
    tail : float64 [E, t], signal left out because it is weaker than the noise, one column per component, rms
    doubt : float64 [E], noise of the basis spectra themselves, learnt from finitely many voxels
    sigma : float64 [E], the noise that the basis was learnt with, `noise_ratio` included
    eigenvalues : float64, of the whitened second moment of the sample, largest first; noise alone gives 1
    noise_ratio : float64 [E], measured noise over given noise (from what the basis leaves over); 1 if not measurable
    """

    energies: FloatArray
    vectors: FloatArray
    prior: FloatArray
    tail: FloatArray
    doubt: FloatArray
    sigma: FloatArray
    eigenvalues: FloatArray
    noise_ratio: FloatArray

    @property
    def noise_scale(self) -> float:
        """Measured noise over given noise, rms over the energies."""
        given = self.sigma / self.noise_ratio
        return float(np.sqrt((self.sigma**2).mean() / (given**2).mean()))

    @property
    def rank(self) -> int:
        """Number of basis spectra."""
        return int(self.vectors.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """How coefficients follow from a spectrum measured at some of the energies of a basis.

    ``c = gain @ (weights @ y)``; the error of ``c`` has the covariance ``noise + missing``: photon noise let
    through, and signal held back by the prior. The prior holds back only what is hardly measured: shrinking what is
    measured well would gain little and draw every edge towards the mean of all voxels.

    Attributes
    ----------
    weights : float64 [k, n]
    gain, noise, missing : float64 [k, k]
    whitener : float64 [k, k]; ``y.y/sigma^2 - |whitener @ weights @ y|^2`` is the residual sum of squares
    freedom : degrees of freedom of that residual
    """

    weights: FloatArray
    gain: FloatArray
    noise: FloatArray
    missing: FloatArray
    whitener: FloatArray
    freedom: int


def full_basis(energies: FloatArray, sigma: FloatArray) -> Basis:
    """Return the basis that changes nothing: each energy for itself, no prior."""
    return Basis(
        energies=energies,
        vectors=np.diag(sigma),
        prior=np.full(energies.size, np.inf),
        tail=np.empty((energies.size, 0)),
        doubt=np.zeros(energies.size),
        sigma=sigma,
        eigenvalues=np.empty(0),
        noise_ratio=np.ones(energies.size),
    )


def learn_basis(
    energies: FloatArray,
    spectra: NDArray[np.float32],
    sigma: FloatArray,
    *,
    rank: int | None = None,
    rescale: bool = True,
) -> Basis:
    """Learn a basis from a sample of voxel spectra (`sampled_voxels`); those not finite are left out.

    The eigenvectors of the whitened second moment are kept whose eigenvalue stands above the edge of the noise
    eigenvalues, ``(1 + sqrt(E / N))**2``, and whose signal is a quarter or more of signal and noise; each is weighted
    by its optimal shrinkage. With fewer than eight spectra per energy no basis can be told from noise and the full one
    is returned.

    Parameters
    ----------
    energies : [E], eV
    spectra : [E, N]
    sigma : [E], standard deviation of the noise of a typical voxel
    rank : keep exactly this many components instead
    rescale : correct `sigma`, energy by energy, by what the basis leaves over (`residual_noise`)

    References
    ----------
    Gavish and Donoho, Optimal shrinkage of singular values, doi:10.1109/TIT.2017.2653801.
    """
    energy = checked_energies(energies, least=1)
    if rank is not None and not 1 <= rank <= energy.size:
        raise ValueError(f"rank {rank} is outside 1..{energy.size}, the number of energies")
    values = spectra.astype(np.float64)
    products = values @ values.T
    if not np.isfinite(products).all():
        values = values[:, np.isfinite(values).all(axis=0)]
        products = values @ values.T
    count = values.shape[1]
    if count < FEWEST_SPECTRA_PER_ENERGY * energy.size or rank == energy.size:
        return full_basis(energy, sigma)
    second = products / np.outer(sigma, sigma) / count
    ratio = energy.size / count
    noise_ratio = residual_noise(second, ratio) if rescale else np.ones(energy.size)
    noise = sigma * noise_ratio
    eigenvalues, vectors, weight = _components(second, noise_ratio, ratio)
    kept = max(int((weight > LEAST_WEIGHT).sum()), 1) if rank is None else rank
    w = np.clip(weight, 0.0, 1 - 1e-12)
    strength = w / (1 - w)
    left = np.flatnonzero(strength[kept:] > 0) + kept
    return Basis(
        energies=energy,
        vectors=vectors[:, :kept] * noise[:, None],
        prior=np.maximum(strength[:kept], LEAST_WEIGHT),
        tail=vectors[:, left] * np.sqrt(strength[left]) * noise[:, None],
        doubt=noise * np.sqrt(kept / count),
        sigma=noise,
        eigenvalues=eigenvalues,
        noise_ratio=noise_ratio,
    )


def _components(second: FloatArray, noise: FloatArray, ratio: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Eigenvalues (largest first), eigenvectors and weights of a second moment whitened by `noise` [E]."""
    values, vectors = np.linalg.eigh(second / np.outer(noise, noise))
    values = np.maximum(values[::-1], 0.0)
    return values, vectors[:, ::-1], shrinkage(values, ratio)


def sampled_voxels(count: int, mask: NDArray[np.bool_] | None, most: int) -> NDArray[np.intp]:
    """Return about `most` of `count` voxels (of those in `mask`), in evenly spread blocks of neighbours."""
    voxels = np.arange(count) if mask is None else np.flatnonzero(mask)
    if voxels.size <= most:
        return voxels
    block = min(BLOCK, most)
    starts = np.linspace(0, voxels.size - block, most // block).astype(np.intp)
    return np.asarray(voxels[(starts[:, None] + np.arange(block)).ravel()])


def residual_noise(second: FloatArray, ratio: float) -> FloatArray:
    """Return the noise [E] relative to the assumed one, from a whitened second moment [E, E].

    It begins with what each energy scatters about its prediction from all others, ``1 / inverse(second)[e, e]``, and
    goes on, in turns, with what is left there when the components above that noise are taken out. `ratio` is energies /
    voxels. With fewer than 16 energies signal and noise of one energy cannot be told apart safely and 1 is returned.
    Given noise is never believed to be more than twice the true one.
    """
    size = len(second)
    if size < FEWEST_ENERGIES_FOR_NOISE:
        return np.ones(size)
    unit = np.eye(size)
    alone = np.diag(np.linalg.inv(second + NEGLIGIBLE * unit))
    noise = np.sqrt(1 / np.maximum(alone, NEGLIGIBLE) / (1 - ratio))  # rounding may spoil spectra without noise
    for _ in range(NOISE_TURNS):
        noise = np.maximum(noise, LEAST_NOISE_RATIO)
        white = second / np.outer(noise, noise)
        values, vectors = np.linalg.eigh(white)
        signal = vectors[:, values > (1 + np.sqrt(ratio)) ** 2][:, -(size // 2) :]
        rest = unit - signal @ signal.T
        left = np.einsum("ij,ji->i", rest @ white, rest) / np.maximum(np.diag(rest), LEAST_LEFT)
        noise = noise * np.sqrt(np.maximum(left, 0.0))
        if np.abs(left - 1).max() < SETTLED:
            break
    return np.maximum(noise, LEAST_NOISE_RATIO)


def shrinkage(eigenvalues: FloatArray, ratio: float) -> FloatArray:
    """Return the weight 0..1 of each component: its signal over its signal and noise.

    `eigenvalues` are those of a whitened second moment, `ratio` is energies / voxels of the sample.

    Examples
    --------
    >>> shrinkage(np.array([101.0, 2.0, 1.0]), 0.0).round(2)
    array([0.99, 0.5 , 0.  ])
    """
    above = eigenvalues > (1 + np.sqrt(ratio)) ** 2
    root = np.sqrt(np.maximum((eigenvalues - 1 - ratio) ** 2 - 4 * ratio, 0.0))
    return np.where(above, root / np.maximum(eigenvalues, 1e-30), 0.0)


def projection(basis: Basis, at: NDArray[np.intp], sigma: FloatArray) -> Projection:
    """Return how coefficients follow from measurements at the energies number `at` of a basis.

    Parameters
    ----------
    basis : the basis
    at : [n], indices into ``basis.energies``
    sigma : [n], noise at these energies
    """
    white = basis.vectors[at] / sigma[:, None]
    information = white.T @ white
    strength = np.sqrt(np.minimum(basis.prior, LARGEST_PRIOR))
    seen, directions = np.linalg.eigh(strength[:, None] * information * strength)
    seen = np.maximum(seen, 0.0)
    free = seen > FREE_WEIGHT / (1 - FREE_WEIGHT)
    directions = strength[:, None] * directions
    gain = (directions / np.where(free, np.maximum(seen, 1e-300), 1 + seen)) @ directions.T
    held_back = directions / np.where(free, np.inf, 1 + seen)
    values, vectors = np.linalg.eigh(information)
    real = values > 1e-9 * max(float(values.max(initial=0.0)), 1e-300)
    root = np.where(real, 1 / np.sqrt(np.where(real, values, 1.0)), 0.0)
    whitener = (vectors * root) @ vectors.T  # this root is diagonal where the information is
    return Projection(
        weights=(white / sigma[:, None]).T,
        gain=gain,
        noise=gain @ information @ gain,
        missing=held_back @ held_back.T,
        whitener=np.where(np.abs(whitener) > 1e-5 * np.abs(whitener).max(initial=0.0), whitener, 0.0),
        freedom=int(at.size - real.sum()),
    )
