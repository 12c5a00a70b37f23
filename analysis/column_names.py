"""Which columns of a text file are energy and absorption, told by the names that beamlines give them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.text_tables import FileFormatError, TextTable

__all__ = [
    "SIGNALS",
    "Columns",
    "Measurement",
    "chosen_columns",
    "column_names",
    "column_number",
    "energy_column",
    "measurement",
    "sigma_column",
]

SIGNALS = ("transmission", "fluorescence", "reference")
ENERGY = ("energy", "e", "ev", "kev", "e_ev", "e_kev", "en", "photon_energy", "mono_energy", "encoder_energy")
_SET = re.compile(r"request|set|target|nominal|ring")  # energies that were asked for, or of something else
# Names of absorption by signal, best first. What divides an edge by a constant does not move it: any logarithm will do.
READY = {
    "transmission": (
        *("mutrans", "normtrans", "mu", "xmu", "norm", "normalized", "normalised", "flat", "absorption", "absorbance"),
        *("mue", "mux", "mut", "abs", "od", "optical_density", "ln", "log"),
    ),
    "fluorescence": ("mufluor", "normfluor", "mu_fluor", "mu_fluo"),
    "reference": ("murefer", "normrefer", "mu_ref", "mu_refer", "reference"),
}
_ABSORPTION = re.compile(r"(norm\w*_)?(x?mu(_[ext])?|absorption(_coefficient)?|absorbance)(_norm\w*)?")
BEFORE = ("i0", "io", "i_0", "monitor", "mon", "incident")
AFTER = ("itrans", "i1", "i_1", "it", "i_t", "i", "itransmission", "transmission", "transmitted", "trans")
BEHIND = ("irefer", "iref", "i_ref", "ir", "i_r", "i2", "i_2")
FLUORESCENCE = ("ifluor", "if", "i_f", "iff", "fluor", "fluorescence", "fluo", "fy", "ff", "pips", "lytle")
SIGMA = ("sigma", "stddev", "std", "uncertainty", "mu_sigma", "mu_err", "error")
_NEEDED = {  # what a signal is made of: -ln(second / first), or second / first
    "transmission": (BEFORE, AFTER),
    "fluorescence": (BEFORE, FLUORESCENCE),
    "reference": (AFTER, BEHIND),
}
# What stands first in files of some beamlines and would pass for an energy in keV or for an absorption.
_NEITHER = frozenset(
    (
        *(
            "angle",
            "theta",
            "bragg",
            "time",
            "clock",
            "seconds",
            "index",
            "point",
            "pt_no",
            "step",
            "n",
            "k",
            "r",
            "chi",
        ),
        *(*BEFORE, *AFTER, *BEHIND, *FLUORESCENCE),
    )
)
_ARGUMENTS = {
    True: "..., energy=...), by name or by number from 0, and the absorption (mu=...)",
    False: "..., mu=...) or (..., i0=..., transmitted=...) or (..., i0=..., fluorescence=...)",
}
_UNIT = re.compile(r"\s*[(\[{][^)\]}]*[)\]}]|/\s*(k?eV|a\.?u\.?|arb\.? ?u\.?)\s*$", re.IGNORECASE)
_MULTIWORD = (r"\s*[\t,;]\s*", r"\s{2,}|(?<=\*)\s+")  # between names that may hold blanks; a star ends a positioner's
_NAME = re.compile(r"^(?![-+.\d]+(e[-+]?\d+)?$).*[A-Za-z\u00b5\u03bc]", re.IGNORECASE)
# Channels of a detector of many elements, as fe_ka_mca1 or ifch1.
_EMISSION = re.compile(r"(^|_)[a-z]{1,2}_?[kl][ab]\d?(_|$)|^if[a-z]*\d+$")
_NUMBERED = re.compile(r"^Col(?:umn)?[.\s]*(\d+)\s*[:\s]\s*(\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What an absorption is made of, by the numbers of columns from 0.

    Attributes
    ----------
    ready : the column that holds it, or None
    before, behind : columns of the intensities before and behind the absorber, to be summed
    logarithm : absorption is -ln(behind / before), else behind / before
    """

    ready: int | None
    before: tuple[int, ...] = ()
    behind: tuple[int, ...] = ()
    logarithm: bool = True

    @property
    def columns(self) -> set[int]:
        """Every column it takes."""
        return {*self.before, *self.behind} | ({self.ready} if self.ready is not None else set())


@dataclass(frozen=True, slots=True)
class Columns:
    """Number of the energy column, from 0, and what the absorption is made of."""

    energy: int
    signal: Measurement


def column_names(table: TextTable) -> list[str]:
    """Names in the last header line that has one for each column, units in brackets left out; empty if none has.

    Names may also stand one a line, as ``Column.2: mu``.

    Examples
    --------
    >>> from analysis.text_tables import read_table
    >>> column_names(read_table(b"# Energy (eV), mu(E)\\n8333, 0.5"))
    ['Energy', 'mu']
    """
    count = table.values.shape[1]
    candidates = [names for line in reversed(table.header) for names in _splits(line) if len(names) == count]
    numbered = {int(m.group(1)): m.group(2) for line in table.header if (m := _NUMBERED.match(line))}
    if set(range(1, count + 1)) <= numbered.keys():
        candidates.append([numbered[i] for i in range(1, count + 1)])
    return max(candidates, key=_told, default=[])


