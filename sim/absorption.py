"""Absorption of Li1.2Mn0.54Co0.13Ni0.13O2 against energy: xraydb far from the edge, reference spectra near it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xraydb

from sim.optics import FWHM, SILICON_111_BANDWIDTH
from sim.references import EDGES, Reference, parametric

Array = npt.NDArray[np.float64]
COMPOSITION = {"Li": 1.2, "Mn": 0.54, "Co": 0.13, "Ni": 0.13, "O": 2.0}
# C2/m, refined by XRD: Zhang et al., "Depth-dependent valence stratification driven by oxygen redox in lithium-rich
# layered oxide", supplementary table 1. Sites: multiplicity x occupancy.
CELL = (4.9357, 8.5525, 5.0164, 108.96)  # a, b, c Angstrom; beta deg
SITES = (
    ("Li", 4 * 1.0),
    ("Mn", 4 * 0.81),
    ("Co", 4 * 0.19),
    ("Li", 2 * 1.0),
    ("Li", 2 * 0.61),
    ("Ni", 2 * 0.39),
    ("O", 4 * 1.0),
    ("O", 8 * 1.0),
)
DALTON = 1.66053906660e-24  # g


def cell_density() -> float:
    """Return the density of the unit cell in g/cm3.

    Examples
    --------
    >>> round(cell_density(), 2)
    4.23
    """
    a, b, c, beta = CELL
    volume = a * b * c * math.sin(math.radians(beta)) * 1e-24
    mass = sum(count * float(xraydb.atomic_mass(element)) for element, count in SITES)
    return mass * DALTON / volume


def mass_fractions() -> dict[str, float]:
    """Return the mass fraction of each element of the formula."""
    masses = {element: count * xraydb.atomic_mass(element) for element, count in COMPOSITION.items()}
    total = sum(masses.values())
    return {element: mass / total for element, mass in masses.items()}


@dataclass(frozen=True, slots=True)
class KEdge:
    """An element's mass attenuation about its K edge, split into what the edge adds and all the rest.

    Both parts are quadratics in log-log fitted to xraydb (Elam) within 1 keV below and above the edge, so that
    `rest` + `step` meets xraydb on both sides.

    Attributes
    ----------
    element : str
    energy : float
        Of the edge in xraydb, eV.
    below, above : tuple of float
        Coefficients for numpy.polyval of log(cm2/g) against log(E / energy).
    """

    element: str
    energy: float
    below: tuple[float, ...]
    above: tuple[float, ...]

    def rest(self, energy: npt.ArrayLike) -> Array:
        """Return the attenuation without the K shell, cm2/g."""
        return np.asarray(np.exp(np.polyval(self.below, np.log(np.asarray(energy, float) / self.energy))))

    def step(self, energy: npt.ArrayLike) -> Array:
        """Return the attenuation that the K shell adds when fully open, cm2/g."""
        total = np.exp(np.polyval(self.above, np.log(np.asarray(energy, float) / self.energy)))
        return np.asarray(total - self.rest(energy))


@lru_cache
def k_edge(element: str) -> KEdge:
    """Return the K edge of an element from xraydb."""
    edge = float(xraydb.xray_edge(element, "K").energy)
    fits = []
    for low, high in ((edge - 1000, edge - 5), (edge + 5, edge + 1000)):
        grid = np.linspace(low, high, 60)
        fits.append(tuple(np.polyfit(np.log(grid / edge), np.log(xraydb.mu_elam(element, grid)), 2)))
    return KEdge(element, edge, *fits)


@dataclass(frozen=True, eq=False)
class Material:
    """Linear attenuation of the particle per reference spectrum: mu(E, voxel) = sum_k basis_k(E) weight_k(voxel).

    Attributes
    ----------
    element : str
        The element whose edge is followed.
    references : tuple of Reference
        By increasing valence.
    density : float
        g/cm3.
    """

    element: str
    references: tuple[Reference, ...]
    density: float

    def basis(self, energy: npt.ArrayLike) -> Array:
        """Return the linear attenuation (1/um) of full-density material of each reference's valence.

        Parameters
        ----------
        energy : array_like, (n,) or scalar
            eV.

        Returns
        -------
        array, (reference, n) or (reference,)
        """
        e = np.asarray(energy, float)
        fraction = mass_fractions()
        others = sum(fraction[name] * _mu(name, e) for name in fraction if name != self.element)
        return np.asarray((others + fraction[self.element] * self.metal(e)) * self.density * 1e-4)

    def metal(self, energy: Array) -> Array:
        """Return the attenuation (cm2/g) of the element itself for each reference's valence, (reference, n)."""
        edge = k_edge(self.element)
        return np.stack([self._own(edge, energy, reference) for reference in self.references])

    def weights(self, valence: float) -> Array:
        """Return how much of each reference makes up a valence, which is cut to the range of the references."""
        valences = [reference.valence for reference in self.references]
        return np.array([np.interp(valence, valences, unit) for unit in np.eye(len(valences))])

    def basis_nodes(self, energy: float, resolution: float) -> tuple[npt.NDArray[np.float32], Array]:
        """Return (basis (reference, node), weights (node,)) of the energies within a bandwidth dE/E (FWHM)."""
        nodes, weights = resolution_nodes(energy, resolution) if resolution else ([energy], np.ones(1))
        return self.basis(nodes).astype(np.float32), weights.astype(np.float32)

    @staticmethod
    def _own(edge: KEdge, energy: Array, reference: Reference) -> Array:
        near = np.abs(energy - edge.energy) < 900
        return np.where(near, edge.rest(energy) + edge.step(energy) * reference.at(energy), _mu(edge.element, energy))


