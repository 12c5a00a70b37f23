"""Whether a quantity changes with depth below the surface, and how surely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2 as chi2_distribution

from analysis.depth_profile import DepthProfile
from analysis.morphology import MorphologyError
from analysis.shells import ShellProfile

Array = NDArray[np.float64]

__all__ = ["Stratification", "stratification"]


@dataclass(frozen=True, slots=True)
class Stratification:
    """How a profile changes with depth.

    Attributes
    ----------
    slope, slope_sigma : float
        Of the weighted straight line, per µm.
    significance : float
        ``slope / slope_sigma``; its sign is that of the change with depth.
    chi2, freedom : float, int
        Of the profile about its weighted mean.
    p_value : float
        Probability that a flat profile scatters as much.
    contrast, contrast_sigma : float
        Innermost less outermost shell.
    """

    slope: float
    slope_sigma: float
    significance: float
    chi2: float
    freedom: int
    p_value: float
    contrast: float
    contrast_sigma: float


def stratification(profile: ShellProfile | DepthProfile) -> Stratification:
    """Test whether a profile changes with depth, by noise alone (what is systematic shifts all
    shells together).

    Parameters
    ----------
    profile : ShellProfile or DepthProfile
        Means of voxels, with their covariance; or valences of mean spectra. The latter's shells count as independent
        and what the calibration leaves uncertain counts as noise, so that the significance is rather too low.

    Raises
    ------
    MorphologyError
        When fewer than two shells have a mean and an uncertainty.

    Examples
    --------
    >>> from analysis.shells import shell_profile
    >>> below = np.linspace(0.05, 2.0, 40)  # um
    >>> found = stratification(shell_profile(2.5 + 0.1 * below, 0.02, below, [0.0, 1.0, 2.0]))
    >>> round(found.slope, 3), found.p_value < 1e-6
    (0.1, True)
    """
    depth, mean, covariance = _means(profile)
    use = np.isfinite(mean) & (np.diag(covariance) > 0)
    if use.sum() < 2:
        raise MorphologyError(f"{use.sum()} shells have a mean with an uncertainty, two are needed")
    d, y = depth[use], mean[use]
    whitener = _whitener(covariance[np.ix_(use, use)])
    flat, tilted, seen = whitener @ np.ones_like(y), whitener @ d, whitener @ y
    level = float(flat @ seen / (flat @ flat))
    tilted -= flat * float(flat @ tilted / (flat @ flat))
    spread = float(tilted @ tilted)
    if spread <= 0:
        raise MorphologyError("all shells have one depth")
    slope, slope_sigma = float(tilted @ seen) / spread, spread**-0.5
    chi2 = float(np.sum((seen - level * flat) ** 2))
    freedom = int(use.sum()) - 1
    ends = np.flatnonzero(use)[[0, -1]]
    between = covariance[np.ix_(ends, ends)]
    return Stratification(
        slope=slope,
        slope_sigma=slope_sigma,
        significance=slope / slope_sigma,
        chi2=chi2,
        freedom=freedom,
        p_value=float(chi2_distribution.sf(chi2, freedom)),
        contrast=float(y[-1] - y[0]),
        contrast_sigma=float(np.sqrt(between[0, 0] + between[1, 1] - 2 * between[0, 1])),
    )


def _means(profile: ShellProfile | DepthProfile) -> tuple[Array, Array, Array]:
    """Depth, mean and covariance of the means."""
    if isinstance(profile, ShellProfile):
        return profile.depth, profile.mean, profile.covariance
    return profile.depth, profile.valence, np.diag(profile.valence_sigma**2 - profile.valence_systematic**2)


def _whitener(covariance: Array) -> Array:
    """Matrix that makes the means independent with unit variance; a covariance estimated below 0 counts as small."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors / np.sqrt(np.maximum(values, 1e-3 * values[-1]))).T)
