"""Reference spectra of the simulation: a parametric model, or measured spectra read from files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.optics import FWHM

Array = npt.NDArray[np.float64]
# Half heights (eV) on the scale where the foil's maximum derivative is 6539.0, 7709.0, 8333.0 eV. Mn: MnO, Mn2O3,
# MnO2; Co: CoO and LiCoO2; Ni: NiO, LiNiO2, and 4+ beyond the 8346.2 eV of LixNiO2 charged to 4.28 V.
HALF_HEIGHTS: dict[str, tuple[tuple[float, float], ...]] = {
    "Mn": ((2.0, 6545.1), (3.0, 6550.1), (4.0, 6552.2)),
    "Co": ((2.0, 7717.9), (3.0, 7720.5), (4.0, 7721.5)),
    "Ni": ((2.0, 8342.1), (3.0, 8344.8), (4.0, 8346.5)),
}
EDGES = {"Mn": 6539.0, "Co": 7709.0, "Ni": 8333.0}
STEP = 0.05  # eV, grid of the resolution convolution


class ReferenceSpectrumError(ValueError):
    """A reference spectrum that cannot be used; the message says file, line and value."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A spectrum normalised to an edge step of 1: exactly 0 far below and 1 far above the edge.

    Attributes
    ----------
    element : str
    valence : float
    energy, mu : array, (energy,)
        eV, increasing; normalised absorption.
    source : str
        "parametric", or the name of the file.
    """

    element: str
    valence: float
    energy: Array
    mu: Array
    source: str = "parametric"

    def at(self, energy: npt.ArrayLike) -> Array:
        """Return the normalised absorption at energies (eV)."""
        return np.asarray(np.interp(np.asarray(energy, float), self.energy, self.mu, left=0.0, right=1.0))

    def broadened(self, resolution: float) -> "Reference":
        """Return the spectrum seen with a Gaussian resolution dE/E (full width at half maximum)."""
        grid = np.arange(self.energy[0] - 5, self.energy[-1] + 5, STEP)
        sigma = resolution * float(grid.mean()) / FWHM
        reach = max(1, math.ceil(5 * sigma / STEP))
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * STEP / sigma) ** 2)
        padded = np.pad(self.at(grid), reach, mode="edge")
        smooth = np.convolve(padded, kernel / kernel.sum(), mode="valid")
        return Reference(self.element, self.valence, grid, smooth, self.source)


def parametric(element: str) -> tuple[Reference, ...]:
    """Return the built-in references of an element, by increasing valence: arctan step and white line.

    Examples
    --------
    >>> nickel_oxide = parametric("Ni")[0]
    >>> round(float(nickel_oxide.at(8342.1)), 3)
    0.5
    """
    if element not in HALF_HEIGHTS:
        raise ReferenceSpectrumError(f"no parametric reference for {element!r}; there are {', '.join(HALF_HEIGHTS)}")
    return tuple(_shape(element, valence, half) for valence, half in HALF_HEIGHTS[element])


@lru_cache
def foil(element: str) -> Reference:
    """Return the spectrum of the metal: its derivative is largest at the edge energy, its half height 7..8 eV above.

    Examples
    --------
    >>> nickel = foil("Ni")
    >>> float(nickel.energy[np.argmax(np.gradient(nickel.mu, nickel.energy))].round(2))
    8333.0
    """
    if element not in EDGES:
        raise ReferenceSpectrumError(f"no foil of {element!r}; there are {', '.join(EDGES)}")
    offset = np.concatenate([np.arange(-80, -15, 1.0), np.arange(-15, 45, STEP), np.arange(45, 401, 1.0)])
    first = 0.5 + np.arctan(offset / 0.9) / math.pi
    second = 0.5 + np.arctan((offset - 9.0) / 3.0) / math.pi
    hump = 0.12 * np.exp(-0.5 * ((offset - 17.0) / 3.0) ** 2)
    mu = _fade(offset, 0.38 * first + 0.62 * second + hump)
    steepest = float(offset[np.argmax(np.gradient(mu, offset))])
    return Reference(element, 0.0, EDGES[element] + offset - steepest, mu, "metal")


def _shape(element: str, valence: float, half_height: float) -> Reference:
    offset = np.concatenate([np.arange(-80, -15, 1.0), np.arange(-15, 45, STEP), np.arange(45, 401, 1.0)])
    step = 0.5 + np.arctan((offset - 1.0) / 1.3) / math.pi
    white_line = 0.55 * np.exp(-0.5 * ((offset - 5.5) / 2.3) ** 2)
    pre_peak = 0.03 * np.exp(-0.5 * ((offset + 10.0) / 0.9) ** 2)
    k = np.sqrt(np.maximum(offset - 10.0, 0) * 0.2625)  # 1/Angstrom
    wiggle = 0.09 * np.sin(2 * 1.95 * k + 0.6) * np.exp(-0.02 * k**2) * np.clip((offset - 12) / 15, 0, 1)
    mu = _fade(offset, step + white_line + pre_peak + wiggle)
    crossing = float(np.interp(0.5, mu[: int(np.argmax(mu))], offset[: int(np.argmax(mu))]))
    return Reference(element, valence, half_height + offset - crossing, mu)


def _fade(offset: Array, mu: Array) -> Array:
    """Let a spectrum go over to the bare step (0 below, 1 above) at both ends, smoothly."""
    lower = np.clip((offset - offset[0]) / 30, 0, 1)
    upper = np.clip((offset[-1] - offset) / (0.3 * offset[-1]), 0, 1)
    lower, upper = (w * w * (3 - 2 * w) for w in (lower, upper))
    return np.asarray(np.where(offset < 0, mu * lower, 1 + (mu - 1) * upper))


def measured(path: Path, element: str, valence: float) -> Reference:
    """Read a measured reference and normalise it; energies in keV are recognised by their size.

    A straight line is fitted below (all points more than 25 eV before the edge) and above (more than 40 eV after it)
    and the spectrum is flattened to 0 and 1.

    Parameters
    ----------
    path : Path
        Two or more columns, or XDI with ``energy`` and ``mutrans`` / ``mu`` / ``norm`` columns (or ``i0`` and
        ``itrans``); lines starting with # are comments.

    Raises
    ------
    ReferenceSpectrumError
        Unsorted, duplicate or non-finite energies, half a line, too short a range; with file, line and value.
    """
    energy, mu = read_table(path)
    edge = EDGES.get(element, float(energy[np.argmax(np.gradient(mu, energy))]))
    before, after = energy < edge - 25, energy > edge + 40
    if before.sum() < 3 or after.sum() < 3:
        span = f"{energy[0]:.1f}..{energy[-1]:.1f} eV"
        raise ReferenceSpectrumError(
            f"{path}: {span} does not reach from {edge - 25:.0f} to {edge + 40:.0f} eV ({element} K)"
        )
    below = np.polyval(np.polyfit(energy[before] - edge, mu[before], 1), energy - edge)
    above = np.polyval(np.polyfit(energy[after] - edge, mu[after], 1), energy - edge)
    step = float(np.interp(edge, energy, above - below))
    if not step > 0:
        raise ReferenceSpectrumError(f"{path}: edge step {step:.3g} at {edge} eV is not positive")
    mu = (mu - below) / step + np.where(energy > edge, (step - (above - below)) / step, 0.0)
    return Reference(element, valence, energy, _fade(energy - edge, mu), path.name)


def read_table(path: Path) -> tuple[Array, Array]:
    """Return (energy eV, absorption) of a column file or XDI.

    Raises
    ------
    ReferenceSpectrumError
        See `measured`.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise ReferenceSpectrumError(f"reference file {path}: {error.strerror}") from error
    names = _column_names(lines)
    rows: list[list[float]] = []
    numbers: list[int] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        rows.append(_numbers(path, number, line, len(rows[0]) if rows else None))
        numbers.append(number)
    if len(rows) < 10:
        raise ReferenceSpectrumError(f"{path}: {len(rows)} data lines are fewer than 10")
    table = np.array(rows)
    energy = table[:, names.index("energy") if "energy" in names else 0]
    energy = energy * 1000 if energy.max() < 100 else energy
    _check_increasing(path, numbers, energy)
    return energy, _absorption(table, names)


