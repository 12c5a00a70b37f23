"""A quantity by depth below the surface: means over shells, with uncertainties that hold for correlated noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis import shell_kernels as kernels
from analysis.morphology import MorphologyError
from analysis.noise_correlation import NoiseCorrelation, shell_factors
from analysis.numbers import real_array, whole_number
from analysis.shell_bins import checked_edges, shell_table
from analysis.threads import available_threads, run_tasks

Array = NDArray[np.float64]

__all__ = [
    "ShellProfile",
    "particle_profiles",
    "shell_edges",
    "shell_profile",
]

Weights = Literal["equal", "inverse variance"]


@dataclass(frozen=True, slots=True, eq=False)
class ShellProfile:
    """A quantity by depth.

    Attributes
    ----------
    edges : ndarray, shape (s + 1,)
        Borders of the shells in µm below the surface.
    depth : ndarray, shape (s,)
        Mean depth of the voxels of each shell, µm.
    mean, sigma : ndarray, shape (s,)
        Weighted mean and the standard deviation of this mean from noise, neighbours' correlation
        included. NaN in empty shells.
    std : ndarray, shape (s,)
        Scatter of the voxels: noise and real differences together.
    expected : ndarray, shape (s,)
        The scatter that noise alone makes; NaN without sigmas. What ``std`` has beyond it is real.
    count : ndarray of int, shape (s,)
        Voxels used.
    covariance : ndarray, shape (s, s)
        Of the means, from noise; its diagonal is ``sigma``².
    independent : ndarray, shape (s,)
        Number of independent voxels that the mean is as good as.
    systematic : ndarray, shape (s,)
        Uncertainty common to the voxels of a shell (of a calibration), 0 when none was given.
    """

    edges: Array
    depth: Array
    mean: Array
    sigma: Array
    std: Array
    expected: Array
    count: NDArray[np.int64]
    covariance: Array
    independent: Array
    systematic: Array

    @property
    def total(self) -> Array:
        """Standard deviation of the mean, noise and systematic together."""
        return np.hypot(self.sigma, self.systematic)


def shell_edges(depth: ArrayLike, count: int, *, equal: Literal["thickness", "volume"] = "thickness") -> Array:
    """Borders of ``count`` shells from the surface to the deepest voxel, of equal thickness or
    equal volume.

    Examples
    --------
    >>> shell_edges([0.0, 0.5, 1.5, 4.0], 2)
    array([0., 2., 4.])
    """
    if equal not in ("thickness", "volume"):
        raise MorphologyError(f"equal {equal!r} is neither 'thickness' nor 'volume'")
    count = whole_number("count", count)
    d = real_array("depth", depth)
    inside = d[d > 0]
    if not inside.size:
        raise MorphologyError("no voxel lies below a surface")
    deepest = float(inside.max())
    if not np.isfinite(deepest):
        raise MorphologyError("depth is infinite: the particle has no surface in the volume")
    if equal == "thickness":
        return np.linspace(0.0, deepest, count + 1)
    edges = np.asarray(np.quantile(inside, np.linspace(0.0, 1.0, count + 1)), dtype=np.float64)
    edges[0] = 0.0
    if np.any(np.diff(edges) <= 0):
        raise MorphologyError(f"{count} shells of equal volume are thinner than a voxel: {edges}")
    return edges


def shell_profile(
    values: ArrayLike,
    sigma: ArrayLike | None,
    depth: ArrayLike,
    edges: ArrayLike,
    *,
    weights: Weights = "equal",
    correlation: NoiseCorrelation | ArrayLike = 1.0,
    systematic: ArrayLike | None = None,
    threads: int | None = None,
) -> ShellProfile:
    """Average a quantity in shells of depth.

    Parameters
    ----------
    values : array_like
        Any quantity per voxel, a volume (z, y, x) or a vector; NaN is left out.
    sigma : array_like or None
        Standard deviations of the same shape, or one for all; voxels whose own is not a positive number are
        left out. Without, the uncertainty follows from the scatter.
    depth : array_like
        µm below the surface, of the same shape (``morphology.depth``); voxels at 0 are outside.
    edges : array_like, shape (s + 1,)
        Borders of the shells in µm, increasing.
    weights : {"equal", "inverse variance"}
        Weigh by sigma only where it does not follow from the value itself. That of an edge does (a
        noisy voxel whose edge comes out steep claims a small sigma), and biases the mean by ten
        times its standard error at jump/noise 5.
    correlation : NoiseCorrelation, float or array_like, shape (s, s)
        Of neighbours' noise. Measured, it is applied to the shape of each shell, for which depth
        must be a volume; or what ``shell_factors`` made of it before; a number is the variance of a
        mean relative to independent voxels.
    systematic : array_like, optional
        Uncertainty of each voxel, or one for all, that does not average out; its mean is reported.
    threads : int, optional
        All processors when not given.

    Raises
    ------
    MorphologyError
        When shapes or edges do not fit.
    """
    one = np.zeros(0, np.uint32)
    found = _sums(values, sigma, depth, edges, one, 1, weights, threads)
    factor = _factors(correlation, depth, found.borders)
    common = _systematic(systematic, values, sigma, depth, found.borders, weights, threads)
    return _profile(found, 0, sigma is not None, factor, common)


def particle_profiles(
    values: ArrayLike,
    sigma: ArrayLike | None,
    depth: ArrayLike,
    edges: ArrayLike,
    labels: ArrayLike,
    *,
    weights: Weights = "equal",
    correlation: NoiseCorrelation | ArrayLike = 1.0,
    threads: int | None = None,
) -> tuple[ShellProfile, ...]:
    """Average as ``shell_profile`` does, for each particle (label 1, 2, ...) of ``labels`` by itself."""
    which = np.ascontiguousarray(real_array("labels", labels))
    if which.shape != np.shape(values):
        raise MorphologyError(f"labels {which.shape} and values {np.shape(values)} must have one shape")
    if which.dtype.kind not in "biu":
        raise MorphologyError(f"labels have type {which.dtype}; whole numbers are needed")
    count = int(which.max(initial=0))
    if count < 1 or int(which.min()) < 0:
        raise MorphologyError(f"labels {which.min(initial=0)}..{count} are not 0 outside and 1, 2, ... in particles")
    which = which.ravel()
    found = _sums(values, sigma, depth, edges, which, count, weights, threads)
    factor = _factors(correlation, depth, found.borders)
    none = np.zeros(found.borders.size - 1)
    return tuple(_profile(found, k, sigma is not None, factor, none) for k in range(count))


def _factors(correlation: NoiseCorrelation | ArrayLike, depth: ArrayLike, borders: Array) -> Array:
    """Covariance of the means of shells in units of independent voxels, [s, s]."""
    shells = borders.size - 1
    if isinstance(correlation, NoiseCorrelation):
        return shell_factors(correlation, depth, borders)
    factor = real_array("correlation", correlation, np.float64)
    if factor.ndim == 0:
        factor = factor * np.eye(shells)
    if factor.shape != (shells, shells):
        raise MorphologyError(f"correlation {factor.shape} is for other shells than these {shells}")
    if not np.all(np.diag(factor)[np.isfinite(np.diag(factor))] > 0):
        raise ValueError(f"correlation {np.nanmin(np.diag(factor))} is not above 0")
    return factor


class _Sums(NamedTuple):
    """Sums [particles, shells, columns] of ``shell_kernels``, what was subtracted from the values, borders."""

    sums: Array
    weights: Array
    offset: float
    borders: Array


def _sums(
    values: ArrayLike,
    sigma: ArrayLike | None,
    depth: ArrayLike,
    edges: ArrayLike,
    labels: NDArray[np.integer],
    particles: int,
    weights: str,
    threads: int | None,
) -> _Sums:
    borders = checked_edges(edges)
    v, d = (real_array(name, x, _precision(x)) for name, x in (("values", values), ("depth", depth)))
    if v.shape != d.shape:
        raise MorphologyError(f"values {v.shape} and depth {d.shape} must have one shape")
    if weights not in ("inverse variance", "equal"):
        raise ValueError(f"weights {weights!r} are neither 'inverse variance' nor 'equal'")
    noise = np.zeros(0, np.float32)
    if sigma is not None and np.ndim(sigma) == 0 and not 0 < float(np.asarray(sigma)) < np.inf:
        raise MorphologyError(f"sigma {sigma} is not a positive number")
    if sigma is not None and np.ndim(sigma):
        noise = np.ascontiguousarray(real_array("sigma", sigma, np.float32))
        if noise.shape != v.shape:
            raise MorphologyError(f"sigma {noise.shape} and values {v.shape} must have one shape")
        noise = noise.ravel()
    v, d = np.ascontiguousarray(v).ravel(), np.ascontiguousarray(d).ravel()
    some = slice(None, None, max(v.size // 4096, 1))
    finite = v[some][np.isfinite(v[some]) & (d[some] > 0)]
    offset = float(np.median(finite)) if finite.size else 0.0
    table = shell_table(borders, d.dtype)
    workers = available_threads(threads)
    # More parts than workers, as the first and last slices hold little of a particle.
    count = 8 * workers if workers > 1 else 1
    bounds = np.linspace(0, v.size, count + 1).astype(int)
    shells = borders.size - 1
    parts = np.zeros((count, particles * shells, 4))
    extra = np.zeros((count, particles * shells, 2))
    plain = noise.size == 0 and labels.size == 0

    def run(i: int) -> None:
        part = slice(int(bounds[i]), int(bounds[i + 1]))
        how = (table, v.dtype.type(offset))
        if plain:
            kernels.plain_sums(d[part], v[part], *how, parts[i])
        else:
            own = (d[part], v[part], noise[part], labels[part])
            kernels.weighted_sums(*own, *how, weights == "inverse variance", parts[i], extra[i])

    run_tasks(run, range(count), workers)
    sums, more = parts.sum(axis=0), extra.sum(axis=0)
    if plain:
        more[:, kernels.WEIGHT] = sums[:, kernels.COUNT]
    if noise.size == 0 and sigma is not None:
        more[:, kernels.VARIANCE] = sums[:, kernels.COUNT] * float(np.asarray(sigma)) ** 2
    return _Sums(
        sums.reshape(particles, shells, 4),
        more.reshape(particles, shells, 2),
        float(v.dtype.type(offset)),
        borders,
    )


def _precision(values: ArrayLike) -> type[np.floating]:
    return np.float32 if np.asarray(values).dtype == np.float32 else np.float64


def _profile(found: _Sums, particle: int, has_sigma: bool, factor: Array, systematic: Array) -> ShellProfile:
    sums, weights = found.sums[particle], found.weights[particle]
    count = sums[:, kernels.COUNT]
    weight = np.where(count > 0, weights[:, kernels.WEIGHT], np.nan)
    mean = sums[:, kernels.VALUE] / weight
    n = np.where(count > 1, count, np.nan)
    variance = np.maximum(sums[:, kernels.SQUARE] / weight - mean**2, 0) * n / (n - 1)
    if has_sigma:
        noise = weights[:, kernels.VARIANCE] / weight**2
        expected = np.sqrt(noise * count)
    else:
        noise = variance / n
        expected = np.full(count.shape, np.nan)
    covariance = factor * np.sqrt(np.outer(noise, noise))
    return ShellProfile(
        edges=found.borders,
        depth=sums[:, kernels.DEPTH] / weight,
        mean=mean + found.offset,
        sigma=np.sqrt(np.diag(covariance)),
        std=np.sqrt(variance),
        expected=expected,
        count=count.astype(np.int64),
        covariance=covariance,
        independent=count / np.diag(factor),
        systematic=systematic,
    )


def _systematic(
    systematic: ArrayLike | None,
    values: ArrayLike,
    sigma: ArrayLike | None,
    depth: ArrayLike,
    borders: Array,
    weights: str,
    threads: int | None,
) -> Array:
    if systematic is None:
        return np.zeros(borders.size - 1)
    common = real_array("systematic", systematic, np.float64)
    if common.shape not in ((), np.shape(values)):
        raise MorphologyError(f"systematic {common.shape} and values {np.shape(values)} must have one shape")
    if (common < 0).any():
        raise MorphologyError(f"systematic {np.nanmin(common)} is below 0")
    s = np.where(np.isfinite(np.asarray(values)), common, np.nan)
    found = _sums(s, sigma, depth, borders, np.zeros(0, np.uint32), 1, weights, threads)
    none = np.zeros(borders.size - 1)
    return _profile(found, 0, sigma is not None, np.eye(none.size), none).mean
