"""Back-projection and its adjoint on slice-contiguous arrays: sixty-four slices share one set of indices and weights.

Index and weight of a detector sample depend on pixel and angle only. With the slice number running fastest in
memory, the inner step of both operators is a handful of vector loads and fused multiply-adds, with no gather. The
vector step is emitted as LLVM vector operations, which the compiler lowers to whatever the processor has.

Arrays are flat float32: a *sinogram slab* is (angle, sample, lane), an *image slab* (y, x, lane), with `LANES` lanes.
A voxel at (x, y) detector pixels from the rotation axis is seen at sample ``centres[angle] + x cos(angle) + y
sin(angle)``. Only voxels inside the inscribed circle of the grid are touched; the caller supplies samples for all
of it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

LANES = 64
"""Slices that share one set of indices and weights."""

ANGLES_PER_PASS = 8
"""Angles added to a voxel between one load and one store of it."""

_TILE = 64
_CACHE_LINE = 64

_vector = ir.VectorType(ir.FloatType(), LANES)
_zero_mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
_one = ir.Constant(ir.FloatType(), 1.0)
_unpack: Any = cgutils.unpack_tuple


def aligned_zeros(size: int) -> NDArray[np.float32]:
    """Flat float32 zeros starting on a cache line, so that no vector load is split over two lines."""
    raw = np.zeros(size + _CACHE_LINE // 4, dtype=np.float32)
    start = (-raw.ctypes.data // 4) % (_CACHE_LINE // 4)
    return raw[start : start + size]


def zeros_of_shape(shape: tuple[int, ...], old: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Zeros on a cache line, in the memory of `old` where it has this shape."""
    if old is not None and old.shape == shape:
        old.fill(0.0)
        return old
    return aligned_zeros(math.prod(shape)).reshape(shape)


def _array_data(context: Any, builder: Any, array_type: Any, value: Any) -> Any:
    return context.make_array(array_type)(context, builder, value).data


def _lanes_at(builder: Any, data: Any, offset: Any) -> Any:
    return builder.bitcast(builder.gep(data, [offset]), _vector.as_pointer())


def _load(builder: Any, pointer: Any) -> Any:
    value = builder.load(pointer)
    value.align = 4
    return value


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, pointer).align = 4


def _splat(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(_vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, _zero_mask)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])


def _require_float32(*arrays: Any) -> None:
    """Refuse, when compiling, arrays that the vector loads would misread."""
    for array in arrays:
        if array.dtype != types.float32 or array.ndim != 1 or array.layout != "C":
            raise TypeError(f"{array} is not a flat, contiguous float32 array")


def _gather(_context: Any, image: Any, voxel: Any, sinogram: Any, samples: Any, fractions: Any) -> Any:
    """image[voxel] += sum over angles of (1 - f) sinogram[sample] + f sinogram[sample + 1], for all lanes."""
    _require_float32(image, sinogram)
    signature = types.void(image, voxel, sinogram, samples, fractions)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        image_data = _array_data(context, builder, signature.args[0], args[0])
        sinogram_data = _array_data(context, builder, signature.args[2], args[2])
        target = _lanes_at(builder, image_data, args[1])
        total = _load(builder, target)
        for sample, fraction in zip(_unpack(builder, args[3]), _unpack(builder, args[4]), strict=True):
            after = builder.add(sample, ir.Constant(sample.type, LANES))
            here = _load(builder, _lanes_at(builder, sinogram_data, sample))
            there = _load(builder, _lanes_at(builder, sinogram_data, after))
            total = _multiply_add(builder, _splat(builder, builder.fsub(_one, fraction)), here, total)
            total = _multiply_add(builder, _splat(builder, fraction), there, total)
        _store(builder, total, target)
        return context.get_dummy_value()

    return signature, codegen


_gather_lanes: Any = intrinsic(_gather)


