"""Runs the edge kernels over blocks of voxels, in threads, and turns their output into maps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from analysis import crossing, products
from analysis.edge_map import Code, EdgeMap
from analysis.edge_tables import EdgeReader
from analysis.lowrank import Basis
from analysis.threads import available_threads, run_tasks

Float32Array = NDArray[np.float32]

ROWS = 7  # what the kernels report per voxel
ROWS_WITHOUT_WHITE_LINE = 4


def read_edges(
    reader: EdgeReader,
    spectra: Float32Array,
    *,
    threads: int | None = None,
    white_line: bool = True,
    with_coarse: bool = False,
) -> tuple[Float32Array, NDArray[np.uint8]]:
    """Run the kernel over spectra [E, N]; returns the rows of `crossing.read_tile` and the codes.

    `with_coarse` asks for the last row, and so for the white line too.
    """
    count = spectra.shape[1]
    rows = ROWS + 1 if with_coarse else ROWS if white_line else ROWS_WITHOUT_WHITE_LINE
    out = np.empty((rows, count), np.float32)
    code = np.empty(count, np.uint8)

    def run(low: int, high: int) -> None:
        read_part(reader, spectra, low, high, low, out, code)

    in_parts(run, count, threads)
    return out, code


def read_part(
    reader: EdgeReader,
    spectra: Float32Array,
    low: int,
    high: int,
    first: int,
    out: Float32Array,
    code: NDArray[np.uint8],
) -> None:
    """Read the voxels low..high of `spectra` into `out` and `code` from place `first` on."""
    given = reader.coefficients
    crossing.read_spectra(spectra, low, high, first, reader.weights, reader.inverse_sigma, given, out, code)


def in_parts(run: Callable[[int, int], None], count: int, threads: int | None, *, most: int | None = None) -> None:
    """Call ``run(low, high)`` on parts of 0..count that are whole tiles, in as many threads as asked for.

    `most` voxels are in one part; by default there is one part per thread.
    """
    workers = available_threads(threads)
    part = max(-(-count // workers // crossing.TILE), 64) * crossing.TILE
    part = part if most is None else min(part, max(most // crossing.TILE, 1) * crossing.TILE)
    bounds = [(low, min(low + part, count)) for low in range(0, count, part)]
    run_tasks(lambda bound: run(*bound), bounds, workers)


def edge_map(
    out: Float32Array,
    code: NDArray[np.uint8],
    reader: EdgeReader,
    basis: Basis,
    wanted: NDArray[np.bool_] | None = None,
) -> EdgeMap:
    """Turn kernel output into a map in eV; voxels outside `wanted` become NOT_MEASURED."""
    out[0] += np.float32(reader.reference)
    if len(out) > ROWS_WITHOUT_WHITE_LINE:
        out[4] += np.float32(reader.reference)
    if wanted is not None:
        out[:, ~wanted] = np.nan
        code[~wanted] = Code.NOT_MEASURED
    nothing = np.broadcast_to(np.float32(np.nan), (3, code.size))
    white_line, white_line_sigma, white_line_height = out[4:7] if len(out) > ROWS_WITHOUT_WHITE_LINE else nothing
    return EdgeMap(
        energy=out[0],
        sigma=out[1],
        jump=out[2],
        jump_sigma=out[3],
        white_line=white_line,
        white_line_sigma=white_line_sigma,
        white_line_height=white_line_height,
        code=code,
        rank=basis.rank,
        normalisation=reader.normalisation,
        eigenvalues=basis.eigenvalues,
        noise_scale=basis.noise_scale,
        basis=basis,
    )


def with_voxel_noise(
    out: Float32Array, code: NDArray[np.uint8], reader: EdgeReader, sigma: Float32Array, largest: float
) -> None:
    """Replace, in place, the sigmas by those of each voxel's own noise `sigma` [E, N].

    `out` comes from `read_edges` with the coarse part; edges less certain than `largest` (eV) are taken back.
    """
    reads = (
        (0, reader.height_response, reader.at_edge),
        (4, reader.slope_response, reader.at_peak),
        (2, reader.jump_response, reader.of_jump[None]),
    )
    origin, per_ev = reader.origin, reader.per_ev
    for row, response, table in reads:
        known = np.isfinite(out[row])
        place = (np.nan_to_num(out[row]) - origin) * per_ev + 0.5 if row != 2 else np.zeros(code.size)
        at = np.clip(place, 0, len(table) - 1).astype(np.intp)
        own = np.empty(code.size, np.float32)
        products.response_variance(sigma, np.ascontiguousarray(response**2), at, own)
        coarse2 = out[7] ** 2 if row == 0 else np.float32(0)
        before, after = table[at, 0] + table[at, 1], own + table[at, 1]
        steepness2 = before / np.maximum(out[row + 1] ** 2 - coarse2, 1e-30)
        out[row + 1] = np.where(known, np.sqrt(after / steepness2 + coarse2), np.nan)
    unknown = ~np.isfinite(out[3])
    code[unknown] = Code.NOT_MEASURED
    code[(code == Code.OK) & ~(out[1] <= largest)] = Code.TOO_NOISY
    out[:, code == Code.NOT_MEASURED] = np.nan
    out[np.ix_((0, 1, 4, 5, 6), code != Code.OK)] = np.nan
