"""Edge maps while energies arrive: every new energy sharpens the map, and the last one gives the batch result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike

from analysis.edge import LARGEST_SIGMA, LEAST_JUMP, SAMPLE, Code, EdgeMap, checked_limits
from analysis.lowrank import Basis, full_basis
from analysis.numbers import real_array, whole_number
from analysis.running_store import Reading, Sums, Values
from analysis.spectra import FloatArray, Normalisation, checked_energies

MEMORY = 2 << 30  # bytes of values kept in memory before they go to a file


class RunningEdges:
    """Edges of N voxels after any subset of the planned energies.

    Without a basis the values are kept, in memory or in an unnamed file, and the basis is learnt from a sample
    of the voxels each time a map is asked for: the map after the last energy is the one `fit_edges` gives. With a
    basis, learnt on a pilot scan, only its k sums per voxel are kept; energies not measured yet are then predicted
    by the basis, and the uncertainty says how well.

    Parameters
    ----------
    energies : [E], eV, planned, in any order; `add` counts in this order
    n_voxels : number of voxels, best only those inside the particle
    normalisation : windows and orders
    basis : a basis on (at least) the planned energies
    search : eV, range of the crossing
    sample : voxels from which the basis is learnt
    memory : bytes of values kept in memory; more go to a file
    directory : where that file lies; None takes the system's temporary directory
    least_jump, largest_sigma : as in `fit_edges`
    threads : None takes all cores this process may use
    white_line : read white lines as well; without them a map takes less time and memory, and they are NaN
    """

    def __init__(
        self,
        energies: ArrayLike,
        n_voxels: int,
        *,
        normalisation: Normalisation,
        basis: Basis | None = None,
        search: tuple[float, float] | None = None,
        sample: int = SAMPLE,
        memory: int = MEMORY,
        directory: str | Path | None = None,
        least_jump: float = LEAST_JUMP,
        largest_sigma: float = LARGEST_SIGMA,
        threads: int | None = None,
        white_line: bool = True,
    ) -> None:
        planned = real_array("energies", energies, np.float64)
        self._order = np.argsort(planned, kind="stable")
        self.energies = checked_energies(planned[self._order])
        n_voxels, sample = whole_number("n_voxels", n_voxels), whole_number("sample", sample)
        limits = checked_limits(least_jump, largest_sigma)
        normalisation.effective(self.energies)
        self.n_voxels = n_voxels
        self.normalisation = normalisation
        self._place = np.argsort(self._order)
        self._reading = Reading(normalisation, search, limits, threads, white_line)
        self._store: Values | Sums
        if basis is None:
            self._store = Values(self.energies, n_voxels, sample, memory, directory)
        else:
            self._store = Sums(basis, self.energies, n_voxels, sample, threads)

    @property
    def measured(self) -> FloatArray:
        """Energies (eV, increasing) that have arrived, as measured."""
        return np.sort(self._store.energies[np.isfinite(self._store.sigma)])

    @property
    def ready(self) -> bool:
        """Whether the energies so far can give any edge at all."""
        if isinstance(self._store, Sums):
            return self.measured.size > 0
        low, high = self._reading.search or (self.normalisation.pre[1], self.normalisation.post[0])
        e = self.measured
        windows = [self.normalisation.pre, self.normalisation.post]
        filled = all(((e >= a) & (e <= b)).any() for a, b in windows)
        return bool(filled and ((e >= low) & (e <= high)).sum() >= 1 and e.size >= 3)

    def add(
        self, index: int, values: ArrayLike, sigma: float, *, energy: float | None = None, replace: bool = False
    ) -> None:
        """Take the voxels of one energy; an energy that comes again is averaged in by its noise.

        Parameters
        ----------
        index : number of the energy in the order in which energies were planned
        values : [N], absorption; NaN where not measured
        sigma : their noise
        energy : eV, where it was really measured (the read-back); None takes the planned one. Not with a given
            basis, which holds at its own energies only
        replace : forget what was added for this energy before (spoiled frames); not possible with a given basis
        """
        if not (isinstance(index, int | np.integer) and 0 <= index < self.energies.size):
            raise ValueError(f"energy number {index} is outside 0..{self.energies.size - 1}")
        new = real_array("values", values, np.float32)
        if new.shape != (self.n_voxels,):
            raise ValueError(f"values have shape {new.shape}; {self.n_voxels} voxels are needed")
        if not (np.isfinite(sigma) and sigma > 0):
            raise ValueError(f"sigma {sigma} at {self.energies[self._place[index]]:g} eV is not a positive number")
        place = int(self._place[index])
        measured = float(self.energies[place]) if energy is None else float(energy)
        if not np.isfinite(measured):
            raise ValueError(f"energy {energy} eV, measured for the planned {self.energies[place]:g} eV, is not finite")
        self._store.put(place, new, sigma, energy=measured, replace=replace)

    def result(self) -> EdgeMap:
        """Return the map of the energies so far; all voxels NOT_MEASURED while `ready` is false."""
        return next(self.parts([(0, self.n_voxels)]))

    def parts(self, bounds: Sequence[tuple[int, int]]) -> Iterator[EdgeMap]:
        """Yield the map of the energies so far for the voxels low..high of each pair of `bounds`, one after the other.

        It is the map that `result` gives, without ever holding all of it.
        """
        if self.ready:
            return self._store.parts(self._reading, bounds)
        return (self._nothing(high - low) for low, high in bounds)

    def close(self) -> None:
        """Give the memory and the file back."""
        self._store.close()

    def __enter__(self) -> RunningEdges:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _nothing(self, count: int) -> EdgeMap:
        empty = np.full(count, np.nan, np.float32)
        return EdgeMap(
            energy=empty,
            sigma=empty,
            jump=empty,
            jump_sigma=empty,
            white_line=empty,
            white_line_sigma=empty,
            white_line_height=empty,
            code=np.full(count, Code.NOT_MEASURED, np.uint8),
            rank=0,
            normalisation=self.normalisation,
            eigenvalues=np.empty(0),
            noise_scale=1.0,
            basis=full_basis(self.energies, np.ones(self.energies.size)),
        )
