"""Composition and density from the edge jumps of several elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.numbers import real_array

Array = NDArray[np.float64]

__all__ = ["ATOMIC_MASS", "JUMP_COEFFICIENT", "Composition", "composition", "element_density"]

# Jump of the photoelectric mass attenuation coefficient at the K edge, cm²/g, from the tables of
# Elam, Ravel and Sieber, doi:10.1016/S0969-806X(01)00227-4; those of Chantler are 2.5 to 4 %
# higher.
JUMP_COEFFICIENT: Mapping[str, float] = MappingProxyType(
    {
        "Ti": 603.8,
        "V": 514.0,
        "Cr": 450.1,
        "Mn": 393.8,
        "Fe": 354.3,
        "Co": 308.3,
        "Ni": 285.0,
        "Cu": 240.0,
        "Zn": 218.5,
    }
)
ATOMIC_MASS: Mapping[str, float] = MappingProxyType(
    {
        "Ti": 47.867,
        "V": 50.942,
        "Cr": 51.996,
        "Mn": 54.938,
        "Fe": 55.845,
        "Co": 58.933,
        "Ni": 58.693,
        "Cu": 63.546,
        "Zn": 65.38,
    }
)
_MICROMETRES_PER_CM = 1e4


@dataclass(frozen=True, slots=True, eq=False)
class Composition:
    """Atomic fractions and densities of k elements.

    Attributes
    ----------
    elements : tuple of str
    fraction, fraction_sigma : ndarray, shape (k, ...)
        Atomic fractions among these elements, summing to 1, and their standard deviations from the
        noise of the jumps. NaN where the jumps sum to nothing.
    density, density_sigma : ndarray, shape (k, ...)
        Mass of each element per volume in g/cm³, and its standard deviation from noise alone; the tabulated
        coefficients add 3 % common to all voxels.
    """

    elements: tuple[str, ...]
    fraction: Array
    fraction_sigma: Array
    density: Array
    density_sigma: Array


def element_density(jump: ArrayLike, element: str) -> Array:
    """Mass of an element per volume, in g/cm³, that makes an edge jump of the linear attenuation (1/µm).

    Examples
    --------
    >>> round(float(element_density(0.254, "Ni")), 2)  # nickel metal is 8.9 g/cm³
    8.91
    """
    if element not in JUMP_COEFFICIENT:
        raise KeyError(f"no jump coefficient for {element!r}, only for {', '.join(JUMP_COEFFICIENT)}")
    return np.asarray(
        real_array(f"jump of {element}", jump, np.float64) * (_MICROMETRES_PER_CM / JUMP_COEFFICIENT[element])
    )


def composition(jumps: Mapping[str, ArrayLike], sigmas: Mapping[str, ArrayLike]) -> Composition:
    """Composition of voxels, shells or particles from their K-edge jumps.

    Parameters
    ----------
    jumps : mapping of str to array_like
        Edge jump of the linear attenuation in 1/µm of each element, all of one shape.
    sigmas : mapping of str to array_like
        Standard deviations, of the same elements, of that shape or scalar.

    Raises
    ------
    ValueError
        When elements or shapes differ, or a sigma is negative.

    Examples
    --------
    >>> found = composition({"Mn": 0.05, "Ni": 0.0095}, {"Mn": 0.001, "Ni": 0.001})
    >>> found.elements, found.fraction.round(2)
    (('Mn', 'Ni'), array([0.8, 0.2]))
    """
    elements = tuple(jumps)
    if not elements or set(elements) != set(sigmas):
        raise ValueError(f"jumps of {sorted(jumps)} but sigmas of {sorted(sigmas)}")
    values = [element_density(jumps[element], element) for element in elements]
    shapes = {value.shape for value in values}
    if len(shapes) != 1:
        raise ValueError(f"jumps have different shapes: {sorted(shapes)}")
    density = np.stack(values)
    spread = [element_density(sigmas[e], e) for e in elements]
    for element, sigma in zip(elements, spread, strict=True):
        if sigma.shape not in ((), values[0].shape):
            raise ValueError(f"sigma of {element} has shape {sigma.shape}, its jump {values[0].shape}")
    noise = np.stack([np.broadcast_to(sigma, values[0].shape) for sigma in spread])
    if np.any(noise < 0):
        raise ValueError(f"sigma of a jump is negative: {np.nanmin(noise):g} g/cm³")
    per_atom = np.array([ATOMIC_MASS[e] for e in elements]).reshape(-1, *[1] * values[0].ndim)
    atoms, atoms_sigma = density / per_atom, noise / per_atom
    total = atoms.sum(axis=0)
    # A sum within two standard deviations of nothing has no composition.
    certain = (total > 2 * np.sqrt((atoms_sigma**2).sum(axis=0))) & (total < np.inf)
    total = np.where(certain, total, np.nan)
    fraction = atoms / total
    others = (atoms_sigma**2).sum(axis=0) - atoms_sigma**2
    variance = ((1 - fraction) * atoms_sigma) ** 2 + fraction**2 * others
    return Composition(elements, fraction, np.sqrt(variance) / total, density, noise)
