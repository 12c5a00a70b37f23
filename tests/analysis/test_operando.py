"""A working cell: the edge follows the charge, on the axis that each spectrum's own foil fixes."""

import numpy as np
import pytest

from analysis.edge import Code
from analysis.edge_series import edge_positions
from analysis.electrochemistry import CellRecord, CellWarning, read_eclab
from analysis.energy_scale import FOIL_SCALES
from analysis.operando import join_cell
from analysis.series_files import SpectrumSeries, read_spectra_folder

ENERGY = np.arange(8250.0, 8420.0, 0.5)
CLOCK = "local clock without zone"
HOURS = np.arange(0.25, 20.0, 0.25)


def step(energy, at, width):
    return 0.5 + np.arctan((energy - at) / width) / np.pi


def edge_at(hours):
    """Up by 1.4 eV in ten hours of charge, back to 0.3 eV in ten of discharge."""
    return 8343.0 + np.where(hours <= 10, 0.14 * hours, 1.4 - 0.11 * (hours - 10))


@pytest.fixture(scope="module")
def series():
    """Spectra whose axis jitters by 0.05 eV, with the foil to show it."""
    rng = np.random.default_rng(1)
    jitter = rng.normal(0, 0.05, HOURS.size)[:, None]
    mu = step(ENERGY, edge_at(HOURS)[:, None] + jitter, 1.2) + rng.normal(0, 5e-4, (HOURS.size, ENERGY.size))
    foil = step(ENERGY, 8333.0 + jitter, 0.8) + rng.normal(0, 5e-4, mu.shape)
    nothing = np.full(HOURS.size, np.nan)
    names = tuple(f"{h:.2f} h" for h in HOURS)
    return SpectrumSeries(3600 * HOURS, ENERGY, mu, foil, nothing, True, None, CLOCK, names)


@pytest.fixture(scope="module")
def cell():
    hours = np.arange(0, 20.01, 0.05)
    charge = np.where(hours <= 10, 0.1 * hours, 1.0 - 0.08 * (hours - 10))
    direction = np.where(hours <= 10, 1, -1).astype(np.int8)
    one = np.zeros(hours.size, np.int64)
    return CellRecord(
        3600 * hours, 3.5 + charge, 0.1 * direction, charge, direction, one, CLOCK, None, None, ("cell",), ()
    )


def test_foils_take_the_jitter_out(series):
    aligned, raw = edge_positions(series), edge_positions(series, align=False)

    # The common offset is that of the mean jitter.
    def scatter(edges):
        return np.std(edges.energy - edge_at(HOURS))

    assert scatter(raw) == pytest.approx(0.05, rel=0.25)
    assert scatter(aligned) < 0.01


def test_uncertainty_covers_the_scatter(series):
    edges = edge_positions(series)
    pull = (edges.energy - edge_at(HOURS)) / edges.sigma
    assert np.std(pull) < 1.3


def test_shift_and_residual_are_found(series, cell):
    summary = join_cell(edge_positions(series), cell).summary
    assert summary.shift.value == pytest.approx(1.4, abs=4 * summary.shift.sigma)
    assert summary.residual.value == pytest.approx(0.3, abs=4 * summary.residual.sigma)
    assert summary.shift.sigma < 0.02
    assert summary.correlation > 0.99
    assert summary.charged_at == pytest.approx((1.0, 4.5))


def test_a_cell_that_is_only_discharged_has_a_summary(series, cell):
    half = cell.time >= 10 * 3600
    fields = ("time", "potential", "current", "charge", "direction", "file")
    only = CellRecord(*(getattr(cell, name)[half] for name in fields), CLOCK, None, None, ("cell",), ())
    summary = join_cell(edge_positions(series), only).summary
    assert summary.residual.value == pytest.approx(-1.1, abs=4 * summary.residual.sigma)
    assert np.isnan([summary.shift.value, summary.charged_at[0]]).all()
    assert summary.correlation > 0.99


def test_all_on_the_foil_scale_when_asked(series):
    edges = edge_positions(series, to=FOIL_SCALES["Ni"])
    assert edges.scale == FOIL_SCALES["Ni"]


def test_a_spectrum_without_edge_is_flagged(series, cell):
    mu = series.mu.copy()
    mu[5] = 0.01
    broken = SpectrumSeries(series.time, ENERGY, mu, series.foil, series.jump, True, None, CLOCK, series.names)
    edges = edge_positions(broken)
    assert edges.code[5] != Code.OK
    assert np.isnan(edges.energy[5])
    assert join_cell(edges, cell).summary.shift.value == pytest.approx(1.4, abs=0.05)


def test_a_spectrum_without_foil_is_flagged(series):
    foil = series.foil.copy()
    foil[7] = 0.0
    blind = SpectrumSeries(series.time, ENERGY, series.mu, foil, series.jump, True, None, CLOCK, series.names)
    edges = edge_positions(blind)
    assert np.flatnonzero(edges.code).tolist() == [7]
    assert edges.code[7] == Code.NOT_MEASURED
    assert np.isnan([edges.energy[7], edges.sigma[7]]).all()


def test_two_clocks_are_not_joined(series, cell):
    paris = CellRecord(
        cell.time,
        cell.potential,
        cell.current,
        cell.charge,
        cell.direction,
        cell.file,
        "Europe/Paris",
        None,
        None,
        (),
        (),
    )
    with pytest.raises(ValueError, match="read both with one timezone"):
        join_cell(edge_positions(series), paris)


def test_another_day_is_not_joined(series, cell):
    later = CellRecord(
        cell.time + 1e6, cell.potential, cell.current, cell.charge, cell.direction, cell.file, CLOCK, None, None, (), ()
    )
    with pytest.raises(ValueError, match="do not overlap the cell's record"):
        join_cell(edge_positions(series), later)


def test_raw_spectra_need_windows(series):
    raw = SpectrumSeries(series.time, ENERGY, series.mu, None, series.jump, False, None, CLOCK, series.names)
    with pytest.raises(ValueError, match="not normalised"):
        edge_positions(raw)


def test_measured_nickelate(measured_data):
    """LiNiO2 at SOLEIL ROCK: known to go from 8344.8 to 8346.2 eV, with 0.29 eV left after discharge."""
    folder = measured_data / "operando_lno"
    series = read_spectra_folder(folder / "xas_position1.tar.xz")
    with pytest.warns(CellWarning):
        cell = read_eclab(*(folder / "ec").glob("*.mpt"))
    result = join_cell(edge_positions(series), cell)
    summary = result.summary
    assert result.edges.time.size == 229
    assert result.cell.known.all()
    assert summary.start.value == pytest.approx(8344.8, abs=0.05)
    assert summary.charged.value == pytest.approx(8346.2, abs=0.05)
    assert summary.shift.value == pytest.approx(1.40, abs=0.1)
    assert summary.residual.value == pytest.approx(0.29, abs=0.1)
    assert summary.correlation > 0.95
    assert summary.scatter <= 0.02
    assert result.edges.scale.foil_energy == pytest.approx(8333.14, abs=0.05)
