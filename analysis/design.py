"""Which energy to measure next, and how long: the choice that sharpens the edge map most for its dose and time.

A `Knowledge` holds a basis learnt on a pilot scan, the spectra to be expected (a sample of its coefficients) and
what was measured so far. The expected error of the half height follows without any new data, so plans can ask
before they move. Everything here is a pure function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.edge import fit_edges
from analysis.edge_tables import half_height_maps, interpolation
from analysis.lowrank import Basis, learn_basis
from analysis.numbers import real_array, whole_number
from analysis.spectra import FloatArray, Normalisation, checked_energies


@dataclass(frozen=True, slots=True, eq=False)
class Knowledge:
    """What is known before the next energy is chosen.

    Attributes
    ----------
    energies : float64 [E], eV, that may be chosen
    noise : float64 [E], sigma of a voxel after one second of exposure at each energy
    exposures : float64 [E], seconds measured so far
    covariance : float64 [k, k], of the basis coefficients, given what was measured
    vectors : float64 [E, k], basis spectra
    readings : float64 [S, k]; ``readings[s] @ c`` is the error of the edge position (eV) of expected spectrum s
    """

    energies: FloatArray
    noise: FloatArray
    exposures: FloatArray
    covariance: FloatArray
    vectors: FloatArray
    readings: FloatArray

    @property
    def sigma(self) -> float:
        """Expected standard deviation (eV, rms over the expected spectra) of the edge position now."""
        return float(np.sqrt(np.mean(np.einsum("sk,kl,sl->s", self.readings, self.covariance, self.readings))))


@dataclass(frozen=True, slots=True)
class Choice:
    """The next measurement.

    Attributes
    ----------
    energy, index : eV, and its number in ``Knowledge.energies``; None when nothing more is to be measured
    exposure : seconds
    sigma : eV, expected after it (or now, if nothing is to be measured)
    reason : in words
    """

    energy: float | None
    index: int | None
    exposure: float
    sigma: float
    reason: str


def knowledge_from_spectra(
    energies: ArrayLike,
    spectra: ArrayLike,
    *,
    sigma: ArrayLike,
    noise: ArrayLike,
    normalisation: Normalisation,
    expected: int = 256,
) -> Knowledge:
    """Return what a pilot scan, or reference spectra and their mixtures, tell before the first energy.

    Parameters
    ----------
    energies : [E], eV, increasing
    spectra : [E, N] of the pilot
    sigma : noise of the pilot, one number or [E]
    noise : sigma of a voxel of the coming measurement after one second, one number or [E]; inf where an energy cannot
        be measured
    normalisation : windows and orders
    expected : number of pilot spectra taken for what is to be expected

    Raises
    ------
    ValueError
        On mismatched shapes, noise that is not positive, or a pilot with too few voxels or without edges.

    Examples
    --------
    What 0.1 eV per voxel costs, after a pilot of 600 voxels with edges between 8340 and 8344 eV:

    >>> from analysis.bound import EdgeModel
    >>> e = np.concatenate([np.linspace(8250, 8320, 10), np.arange(8330, 8365.0), np.linspace(8370, 8500, 15)])
    >>> pilot = EdgeModel(np.linspace(8340, 8344, 600)).mu(e) + np.random.default_rng(0).normal(0, 0.02, (60, 600))
    >>> windows = Normalisation(pre=(8250, 8320), post=(8370, 8500), e0=8343)
    >>> known = knowledge_from_spectra(e, pilot, sigma=0.02, noise=0.02, normalisation=windows)
    >>> planned, choices = choose_energies(known, target=0.1)
    >>> bool(planned.sigma <= 0.1), len(choices) < 15
    (True, True)
    """
    energy = checked_energies(energies)
    values = real_array("spectra", spectra, np.float32)
    if values.ndim != 2 or values.shape[0] != energy.size:
        raise ValueError(f"spectra have shape {values.shape}; [{energy.size}, N] is needed")
    expected = whole_number("expected", expected)
    pilot = _at_each_energy("sigma", sigma, energy)
    at_one_second = _at_each_energy("noise", noise, energy).copy()
    basis = learn_basis(energy, values, pilot)
    edges = fit_edges(energy, values, sigma=pilot, normalisation=normalisation, basis=basis)
    fitted = np.flatnonzero(edges.code == 0)
    if fitted.size == 0:
        raise ValueError("no pilot spectrum has an edge; nothing can be expected")
    chosen = fitted[np.linspace(0, fitted.size - 1, min(expected, fitted.size)).astype(np.intp)]
    coefficients = _coefficients(basis, values[:, chosen])
    readings = _readings(basis, normalisation, coefficients, edges.energy[chosen].astype(np.float64))
    start = _prior(basis)
    return Knowledge(energy, at_one_second, np.zeros(energy.size), start, basis.vectors, readings)


def updated(knowledge: Knowledge, index: int, exposure: float) -> Knowledge:
    """Return the knowledge after `exposure` seconds at energy number `index`."""
    index = whole_number("energy number", index, least=0)
    if not index < knowledge.energies.size:
        raise ValueError(f"energy number {index} is outside 0..{knowledge.energies.size - 1}")
    if not 0 < exposure < np.inf:
        raise ValueError(f"exposure {exposure} s is not positive and finite")
    C, b = knowledge.covariance, knowledge.vectors[index]
    gain = C @ b
    variance = knowledge.noise[index] ** 2 / exposure
    exposures = knowledge.exposures.copy()
    exposures[index] += exposure
    return replace(knowledge, covariance=C - np.outer(gain, gain) / (variance + b @ gain), exposures=exposures)


def next_energy(
    knowledge: Knowledge,
    *,
    target: float,
    exposures: Sequence[float] = (1.0,),
    overhead: float = 0.0,
    most: float = np.inf,
) -> Choice:
    """Choose the energy and exposure that lower the expected variance most per second.

    Parameters
    ----------
    knowledge : what was measured so far
    target : eV, stop when the expected uncertainty is met
    exposures : seconds that may be chosen from
    overhead : seconds that every further tomogram costs (move, flats); 0 counts dose only
    most : total seconds of exposure that may be spent
    """
    if not target > 0:
        raise ValueError(f"target {target} eV is not positive")
    if not len(exposures) or not all(0 < t < np.inf for t in exposures):
        raise ValueError(f"exposures {tuple(exposures)} s are not all positive and finite")
    if not 0 <= overhead < np.inf:
        raise ValueError(f"overhead {overhead} s is not 0 or more")
    if not most >= 0:
        raise ValueError(f"most {most} s is not 0 or more")
    now = knowledge.sigma
    if now <= target:
        return Choice(None, None, 0.0, now, f"target {target:g} eV is met: {now:.3g} eV expected")
    spent = float(knowledge.exposures.sum())
    allowed = [t for t in exposures if spent + t <= most]
    if not allowed:
        return Choice(None, None, 0.0, now, f"{most:g} s of exposure are spent; {now:.3g} eV expected")
    loss = np.stack([_variance_after(knowledge, t) for t in allowed])
    cost = np.asarray(allowed)[:, None] + overhead
    rate = np.log(now**2 / loss) / cost
    j, i = np.unravel_index(int(np.argmax(rate)), rate.shape)
    after = float(np.sqrt(loss[j, i]))
    reason = f"{knowledge.energies[i]:g} eV for {allowed[j]:g} s: {now:.3g} -> {after:.3g} eV expected"
    return Choice(float(knowledge.energies[i]), int(i), float(allowed[j]), after, reason)


def choose_energies(
    knowledge: Knowledge,
    *,
    target: float,
    exposures: Sequence[float] = (1.0,),
    overhead: float = 0.0,
    most: float = np.inf,
    limit: int = 1000,
) -> tuple[Knowledge, tuple[Choice, ...]]:
    """Choose until the target is met, or `limit` choices are made; returns the knowledge then and the choices."""
    chosen: list[Choice] = []
    for _ in range(whole_number("limit", limit)):
        choice = next_energy(knowledge, target=target, exposures=exposures, overhead=overhead, most=most)
        if choice.index is None:
            break
        knowledge = updated(knowledge, choice.index, choice.exposure)
        chosen.append(choice)
    return knowledge, tuple(chosen)


def _variance_after(knowledge: Knowledge, exposure: float) -> FloatArray:
    """Expected variance (eV^2) after `exposure` seconds at each energy."""
    C, B, R = knowledge.covariance, knowledge.vectors, knowledge.readings
    gain = B @ C
    own = np.einsum("ek,ek->e", gain, B) + knowledge.noise**2 / exposure
    gained = ((R @ gain.T) ** 2).mean(axis=0) / own
    return np.asarray(np.maximum(knowledge.sigma**2 - gained, 1e-30))


def _at_each_energy(name: str, given: ArrayLike, energy: FloatArray) -> FloatArray:
    values = real_array(name, given, np.float64)
    if values.shape not in ((), energy.shape):
        raise ValueError(f"{name} has shape {values.shape}; one number or [{energy.size}] is needed")
    if not (values > 0).all():
        raise ValueError(f"{name} {values.min()} is not positive")
    return np.broadcast_to(values, energy.shape)


def _prior(basis: Basis) -> FloatArray:
    if np.isinf(basis.prior).any():
        raise ValueError("too few pilot spectra to learn a basis: give at least eight per energy")
    return np.diag(basis.prior)


def _coefficients(basis: Basis, spectra: NDArray[np.float32]) -> FloatArray:
    white = basis.vectors / basis.sigma[:, None] ** 2
    return np.asarray((basis.prior / (1 + basis.prior))[:, None] * (white.T @ spectra))


def _readings(basis: Basis, normalisation: Normalisation, coefficients: FloatArray, edges: FloatArray) -> FloatArray:
    """Return d(edge position) / d(coefficients), eV, for spectra with these coefficients [k, S] and edges [S]."""
    maps = half_height_maps(basis.energies, normalisation, None)
    value, slope = interpolation(maps.knots, edges)
    rows = maps.rows @ basis.vectors
    steepness = np.einsum("sk,ks->s", slope @ rows, coefficients)
    good = steepness > 0.2 * np.median(steepness)
    return np.asarray(-(value @ rows)[good] / steepness[good, None])