def _column_names(lines: Sequence[str]) -> list[str]:
    names: dict[int, str] = {}
    for line in lines:
        key, _, value = line.lstrip("# ").partition(":")
        if line.startswith("#") and key.lower().startswith("column.") and value.split():
            names[int(key[7:])] = value.split()[0].lower()
    return [names[index] for index in sorted(names)]


def _numbers(path: Path, number: int, line: str, width: int | None) -> list[float]:
    try:
        values = [float(word) for word in line.replace(",", " ").split()]
    except ValueError as error:
        raise ReferenceSpectrumError(f"{path}, line {number}: {line.strip()[:60]!r} is not a row of numbers") from error
    if not all(map(math.isfinite, values)):
        raise ReferenceSpectrumError(f"{path}, line {number}: {line.strip()[:60]!r} is not finite")
    if len(values) < 2 or (width is not None and len(values) != width):
        raise ReferenceSpectrumError(f"{path}, line {number}: {len(values)} columns, expected {width or 'at least 2'}")
    return values


def _check_increasing(path: Path, numbers: Sequence[int], energy: Array) -> None:
    bad = np.flatnonzero(np.diff(energy) <= 0)
    if bad.size:
        i = int(bad[0]) + 1
        kind = "duplicate" if energy[i] == energy[i - 1] else "unsorted"
        message = f"{kind} energy {energy[i]:.4f} eV after {energy[i - 1]:.4f} eV"
        raise ReferenceSpectrumError(f"{path}, line {numbers[i]}: {message}")


def _absorption(table: Array, names: Sequence[str]) -> Array:
    for name in ("mutrans", "mu", "xmu", "norm", "flat"):
        if name in names:
            return np.asarray(table[:, names.index(name)])
    if "i0" in names and "itrans" in names:
        return np.asarray(np.log(table[:, names.index("i0")] / table[:, names.index("itrans")]))
    return np.asarray(table[:, 1])
