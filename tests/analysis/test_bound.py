"""The Cramér–Rao bound against closed forms and against the estimate that reaches it."""

import numpy as np
import pytest

from analysis.bound import EdgeModel, cramer_rao, edge_bound


def test_zero_of_a_line_against_its_closed_form():
    x, sigma = np.linspace(-3.0, 5.0, 17), 0.02
    a, b = -0.6, 0.4  # zero at 1.5
    zero = -a / b
    spread = ((x - x.mean()) ** 2).sum()
    closed = sigma / b * np.sqrt(1 / x.size + (zero - x.mean()) ** 2 / spread)
    assert cramer_rao([np.ones_like(x), x], sigma, [-1 / b, a / b**2]) == pytest.approx(closed, rel=1e-12)


def test_shift_of_an_arctangent_against_its_closed_form():
    # Fisher information of the shift: (jump / pi width)^2 / sigma^2 sum 1 / (1 + x^2 / width^2)^2, an integral
    # over a fine grid: var = 2 pi width sigma^2 step / jump^2.
    step, sigma, jump, width = 0.1, 0.01, 0.5, 1.5
    e = np.arange(8100.0, 8600.0, step)
    model = EdgeModel(8342.0, jump, width=width, white_line=0.0, post_slope=0.0)
    closed = np.sqrt(2 * np.pi * width * sigma**2 * step / jump**2)
    assert edge_bound(model, e, sigma, free=("center",)) == pytest.approx(closed, rel=1e-3)


def test_nuisance_parameters_cost_precision():
    e = np.linspace(8250, 8500, 126)
    known = edge_bound(EdgeModel(), e, 0.01, free=("center",))
    free = edge_bound(EdgeModel(), e, 0.01)
    assert known < free < 2 * known


def test_bound_of_the_standard_set():
    grid = np.concatenate([np.linspace(8250, 8320, 10), np.arange(8330, 8365, 1.0), np.linspace(8370, 8500, 15)])
    rng = np.random.default_rng(0)

    def bounds(photons):
        for _ in range(100):
            u = rng.random(5)
            model = EdgeModel(
                8340 + 4 * u[0],
                0.3 + 0.5 * u[1],
                white_line=0.55 + 0.2 * u[2],
                baseline=0.3 + 0.4 * u[3],
                slope=-(3e-4 + 2e-4 * u[4]),
            )
            yield edge_bound(model, grid, lambda mu: np.sqrt(np.exp(mu) / photons))

    # 0.0574 and 0.181 eV over a large population; 100 draws leave 3 %
    assert np.sqrt(np.mean(np.square(list(bounds(1e4))))) == pytest.approx(0.0574, rel=0.06)
    assert np.sqrt(np.mean(np.square(list(bounds(1e3))))) == pytest.approx(0.181, rel=0.06)


def test_what_is_not_measured_is_not_bounded():
    assert cramer_rao([[1.0, 1.0], [0.0, 0.0]], 0.1, [0.0, 1.0]) == np.inf
    below = np.linspace(8250.0, 8320.0, 20)
    assert edge_bound(EdgeModel(), below, 1e-3) > 10.0


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="gradient has shape"):
        cramer_rao(np.ones((2, 5)), 0.1, [1.0])
    with pytest.raises(ValueError, match="not positive"):
        cramer_rao(np.ones((1, 5)), 0.0, [1.0])
    with pytest.raises(ValueError, match="'colour' is not one of"):
        edge_bound(EdgeModel(), np.arange(8300.0, 8400.0), 0.1, free=("colour",))