def attenuation(materials: Sequence[Material], valences: Sequence[float], energy: npt.ArrayLike) -> Array:
    """Return the linear attenuation (1/um) of full-density material with the edges of several metals at once.

    Parameters
    ----------
    materials : sequence of Material
        One per metal whose edge shows its valence; the other elements are as in xraydb.
    valences : sequence of float
        Mean valence of each of these metals.
    energy : array_like, (n,)
        eV.
    """
    e = np.asarray(energy, float)
    fraction = mass_fractions()
    metals = {
        matter.element: matter.weights(v) @ matter.metal(e) for matter, v in zip(materials, valences, strict=True)
    }
    total = sum(part * (metals[name] if name in metals else _mu(name, e)) for name, part in fraction.items())
    return np.asarray(total * materials[0].density * 1e-4)


def _mu(element: str, energy: Array) -> Array:
    return np.asarray(xraydb.mu_elam(element, np.atleast_1d(energy))).reshape(energy.shape)


def material(element: str = "Ni", references: Sequence[Reference] = ()) -> Material:
    """Return the particle's material near an element's edge, with the parametric references unless given."""
    chosen = tuple(references) or parametric(element)
    order = tuple(sorted(chosen, key=lambda reference: reference.valence))
    if len({reference.valence for reference in order}) < max(2, len(order)):
        raise ValueError(f"references of {element} need two or more different valences")
    return Material(element, order, cell_density())


def resolution_nodes(energy: float, resolution: float = SILICON_111_BANDWIDTH) -> tuple[Array, Array]:
    """Return energies (eV) and weights that average over a Gaussian bandwidth dE/E (FWHM), exact to order 13."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(7)
    return energy * (1 + resolution / FWHM * nodes), weights / weights.sum()


def write_standards(
    folder: Path,
    element: str = "Ni",
    references: Sequence[Reference] = (),
    *,
    resolution: float = SILICON_111_BANDWIDTH,
    energies: npt.ArrayLike | None = None,
) -> list[Path]:
    """Write the references as this beamline measures them, thin and free of noise: one XDI file each.

    Parameters
    ----------
    folder : Path
        Made when missing.
    element, references
        As in `material`.
    resolution : float
        dE/E, full width at half maximum; 0 for none.
    energies : array, optional
        eV; default from 150 eV before to 340 eV after the edge, 0.25 eV steps near it.

    Returns
    -------
    list of Path
        By increasing valence, named like ``Ni_2.00.xdi``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    edge = k_edge(element).energy
    near = np.arange(edge - 30, edge + 60, 0.25)
    grid = np.concatenate([np.arange(edge - 150, edge - 30, 5.0), near, np.arange(edge + 60, edge + 341, 4.0)])
    grid = grid if energies is None else np.asarray(energies, float)
    paths = []
    for reference in material(element, references).references:
        seen = reference.broadened(resolution) if resolution else reference
        path = folder / f"{element}_{reference.valence:.2f}.xdi"
        path.write_text(_xdi(seen, grid, resolution), encoding="utf-8")
        paths.append(path)
    return paths


def _xdi(reference: Reference, energies: Array, resolution: float) -> str:
    head = f"""# XDI/1.0 Edgewise/0.1
# Column.1: energy eV
# Column.2: norm
# Element.symbol: {reference.element}
# Element.edge: K
# Sample.name: {reference.element} {reference.valence:g}+ ({reference.source})
# Sample.valence: {reference.valence:g}
# Mono.name: Si 111, dE/E {resolution:g}
# Scale.name: foil maximum derivative {EDGES[reference.element]}
# Scale.foil_energy: {EDGES[reference.element]}
#----
# energy norm
"""
    rows = (f"{e:.4f} {m:.7f}" for e, m in zip(energies, reference.at(energies), strict=True))
    return head + "\n".join(rows) + "\n"
