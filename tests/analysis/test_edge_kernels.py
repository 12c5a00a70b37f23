"""The compiled kernels of edge reading against the same in plain numpy."""

import numpy as np
import pytest

from analysis.brackets import WORK_ROWS, find_brackets
from analysis.products import multiply, padded, project, room


def searched(height, first, last):
    """Highest knot, and the last upward crossing at or below it, or -1: one spectrum, knot by knot."""
    peak = first + int(np.argmax(height[first : last + 1]))
    ups = [i for i in range(first + 1, peak + 1) if height[i - 1] < 0 <= height[i]]
    return (ups[-1] if ups else -1), peak


@pytest.mark.parametrize("knots", [4, 7, 31, 32, 62, 63, 200])  # blocks of 31 knots, whole and not
@pytest.mark.parametrize("ends", [(0, 0), (1, 1)])
def test_brackets_are_those_of_a_search_knot_by_knot(knots, ends) -> None:
    first, last = ends[0], knots - 1 - ends[1]
    rng = np.random.default_rng(knots)
    rise = np.tanh((np.arange(knots) - rng.uniform(0, knots, 256)[:, None]).T / 3)
    height = (rise + 0.5 * rng.standard_normal((knots, 256))).astype(np.float32)
    crossing, peak = np.empty((2, 256), np.int32)
    find_brackets(height, 256, first, last, crossing, peak, np.empty((WORK_ROWS, 256), np.int32))
    expected = np.array([searched(spectrum, first, last) for spectrum in height.T])
    positive = height[first : last + 1].max(axis=0) > 0
    np.testing.assert_array_equal(crossing[positive], expected[positive, 0])
    np.testing.assert_array_equal(peak[positive], expected[positive, 1])
    assert (crossing[~positive] == -1).all()


def test_of_equal_heights_the_first_is_the_highest() -> None:
    height = np.repeat(np.float32([-1, 2, -1, 2, 2])[:, None], 256, axis=1)
    crossing, peak = np.empty((2, 256), np.int32)
    find_brackets(height, 256, 0, 4, crossing, peak, np.empty((WORK_ROWS, 256), np.int32))
    assert (crossing == 1).all()
    assert (peak == 1).all()


@pytest.mark.parametrize("terms", [1, 4, 5, 8, 13])
@pytest.mark.parametrize("rows", [3, 40])
def test_products_of_any_size(rows, terms) -> None:
    rng = np.random.default_rng(1)
    matrix, source = rng.normal(size=(rows, terms)), rng.normal(size=(terms, 300)).astype(np.float32)
    given = padded(matrix, 4, 4)
    out = room(len(given), 256, given)
    multiply(given, source, 20, 256, out)
    np.testing.assert_allclose(out[:rows], matrix @ source[:, 20:276], atol=1e-5)


@pytest.mark.parametrize("energies", [1, 10, 23])
@pytest.mark.parametrize("rank", [1, 4, 6])
def test_projections_and_squares_of_any_size(energies, rank) -> None:
    rng = np.random.default_rng(2)
    weights, sigma = rng.normal(size=(rank, energies)), rng.uniform(0.5, 2, energies)
    source = rng.normal(size=(energies, 70)).astype(np.float32)
    source[:, 7] = np.nan  # one voxel that was not measured spoils no other
    given = padded(weights, 4, 10)
    sums, squares = np.empty((len(given), 70), np.float32), np.empty(70, np.float32)
    project(given, padded(1 / sigma, 10), source, 0, 70, sums, squares)
    np.testing.assert_allclose(sums[:rank], weights @ source, atol=1e-5)
    np.testing.assert_allclose(squares, ((source / sigma[:, None]) ** 2).sum(axis=0), rtol=1e-5)