def _told(names: Sequence[str]) -> int:
    """How much names tell of energy and absorption, 0 to 2."""
    return (energy_column(names) is not None) + (measurement(names) is not None)


def _splits(line: str) -> Iterator[list[str]]:
    """Names in a line, split in the ways that files do it; not what holds numbers, which are no names."""
    bare = re.sub(r"^[LC]\s+", "", _UNIT.sub("", line).strip())  # SPEC opens the line with its key
    for names in (*(re.split(gap, bare) for gap in _MULTIWORD), bare.replace(",", " ").split()):
        if all(_NAME.search(name) for name in names):
            yield [name.strip("\"'") for name in names]


def chosen_columns(
    table: TextTable, *, signal: str = "auto", energy: int | None = None, measured: Measurement | None = None
) -> Columns:
    """Complete what is given by what the names tell; without names, two columns are energy and absorption.

    Raises
    ------
    FileFormatError
        When the file does not tell: the message lists the columns and how to say which.
    """
    names = column_names(table)
    count = table.values.shape[1]
    if count < 2:
        raise FileFormatError(f"{table.source} has one column; a spectrum needs energy and absorption")
    found = measurement(names, signal) if measured is None else measured
    number = energy_column(names) if energy is None else energy
    if number is None and (count == 2 or found is not None):
        number = next((i for i in range(count) if found is None or i not in found.columns), None)
        number = None if number is None or _means_something_else(names, number) else number
    if found is None and count == 2 and number is not None and signal in {"auto", "transmission"}:
        found = None if _means_something_else(names, 1 - number) else Measurement(1 - number)
    if number is None or found is None:
        what = "energy" if number is None else "absorption" if signal == "auto" else signal
        named = f"no column is named as {what} among {names}" if names else f"{count} columns without names"
        raise FileFormatError(f"{table.source}: {named}; say which with read_columns({_ARGUMENTS[number is None]}")
    return Columns(number, found)


def column_number(table: TextTable, which: int | str) -> int:
    """Return the number of a column given by number from 0 or by its name in the header.

    Raises
    ------
    FileFormatError
        When there is no such column.
    """
    count = table.values.shape[1]
    if isinstance(which, int):
        if not 0 <= which < count:
            raise FileFormatError(f"{table.source} has columns 0..{count - 1}, not {which}")
        return which
    names = column_names(table)
    if which not in names:
        raise FileFormatError(f"{table.source} has no column {which!r} among {names}")
    return names.index(which)


def energy_column(names: Sequence[str]) -> int | None:
    """Return the number of the energy column, None where names do not tell.

    Examples
    --------
    >>> energy_column(["requested_energy", "mono1_energy_acs", "i0"])
    1
    """
    keys = [_key(name) for name in names]
    exact = _first(keys, ENERGY)
    if exact is not None:
        return exact
    like = [i for i, key in enumerate(keys) if "energ" in key]
    measured = [i for i in like if not _SET.search(keys[i])]
    return next(iter(measured or like), None) if len(measured or like) == 1 else None


def measurement(names: Sequence[str], signal: str = "auto") -> Measurement | None:
    """Return what the absorption is made of, None where names do not tell.

    Automatic is the sample: absorption that is ready, by the column that stands first, before intensities, and with
    these transmission before fluorescence. Intensities beside single channels of a fluorescence detector do not tell.
    """
    if signal not in {"auto", *SIGNALS}:
        raise ValueError(f"signal {signal!r} is not auto, {', '.join(SIGNALS[:-1])} or {SIGNALS[-1]}")
    keys = [_key(name) for name in names]
    kinds = SIGNALS[:2] if signal == "auto" else (signal,)
    ready = [column for kind in kinds if (column := _ready(keys, kind)) is not None]
    if ready:
        return Measurement(min(ready))
    if signal == "auto" and any(_EMISSION.search(key) for key in keys):
        return None
    for kind in kinds:
        before, behind = _NEEDED[kind]
        a, b = _first(keys, before), _first(keys, behind)
        if a is not None and b is not None:
            return Measurement(None, (a,), (b,), kind != "fluorescence")
    return None


def sigma_column(names: Sequence[str]) -> int | None:
    """Return the number of the one column named as standard deviation of the absorption, None where none is."""
    found = [i for i, name in enumerate(names) if _key(name) in SIGMA]
    return found[0] if len(found) == 1 else None


def _ready(keys: Sequence[str], kind: str) -> int | None:
    found = _first(keys, READY[kind])
    if found is None and kind == "transmission":
        return next((i for i, key in enumerate(keys) if _ABSORPTION.fullmatch(key)), None)
    return found


def _means_something_else(names: Sequence[str], column: int) -> bool:
    """Whether a column is named as what would pass for an energy in keV or for an absorption and is neither."""
    return bool(names) and _key(names[column]) in _NEITHER


def _key(name: str) -> str:
    """A name without case, units, signs and numbering: ``1_Energy (keV)`` and ``energy`` are one."""
    plain = _UNIT.sub("", name.lower().replace("µ", "mu").replace("μ", "mu"))
    return re.sub(r"^\d+_", "", re.sub(r"[^a-z0-9]+", "_", plain).strip("_"))


def _first(keys: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((keys.index(name) for name in wanted if name in keys), None)
