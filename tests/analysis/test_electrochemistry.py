"""Several files of a cell make one record: absolute in time, continuous in charge, careful with masses and clocks."""

import warnings

import numpy as np
import pytest

from analysis.electrochemistry import CellWarning, read_eclab, steps
from analysis.text_tables import FileFormatError

START = 1658875110.19  # 2022-07-26 22:38:30.190 if the clock were UTC


def export(
    path, *, started="07/26/2022 22:38:30.190", mass="7.000 mg", hours=(0, 1, 2, 3), current=(0, 0.5, 0.5, -0.5)
):
    """An export whose charge follows its current, from a counter at zero."""
    time = 3600.0 * np.asarray(hours, dtype=float)
    charge = np.concatenate(([0], np.cumsum(current[1:] * np.diff(time) / 3600)))
    lines = ["EC-Lab ASCII FILE", "Nb header lines : 6", "Galvanostatic Cycling"]
    lines += [f"Acquisition started on : {started}", f"Mass of active material : {mass}"]
    lines += ["time/s\tEwe/V\t<I>/mA\t(Q-Qo)/mA.h"]
    lines += [f"{t}\t{3.5 + 0.4 * q}\t{i}\t{q}" for t, q, i in zip(time, charge, current, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")
    return path


@pytest.fixture
def two_files(tmp_path):
    """A record of three hours and its continuation ten minutes later, which counts from zero again."""
    return (
        export(tmp_path / "a.mpt", hours=(0, 1, 2, 3), current=(0, 0.5, 0.5, 0.5)),
        export(tmp_path / "b.mpt", started="07/27/2022 01:48:30.190", hours=(0, 1), current=(0.5, 0.5)),
    )


def test_charge_and_time_go_on_in_the_second_file(two_files):
    record = read_eclab(*two_files[::-1])
    np.testing.assert_allclose(record.charge, [0, 0.5, 1.0, 1.5, 1.5, 2.0])
    np.testing.assert_allclose(record.time - START, [0, 3600, 7200, 10800, 11400, 15000])
    assert record.file.tolist() == [0, 0, 0, 0, 1, 1]
    assert any("after 600.0 s" in note for note in record.notes)


def test_the_same_file_twice_is_refused(two_files):
    with pytest.raises(FileFormatError, match=r"a\.mpt starts 10800\.0 s before .*a\.mpt ends"):
        read_eclab(two_files[0], two_files[0])


def test_time_zone_is_stated_or_given(two_files):
    assert read_eclab(*two_files).clock == "local clock without zone"
    paris = read_eclab(*two_files, timezone="Europe/Paris")
    assert paris.time[0] == pytest.approx(START - 7200)  # summer time is two hours ahead of UTC
    with pytest.raises(ValueError, match="time zone 'Mars'"):
        read_eclab(*two_files, timezone="Mars")


def test_a_mass_wrong_by_1000_is_not_used(tmp_path):
    with pytest.warns(CellWarning, match=r"mass 7000 mg .* 7 mg would make 143 mAh/g"):
        record = read_eclab(export(tmp_path / "a.mpt", mass="7000.000 mg"))
    assert record.mass_mg is None
    assert record.header_mass_mg == 7000.0
    with pytest.raises(ValueError, match=r"no credible mass .*7000\.0 mg"):
        _ = record.specific_charge


def test_a_credible_mass_is_used_without_a_word(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = read_eclab(export(tmp_path / "a.mpt"))
    assert record.specific_charge.max() == pytest.approx(1.0 / 7e-3)


def test_a_cell_just_started_keeps_its_mass(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = read_eclab(export(tmp_path / "a.mpt", hours=(0, 0.01), current=(0, 0.5)))
    assert record.mass_mg == 7.0


def test_state_between_rows(two_files):
    state = read_eclab(*two_files).at([START + 5400, START + 9000], longest_gap=4000)
    np.testing.assert_allclose(state.charge, [0.75, 1.25])
    np.testing.assert_allclose(state.potential, [3.8, 4.0])
    assert state.direction.tolist() == [1, 1]


def test_state_is_unknown_outside_and_in_gaps(two_files):
    state = read_eclab(*two_files).at([START - 1, START + 5400, START + 1e6], longest_gap=600)
    assert not state.known.any()
    assert np.isnan(state.potential).all()
    assert not state.direction.any()


def test_steps_are_charge_discharge_and_rest(tmp_path):
    hours, current = np.arange(0, 6.1, 0.1), np.zeros(61)
    current[11:36], current[36:] = 0.5, -0.5
    found = steps(read_eclab(export(tmp_path / "a.mpt", hours=hours, current=current)))
    assert [step.direction for step in found] == [0, 1, -1]
    assert found[1].charge[1] - found[1].charge[0] == pytest.approx(1.25, abs=0.051)  # one row is 0.05 mAh


def test_measured_cell(measured_data):
    folder = measured_data / "operando_lno" / "ec"
    with pytest.warns(CellWarning, match="wrong by 1000"):
        record = read_eclab(*sorted(folder.glob("*.mpt")))
    assert record.time.size == 7735
    assert record.time[0] == pytest.approx(START)
    charge = next(step for step in steps(record) if step.direction == 1)
    assert charge.charge[1] == pytest.approx(1.614, abs=0.001)
    assert charge.potential[1] == pytest.approx(4.300, abs=0.001)
    assert np.abs(np.diff(record.charge)).max() < 0.01  # no jump where the counters restart
