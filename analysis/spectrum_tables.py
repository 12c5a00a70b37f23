"""From columns of numbers to a spectrum: energies in eV and in order, intensities as absorption, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.column_names import Measurement, column_names, measurement, sigma_column
from analysis.energy_scale import EnergyScale
from analysis.spectra import Spectrum
from analysis.text_tables import FileFormatError, TextTable

Array = NDArray[np.float64]

__all__ = ["absorption", "bragg_energy", "in_ev", "spectrum_from_table", "uncertainty"]

_HC_EV_ANGSTROM = 12398.419843320026  # CODATA 2018, exact since the SI of 2019
_FEWEST_POINTS = 10
_KEV_BELOW = 150.0  # no K or L edge that a TXM reaches lies below 150 eV or above 150 keV
_WIDEST = 3.0  # highest over lowest energy; a grid of wavenumbers or times exceeds it
_STRUCTURE = 6.0  # of the point noise; noise alone spreads by 3.3 between its 5 and 95 %
_JITTER = 1e-3  # of the span: steps back that an encoder's noise makes


def absorption(table: TextTable, made_of: Measurement, *, guessed: bool = False) -> Array:
    """Absorption from the columns it is made of.

    Parameters
    ----------
    table : TextTable
    made_of : Measurement
    guessed : bool
        Whether only names led to it: then light behind the sample that is but noise is refused where the file has
        fluorescence, too.

    Raises
    ------
    FileFormatError
        Where an intensity leaves no logarithm or no ratio.
    """
    if made_of.ready is not None:
        return np.asarray(table.values[:, made_of.ready])
    before, behind = (table.values[:, i].sum(axis=1) for i in (list(made_of.before), list(made_of.behind)))
    names = column_names(table)
    what = " / ".join(
        "+".join(names[i] if names else f"column {i}" for i in part) for part in (made_of.behind, made_of.before)
    )
    other = made_of.logarithm and measurement(names, "fluorescence") is not None
    sign = -1.0 if np.median(before) < 0 else 1.0  # of currents from an inverting amplifier
    bad = np.flatnonzero(~((sign * before > 0) & ((sign * behind > 0) | (not made_of.logarithm))))
    if bad.size:
        at = bad[0]
        raise FileFormatError(
            f"{table.source} line {table.lines[at]}: no {'logarithm of' if made_of.logarithm else 'ratio'} {what} = "
            f"{behind[at]:g} / {before[at]:g}" + ("; signal='fluorescence' reads the other detector" if other else "")
        )
    found = np.asarray(-np.log(behind / before) if made_of.logarithm else behind / before)
    if guessed and other and not _has_structure(found):
        raise FileFormatError(
            f"{table.source}: {what} is smooth but for noise; signal='fluorescence' reads the other detector, "
            "signal='transmission' insists"
        )
    return found


def uncertainty(table: TextTable, names: Sequence[str], made_of: Measurement) -> Array | None:
    """Standard deviation of an absorption that is ready, where the file has one for every point; else None."""
    number = sigma_column(names) if made_of.ready is not None else None
    if number is None:
        return None
    sigma = table.values[:, number]
    return np.asarray(sigma) if bool((sigma > 0).all() and np.isfinite(sigma).all()) else None


def _has_structure(mu: Array) -> bool:
    """Whether a spectrum departs from a cubic by more than its point noise, as an edge makes it."""
    x = np.linspace(-1.0, 1.0, mu.size)
    rest = mu - np.polynomial.Polynomial.fit(x, mu, min(3, mu.size - 1))(x)
    noise = 1.4826 / 6.0**0.5 * float(np.median(np.abs(np.diff(mu, 2)))) if mu.size > 2 else 0.0
    low, high = np.quantile(rest, [0.05, 0.95])
    return bool(high - low > _STRUCTURE * noise)


def in_ev(energy: Array, unit: str, *, source: str) -> Array:
    """Energies in eV; by their size when the unit is "auto"."""
    if unit not in {"auto", "eV", "keV"}:
        raise ValueError(f"energy unit {unit!r} is not auto, eV or keV")
    finite = energy[np.isfinite(energy)]
    if finite.size and finite.min() <= 0:
        raise FileFormatError(f"{source}: energy {finite.min()} is not positive; it must be absolute, in eV or keV")
    in_kev = unit == "keV" or (unit == "auto" and bool(finite.size) and float(finite.max()) < _KEV_BELOW)
    return energy * 1000.0 if in_kev else energy


def bragg_energy(angle: Array, d_spacing: float, *, source: str) -> Array:
    """Energies in eV of Bragg angles in degrees at planes `d_spacing` angstrom apart."""
    wrong = angle[np.isfinite(angle) & ~((angle > 0) & (angle < 90))]
    if wrong.size or not d_spacing > 0:
        raise FileFormatError(f"{source}: no Bragg angle of {wrong[:1]} degrees at a spacing of {d_spacing} angstrom")
    return np.asarray(_HC_EV_ANGSTROM / (2 * d_spacing * np.sin(np.radians(angle))))


def spectrum_from_table(
    table: TextTable,
    energy: Array,
    mu: Array,
    *,
    name: str,
    element: str,
    edge: str,
    scale: EnergyScale | None,
    sigma: Array | None = None,
    sort: bool = False,
) -> Spectrum:
    """Bring energies (eV) into order; refuse what cannot be a spectrum, with file, line and value.

    Energies that jitter by less than a thousandth of their span are sorted; whole sweeps only when asked for by `sort`.
    """
    for what, values in {"energy": energy, "absorption": mu}.items():
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            line = table.lines[wrong[0]]
            raise FileFormatError(f"{table.source} line {line}: {what} {values[wrong[0]]} is not finite")
    if energy.max() > _WIDEST * energy.min():
        raise FileFormatError(
            f"{table.source}: energies {energy.min():g}..{energy.max():g} eV span a factor of "
            f"{energy.max() / energy.min():.3g}, more than the {_WIDEST:g} of any absorption spectrum: another column?"
        )
    if not sort:
        _require_one_way(table, energy)
    energy, mu, sigma = _in_order(energy, mu, sigma)
    if energy.size < _FEWEST_POINTS:
        raise FileFormatError(f"{table.source}: {energy.size} points, a spectrum needs {_FEWEST_POINTS}")
    return Spectrum(
        energy=energy, mu=mu, sigma=sigma, name=name, element=element, edge=edge, scale=scale, source=table.source
    )


def _require_one_way(table: TextTable, energy: Array) -> None:
    step = np.diff(energy)
    falling = bool((step < 0).sum() > (step > 0).sum())
    back = step if falling else -step
    wrong = np.flatnonzero(back > _JITTER * np.ptp(energy))
    if wrong.size:
        at = int(wrong[0]) + 1
        raise FileFormatError(
            f"{table.source} line {table.lines[at]}: energy {energy[at]:.4f} eV is "
            f"{'above' if falling else 'below'} the line before ({energy[at - 1]:.4f} eV); energies must go one way "
            f"(sort=True of the reader sorts several sweeps)"
        )


def _in_order(energy: Array, mu: Array, sigma: Array | None) -> tuple[Array, Array, Array | None]:
    """Sort by energy; what was measured at one energy becomes its mean."""
    once, which, count = np.unique(energy, return_inverse=True, return_counts=True)
    mean = np.bincount(which, mu) / count
    return once, mean, None if sigma is None else np.sqrt(np.bincount(which, sigma**2)) / count