def _scatter(_context: Any, image: Any, voxel: Any, sinogram: Any, sample: Any, fraction: Any) -> Any:
    """Adjoint of `_gather` for one angle: spread image[voxel] over two neighbouring samples, for all lanes."""
    _require_float32(image, sinogram)
    signature = types.void(image, voxel, sinogram, sample, fraction)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        image_data = _array_data(context, builder, signature.args[0], args[0])
        sinogram_data = _array_data(context, builder, signature.args[2], args[2])
        value = _load(builder, _lanes_at(builder, image_data, args[1]))
        after = builder.add(args[3], ir.Constant(args[3].type, LANES))
        for offset, weight in ((args[3], builder.fsub(_one, args[4])), (after, args[4])):
            target = _lanes_at(builder, sinogram_data, offset)
            total = _multiply_add(builder, _splat(builder, weight), value, _load(builder, target))
            _store(builder, total, target)
        return context.get_dummy_value()

    return signature, codegen


_scatter_lanes: Any = intrinsic(_scatter)


@njit(inline="always", error_model="numpy")
def _sample(x: Any, cosine: Any, start: Any) -> Any:
    """Integer sample and fraction of a voxel at column offset `x` for one angle."""
    position = x * cosine + start
    whole = np.int32(position)
    return np.int64(whole), position - np.float32(whole)


@njit(inline="always", error_model="numpy")
def _chord(y: Any, half: Any, first: Any, last: Any) -> Any:
    """Columns first <= x < last of row `y` that lie in the inscribed circle of the grid."""
    reach = math.sqrt(max(half * half - y * y, 0.0))
    return max(first, math.ceil(half - reach)), min(last, int(half + reach) + 1)


@njit(nogil=True, cache=True, error_model="numpy")
def back_project(
    sinogram: Any,
    samples: Any,
    cosines: Any,
    sines: Any,
    centres: Any,
    image: Any,
    size: Any,
    window: Any,
    y_start: Any,
    y_stop: Any,
) -> None:
    """Add the samples of all angles to rows y_start..y_stop of one image slab, by linear interpolation.

    Parameters
    ----------
    sinogram : flat (angle, sample, lane) float32; the number of angles is a multiple of `ANGLES_PER_PASS`
    samples : samples per angle
    cosines, sines : float32 per angle, times voxel size over pixel size
    centres : float32 per angle; sample on which the rotation axis falls, shifts of the projection included
    image : flat (y, x, lane) float32, changed in place
    size : voxels along x and y of the whole grid
    window : (first row, first column, columns) of the part of the grid that `image` holds
    y_start, y_stop : rows of the grid
    """
    half = np.float32((size - 1) * 0.5)
    stride = samples * LANES
    first_row, first_column, columns = window
    for x_start in range(first_column, first_column + columns, _TILE):
        for y_index in range(y_start, y_stop):
            y = np.float32(y_index) - half
            first, last = _chord(y, half, x_start, min(x_start + _TILE, first_column + columns))
            row = (y_index - first_row) * columns - first_column
            for a in range(0, cosines.size, ANGLES_PER_PASS):
                s0 = centres[a] + y * sines[a]
                s1 = centres[a + 1] + y * sines[a + 1]
                s2 = centres[a + 2] + y * sines[a + 2]
                s3 = centres[a + 3] + y * sines[a + 3]
                s4 = centres[a + 4] + y * sines[a + 4]
                s5 = centres[a + 5] + y * sines[a + 5]
                s6 = centres[a + 6] + y * sines[a + 6]
                s7 = centres[a + 7] + y * sines[a + 7]
                for x_index in range(first, last):
                    x = np.float32(x_index) - half
                    i0, f0 = _sample(x, cosines[a], s0)
                    i1, f1 = _sample(x, cosines[a + 1], s1)
                    i2, f2 = _sample(x, cosines[a + 2], s2)
                    i3, f3 = _sample(x, cosines[a + 3], s3)
                    i4, f4 = _sample(x, cosines[a + 4], s4)
                    i5, f5 = _sample(x, cosines[a + 5], s5)
                    i6, f6 = _sample(x, cosines[a + 6], s6)
                    i7, f7 = _sample(x, cosines[a + 7], s7)
                    o = a * stride
                    _gather_lanes(
                        image,
                        (row + x_index) * LANES,
                        sinogram,
                        (
                            o + i0 * LANES,
                            o + stride + i1 * LANES,
                            o + 2 * stride + i2 * LANES,
                            o + 3 * stride + i3 * LANES,
                            o + 4 * stride + i4 * LANES,
                            o + 5 * stride + i5 * LANES,
                            o + 6 * stride + i6 * LANES,
                            o + 7 * stride + i7 * LANES,
                        ),
                        (f0, f1, f2, f3, f4, f5, f6, f7),
                    )


