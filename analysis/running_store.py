"""What a running edge map keeps per voxel: all values (in memory or a file), or sums over a known basis."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis import crossing, products
from analysis.edge_correction import corrected
from analysis.edge_map import EdgeMap
from analysis.edge_reading import ROWS, ROWS_WITHOUT_WHITE_LINE, edge_map, in_parts, read_part
from analysis.edge_tables import EdgeReader, edge_reader
from analysis.lowrank import Basis, learn_basis, sampled_voxels
from analysis.spectra import FloatArray, Normalisation, checked_energies

Float32Array = NDArray[np.float32]

PART = 1 << 14  # voxels read back together: few enough to stay in the cache until they are used
_SAME_ENERGY = 1e-3  # eV


@dataclass(frozen=True, slots=True)
class Reading:
    """How edges are to be read: windows, search range (eV), limits of jump and sigma, threads, white lines as well."""

    normalisation: Normalisation
    search: tuple[float, float] | None
    limits: tuple[float, float]
    threads: int | None
    white_line: bool = True

    def room(self, count: int) -> tuple[Float32Array, NDArray[np.uint8]]:
        """Return the arrays that the kernels write to, for `count` voxels."""
        rows = ROWS if self.white_line else ROWS_WITHOUT_WHITE_LINE
        return np.empty((rows, count), np.float32), np.empty(count, np.uint8)


def _maps(
    read: Callable[[int, int, int, Float32Array, NDArray[np.uint8]], None],
    reading: Reading,
    bounds: Sequence[tuple[int, int]],
    reader: EdgeReader,
    basis: Basis,
) -> Iterator[EdgeMap]:
    """Map the voxels low..high of each pair of `bounds`; ``read(low, high, first, out, code)`` does a part of it."""
    for low, high in bounds:
        out, code = reading.room(high - low)
        in_parts(
            lambda a, b, low=low, out=out, code=code: read(low + a, low + b, a, out, code),  # type: ignore[misc]
            high - low,
            reading.threads,
            most=PART,
        )
        yield edge_map(out, code, reader, basis)


class Values:
    """All values of all voxels, one row per energy, and the voxels of the sample apart.

    `sigma` [E] is NaN where nothing has arrived. An energy that comes again is averaged in by its noise, or replaces
    what was there.
    """

    def __init__(
        self, energies: FloatArray, n_voxels: int, sample: int, memory: int, directory: str | Path | None
    ) -> None:
        self.energies = energies.copy()  # as planned until one is measured
        self.n_voxels = n_voxels
        self.sigma = np.full(energies.size, np.nan)
        self._chosen = sampled_voxels(n_voxels, None, sample)
        self._sample = np.full((energies.size, self._chosen.size), np.nan, np.float32)
        self._rows: Float32Array | None = None
        self._file = None
        if 4 * energies.size * n_voxels <= memory:
            self._rows = np.empty((energies.size, n_voxels), np.float32)
        else:
            self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 (lives until close)
            self._file.truncate(4 * energies.size * n_voxels)

    def put(self, place: int, values: Float32Array, sigma: float, *, energy: float, replace: bool) -> None:
        """Keep one energy, measured at `energy`."""
        if np.isfinite(self.sigma[place]) and not replace:
            before = self._part(np.array([place]), 0, self.n_voxels, np.empty(self.n_voxels, np.float32))[0]
            share = np.float32(self.sigma[place] ** 2 / (self.sigma[place] ** 2 + sigma**2))
            values = before + share * (values - before)
            energy = float(self.energies[place] + share * (energy - self.energies[place]))
            sigma = float(1 / np.hypot(1 / self.sigma[place], 1 / sigma))
        self._sample[place] = values[self._chosen]
        if self._rows is not None:
            self._rows[place] = values
        elif self._file is not None:
            self._file.seek(4 * place * self.n_voxels)
            self._file.write(np.ascontiguousarray(values).data)
        self.energies[place] = energy
        self.sigma[place] = sigma

    def parts(self, reading: Reading, bounds: Sequence[tuple[int, int]]) -> Iterator[EdgeMap]:
        """Learn a basis from the sample, and read the voxels low..high of each pair of `bounds`."""
        at = np.flatnonzero(np.isfinite(self.sigma))
        at = at[np.argsort(self.energies[at])]  # read-backs of close energies may change places
        checked_energies(self.energies[at])
        sigma = self.sigma[at]
        basis = learn_basis(self.energies[at], self._sample[at], sigma)
        reader = edge_reader(
            basis,
            np.arange(at.size),
            sigma * basis.noise_ratio,
            reading.normalisation,
            search=reading.search,
            limits=reading.limits,
        )
        reader = corrected(reader, self._sample[at], white_line=reading.white_line)

        rooms = threading.local()  # one per thread: new memory for each part would take as long as reading it

        def read(low: int, high: int, first: int, out: Float32Array, code: NDArray[np.uint8]) -> None:
            if not hasattr(rooms, "room"):
                rooms.room = np.empty(at.size * PART, np.float32)
            read_part(reader, self._part(at, low, high, rooms.room), 0, high - low, first, out, code)

        return _maps(read, reading, bounds, reader, basis)

    def close(self) -> None:
        """Free memory and file."""
        self._rows = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _part(self, at: NDArray[np.intp], low: int, high: int, room: Float32Array) -> Float32Array:
        """Values [at, low..high]; `room` is written over where they come from the file."""
        if self._rows is not None:
            return self._rows[at, low:high]
        if self._file is None:
            raise ValueError("the values were given back by close()")
        part = room[: at.size * (high - low)].reshape(at.size, high - low)
        for row, place in zip(part, at, strict=True):
            got = os.preadv(self._file.fileno(), [row.data], 4 * (int(place) * self.n_voxels + low))
            if got != row.nbytes:
                raise OSError(f"{got} of {row.nbytes} bytes could be read back at {self.energies[place]:g} eV")
        return part


class Sums:
    """The projections of all voxels on a known basis, summed over the energies so far, and a sample of voxels apart."""

    def __init__(self, basis: Basis, energies: FloatArray, n_voxels: int, sample: int, threads: int | None) -> None:
        if basis.energies.shape != energies.shape or (np.abs(basis.energies - energies) > _SAME_ENERGY).any():
            raise ValueError(
                f"the basis was learnt on {basis.energies.size} energies "
                f"{basis.energies[0]:g}..{basis.energies[-1]:g} eV, other than the {energies.size} planned"
            )
        self.energies = energies
        self.sigma = np.full(energies.size, np.nan)
        self._chosen = sampled_voxels(n_voxels, None, sample)
        self._sample = np.full((energies.size, self._chosen.size), np.nan, np.float32)
        self._repeats = 0
        self._threads = threads
        self._basis = basis
        self._sums = np.zeros((basis.rank, n_voxels), np.float32)
        self._squares = np.zeros(n_voxels, np.float32)

    def put(self, place: int, values: Float32Array, sigma: float, *, energy: float, replace: bool) -> None:
        """Add one energy; one that comes again counts as more exposure, for sums cannot forget."""
        if abs(energy - self.energies[place]) > _SAME_ENERGY:
            raise ValueError(
                f"measured at {energy:g} eV, but the basis given was learnt at {self.energies[place]:g} eV"
            )
        again = bool(np.isfinite(self.sigma[place]))
        if again and replace:
            energy = self._basis.energies[place]
            raise ValueError(f"energy {energy:g} eV was added before; sums over a basis cannot forget it")
        new = values[self._chosen]
        before = self._sample[place] if again else new
        share = self.sigma[place] ** 2 / (self.sigma[place] ** 2 + sigma**2) if again else 1.0
        self._sample[place] = before + np.float32(share) * (new - before)
        self._repeats += int(again)
        variance = (sigma * self._basis.noise_ratio[place]) ** 2
        weights = (self._basis.vectors[place] / variance).astype(np.float32)

        def run(low: int, high: int) -> None:
            products.add_energy(values, low, high, weights, 1 / variance, self._sums, self._squares)

        in_parts(run, values.size, self._threads)
        self.sigma[place] = 1 / np.hypot(1 / self.sigma[place], 1 / sigma) if again else sigma

    def parts(self, reading: Reading, bounds: Sequence[tuple[int, int]]) -> Iterator[EdgeMap]:
        """Solve with the normal matrix of the energies so far, for the voxels low..high of each pair of `bounds`."""
        at = np.flatnonzero(np.isfinite(self.sigma))
        noise = self.sigma[at] * self._basis.noise_ratio[at]
        reader = edge_reader(
            self._basis,
            at,
            noise,
            reading.normalisation,
            search=reading.search,
            limits=reading.limits,
            extra_freedom=self._repeats,
        )
        reader = corrected(reader, self._sample[at], white_line=reading.white_line)

        def read(low: int, high: int, first: int, out: Float32Array, code: NDArray[np.uint8]) -> None:
            crossing.read_sums(self._sums, self._squares, low, high, first, reader.coefficients, out, code)

        return _maps(read, reading, bounds, reader, self._basis)

    def close(self) -> None:
        """Free the memory."""
        self._sums = np.empty((0, 0), np.float32)
        self._squares = np.empty(0, np.float32)
