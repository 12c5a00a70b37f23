"""Valence calibrations from published edge positions, from points, or from reference spectra as measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

from analysis.edge import Code, half_height
from analysis.energy_scale import FOIL_SCALES, EnergyScale, ScaleError, require_same_scale
from analysis.numbers import broadcast_real, real_array, sigma_array
from analysis.published_edges import EDGE_TABLE, PublishedEdge
from analysis.spectra import Normalisation, Spectrum, line_operator, normalise, pre_edge_noise
from analysis.valence_curve import Calibration, CalibrationError, ValenceEstimate

Array = NDArray[np.float64]

__all__ = [
    "EDGE_TABLE",
    "Calibration",
    "CalibrationError",
    "PublishedEdge",
    "ValenceEstimate",
    "calibration_from_points",
    "calibration_from_references",
    "calibration_from_table",
    "spectrum_valence",
]


_WIDEST_PRE, _WIDEST_POST = 200.0, 500.0  # eV from the edge, for references measured further than the data


def calibration_from_points(
    edge_energy: ArrayLike,
    valence: ArrayLike,
    sigma: ArrayLike,
    *,
    element: str,
    scale: EnergyScale,
    edge_definition: str = "half height",
    source: str = "",
) -> Calibration:
    """Calibrate by edge positions of references, in any order.

    References of one valence become one point at their weighted mean; its uncertainty is at least
    what they scatter.

    Parameters
    ----------
    edge_energy, valence, sigma : array_like, shape (n,)
        Edge positions in eV, valences, uncertainties of the positions in eV (> 0 where a valence
        occurs twice).
    element, scale, edge_definition, source
        As of ``Calibration``.

    Raises
    ------
    CalibrationError
        When the means do not rise with valence.

    Examples
    --------
    >>> scale = FOIL_SCALES["Ni"]
    >>> nickel = calibration_from_points([8342.1, 8344.8], [2, 3], 0.1, element="Ni", scale=scale)
    >>> nickel.valence([8343.45], [0.1]).valence.round(2)
    array([2.5])
    """
    energies = real_array("edge_energy", edge_energy, np.float64)
    valences = real_array("valence", valence, np.float64)
    if energies.shape != valences.shape or energies.ndim != 1:
        raise CalibrationError(f"{energies.shape} edge positions for {valences.shape} valences")
    if not np.isfinite(valences).all():
        raise CalibrationError(f"valence {valences[~np.isfinite(valences)][0]} is not finite")
    sigmas = sigma_array("sigma", sigma, energies.shape)
    points = []
    for v in np.unique(valences):
        same = valences == v
        points.append((*_combined(energies[same], sigmas[same]), v))
    e, s, v = np.array(points).T
    return Calibration(e, v, s, element, edge_definition, scale, source)


def calibration_from_table(element: str) -> Calibration:
    """Calibrate by the published half heights of the element's oxides, on the project's foil scale.

    Good to 0.1 to 0.3 valence units: the windows of the published values are not those of the data.
    References measured on the same instrument and read by ``calibration_from_references`` are
    better.

    Raises
    ------
    KeyError
        When the table lacks the element.
    """
    if element not in EDGE_TABLE:
        raise KeyError(f"no published edges for {element!r}, only for {', '.join(EDGE_TABLE)}")
    rows = EDGE_TABLE[element]
    return calibration_from_points(
        [row.energy for row in rows],
        [row.valence for row in rows],
        [row.sigma for row in rows],
        element=element,
        scale=FOIL_SCALES[element],
        edge_definition="half height, published",
        source="; ".join(f"{row.compound} {row.energy} eV: {row.source}" for row in rows),
    )


def calibration_from_references(
    references: Sequence[tuple[Spectrum, float]],
    energies: ArrayLike,
    normalisation: Normalisation,
    *,
    mixtures: int = 9,
    search: tuple[float, float] | None = None,
    axis_sigma: ArrayLike = 0.0,
) -> Calibration:
    """Calibrate by reference spectra, read as the data are read.

    The references are resampled on the measured energies and normalised in the same windows;
    mixtures of neighbours in valence are read by the same half height as the data. So what sampling
    and windows do to an edge position they do to the calibration too, and a voxel that is a mixture
    of two phases gets the valence of the mixture.

    Parameters
    ----------
    references : sequence of (Spectrum, valence)
        At least two, of one element and on one energy scale.
    energies : array_like, shape (E,)
        The energies of the data, in any order, within the range of every reference.
    normalisation : Normalisation
        Windows and orders of the data.
    mixtures : int
        Points of the curve per pair of neighbours, both ends included.
    search : (low, high), optional
        Range of the crossing in eV, as given to ``fit_edges``.
    axis_sigma : array_like
        Uncertainty in eV of the axis of the references, one for all or one each: ``EnergyShift.sigma`` of those aligned
        by a foil of their own. It is not in their noise and usually larger.

    Raises
    ------
    ScaleError
        When the scale of a reference is not known, or two differ.
    CalibrationError
        When elements differ, energies exceed a reference, or the half height does not rise with valence.
    """
    if len(references) < 2:
        raise CalibrationError(f"{len(references)} reference given, at least two are needed")
    if mixtures < 2:
        raise CalibrationError(f"{mixtures} mixtures per pair given, at least 2 are needed")
    scale = require_same_scale({spectrum.name: spectrum.scale for spectrum, _ in references})
    elements = {spectrum.element for spectrum, _ in references if spectrum.element}
    if len(elements) > 1:
        raise CalibrationError(f"references are of different elements: {', '.join(sorted(elements))}")
    grid = np.unique(real_array("energies", energies, np.float64))
    axes = broadcast_real("axis_sigma", axis_sigma, (len(references),), np.float64)
    if not (axes >= 0).all():
        raise CalibrationError(f"axis_sigma {axes.min()} eV is not 0 or more")
    order = np.argsort([valence for _, valence in references], kind="stable")
    ordered = [references[i] for i in order]
    shapes = [_resampled(spectrum, grid, normalisation) for spectrum, _ in ordered]
    noise = [_edge_sigma(spectrum, normalisation, search) for spectrum, _ in ordered]
    sigmas = np.hypot(noise, axes[order])
    points: list[tuple[float, float, float]] = []
    for k in range(len(ordered) - 1):
        for f in np.linspace(0.0, 1.0, mixtures)[1 if k else 0 :]:
            mixture = (1 - f) * shapes[k] + f * shapes[k + 1]
            name = f"{1 - f:.2f} {ordered[k][0].name} + {f:.2f} {ordered[k + 1][0].name}"
            valence = (1 - f) * ordered[k][1] + f * ordered[k + 1][1]
            sigma = float(np.hypot((1 - f) * sigmas[k], f * sigmas[k + 1]))
            points.append((_read(grid, mixture, normalisation, search, name), valence, sigma))
    e, v, s = np.array(points).T
    used = normalisation.effective(grid)
    return Calibration(
        e, v, s, next(iter(elements), ""), _definition(used), scale, "; ".join(x.source or x.name for x, _ in ordered)
    )


def spectrum_valence(
    spectrum: Spectrum,
    calibration: Calibration,
    normalisation: Normalisation,
    *,
    sigma: ArrayLike | None = None,
    search: tuple[float, float] | None = None,
) -> ValenceEstimate:
    """Valence of one spectrum, insisting that its energy scale is that of the calibration.

    Raises
    ------
    ScaleError
        When the scales differ, or the spectrum's is not known; the message says how to align.
    """
    require_same_scale({f"the {calibration.element} calibration": calibration.scale, spectrum.name: spectrum.scale})
    if spectrum.element and calibration.element and spectrum.element != calibration.element:
        raise ScaleError(f"{spectrum.name} is of {spectrum.element}, the calibration of {calibration.element}")
    noise = spectrum.sigma if sigma is None else sigma
    edge = half_height(spectrum.energy, spectrum.mu, normalisation, sigma=noise, search=search)
    return calibration.valence(
        np.array([edge.energy]), None if noise is None else np.array([edge.sigma]), code=np.array([edge.code])
    )


def _combined(energies: Array, sigmas: Array) -> tuple[float, float]:
    """Weighted mean, and its uncertainty: of the weights, or the scatter where this is larger."""
    if energies.size == 1:
        return float(energies[0]), float(sigmas[0])
    if np.any(sigmas <= 0):
        raise CalibrationError("references of one valence need a sigma above 0 to be averaged")
    weights = sigmas**-2.0
    mean = float(weights @ energies / weights.sum())
    return mean, max(float(weights.sum() ** -0.5), float(np.std(energies, ddof=1)))


def _resampled(spectrum: Spectrum, grid: Array, normalisation: Normalisation) -> Array:
    """Reference per absorbing atom on the measured energies.

    It is normalised over its own range, which tells its step better than the few measured energies do: spectra that are
    mixed must be so per atom, not per jump as the windows of the data happen to read it.
    """
    low, high = spectrum.energy[0], spectrum.energy[-1]
    if grid[0] < low or grid[-1] > high:
        raise CalibrationError(
            f"energies {grid[0]:.1f}..{grid[-1]:.1f} eV exceed {low:.1f}..{high:.1f} eV of {spectrum.name}"
        )
    pre = (max(float(low), normalisation.e0 - _WIDEST_PRE), normalisation.pre[1])
    post = (normalisation.post[0], min(float(high), normalisation.e0 + _WIDEST_POST))
    widest = replace(normalisation, pre=pre, post=post)
    return np.asarray(PchipInterpolator(spectrum.energy, normalise(spectrum.energy, spectrum.mu, widest).mu)(grid))


def _edge_sigma(spectrum: Spectrum, normalisation: Normalisation, search: tuple[float, float] | None) -> float:
    """Uncertainty of a reference's own edge, from its sigma or the scatter of its pre-edge; 0 if neither tells."""
    noise: ArrayLike
    if spectrum.sigma is not None:
        noise = spectrum.sigma
    else:
        lines = line_operator(spectrum.energy, normalisation)
        noise = float(np.nan_to_num(pre_edge_noise(spectrum.energy, spectrum.mu, lines)))
    edge = half_height(spectrum.energy, spectrum.mu, normalisation, sigma=noise, search=search)
    return float(np.nan_to_num(edge.sigma))


def _read(grid: Array, mu: Array, normalisation: Normalisation, search: tuple[float, float] | None, name: str) -> float:
    edge = half_height(grid, mu, normalisation, search=search)
    if edge.code != Code.OK:
        raise CalibrationError(f"no half height of {name} on the measured energies: {edge.code.name}")
    return edge.energy


def _definition(used: Normalisation) -> str:
    return (
        f"half height at e0 {used.e0:g} eV, pre-edge {used.pre[0]:g}..{used.pre[1]:g} "
        f"eV order {used.pre_order}, "
        f"post-edge {used.post[0]:g}..{used.post[1]:g} eV order {used.post_order}"
    )