@njit(nogil=True, cache=True, error_model="numpy")
def project(
    image: Any,
    size: Any,
    cosines: Any,
    sines: Any,
    centres: Any,
    sinogram: Any,
    samples: Any,
    a_start: Any,
    a_stop: Any,
) -> None:
    """Add the projections of an image slab at angles a_start..a_stop: the adjoint of `back_project`."""
    half = np.float32((size - 1) * 0.5)
    for y_index in range(size):
        y = np.float32(y_index) - half
        first, last = _chord(y, half, 0, size)
        for a in range(a_start, a_stop):
            start = centres[a] + y * sines[a]
            offset = a * samples * LANES
            for x_index in range(first, last):
                i, f = _sample(np.float32(x_index) - half, cosines[a], start)
                _scatter_lanes(image, (y_index * size + x_index) * LANES, sinogram, offset + i * LANES, f)


@njit(nogil=True, cache=True, error_model="numpy")
def paired(rows: Any, length: Any) -> Any:
    """Return real rows (projection, row, column) two by two as complex ones (projection, pair, length), with zeros.

    A filter that is real in space and in frequency keeps the two apart, and their transform can stay where it is.
    """
    projections, count, columns = rows.shape
    pairs = np.zeros((projections, (count + 1) // 2, length), np.complex64)
    for p in range(projections):
        for pair in range(count // 2):
            for x in range(columns):
                pairs[p, pair, x] = complex(rows[p, 2 * pair, x], rows[p, 2 * pair + 1, x])
        if count % 2:
            for x in range(columns):
                pairs[p, count // 2, x] = rows[p, count - 1, x]
    return pairs


@njit(nogil=True, cache=True, error_model="numpy")
def interleave(pairs: Any, first: Any, scale: Any, sinogram: Any) -> None:
    """Write rows `paired` (pair, column) times `scale` to (sample, lane), from column `first` on and going round."""
    samples = sinogram.shape[0]
    period = pairs.shape[1]
    for block in range(0, samples, LANES):
        stop = min(block + LANES, samples)
        for pair in range(pairs.shape[0]):
            column = (first + block) % period
            for sample in range(block, stop):
                value = pairs[pair, column]
                sinogram[sample, 2 * pair] = value.real * scale
                sinogram[sample, 2 * pair + 1] = value.imag * scale
                column += 1
                if column == period:
                    column = 0


@njit(nogil=True, cache=True, error_model="numpy")
def deinterleave(
    slab: Any, scale: Any, outside: Any, slices: Any, size: Any, window: Any, y_start: Any, y_stop: Any
) -> None:
    """Write rows y_start..y_stop of an image slab (y, x, lane), times `scale`, into slices (lane, y, x).

    Beyond the inscribed circle stands `outside`. `size` and `window` as in `back_project`.
    """
    half = np.float32((size - 1) * 0.5)
    first_row, first_column, columns = window
    for y_index in range(y_start, y_stop):
        y = y_index - first_row
        begin, end = _chord(np.float32(y_index) - half, half, first_column, first_column + columns)
        first, last = min(begin - first_column, columns), max(end - first_column, 0)
        for lane in range(slices.shape[0]):
            for x in range(first):
                slices[lane, y, x] = outside
            for x in range(max(first, last), columns):
                slices[lane, y, x] = outside
        for block in range(first, last, LANES):
            for lane in range(slices.shape[0]):
                for x in range(block, min(block + LANES, last)):
                    slices[lane, y, x] = slab[y, x, lane] * scale
