"""Spectra and the cell's record are read from documents alone, whatever state the run was left in."""

import event_model
import numpy as np
import pytest

from analysis.absorption_runs import RunError, read_scan, read_scans, spectrum_series
from analysis.cell_runs import cell_record

ENERGIES = np.arange(8300.0, 8310.0)
GAIN, OFFSET, LIGHT = 1e8, 0.002, 1.0  # V/A, V, V
COUNTS = 1e5  # per second and volt
CHAMBERS = ("incident", "transmitted", "reference")
NUMBER = {"source": "x", "dtype": "number", "shape": []}


def chambers(mu, foil, seconds, *, light=LIGHT):
    """Readings of the three chambers for absorptions of sample and foil; no light behind an infinite mu."""
    volts_of_all = OFFSET + light * np.array([1.0, np.exp(-mu), np.exp(-mu - foil)])
    data = {"chambers_counter_elapsed": seconds}
    for name, volts in zip(CHAMBERS, volts_of_all, strict=True):
        data |= {f"chambers_{name}_counts": volts * COUNTS * seconds, f"chambers_{name}_voltage": volts}
    return data


class Written:
    """Documents of one run of `energy_scan`, written by hand."""

    def __init__(self, *, foil="foil", series_uid="s", time=100.0, energies=ENERGIES):
        metadata = {
            "plan_name": "energy_scan", "plan_args": {"foil": foil}, "series_uid": series_uid, "element": "Ni",
            "edge": "K", "num_points": len(energies), "detectors": ["chambers"],
            "hints": {"dimensions": [(["energy"], "primary")]},
        }  # fmt: skip
        self.run = event_model.compose_run(metadata=metadata, time=time)
        self.documents, self.time, self.streams = [("start", self.run.start_doc)], time, {}

    def event(self, stream, data, **options):
        """Add one event."""
        if stream not in self.streams:
            keys = {
                key: NUMBER if isinstance(value, float) else {**NUMBER, "dtype": "string"}
                for key, value in data.items()
            }
            gains = {f"chambers_{name}_gain": f"{GAIN:.0e} V/A".replace("+0", "") for name in CHAMBERS}
            configuration = {"chambers": {"data": gains, "timestamps": {}, "data_keys": {}}}
            self.streams[stream] = self.run.compose_descriptor(
                name=stream, data_keys=keys, configuration=configuration, validate=False
            )
            self.documents.append(("descriptor", self.streams[stream].descriptor_doc))
        self.time += 1.0
        event = self.streams[stream].compose_event(
            data=data, timestamps=dict.fromkeys(data, self.time), time=self.time, validate=False, **options
        )
        self.documents.append(("event", event))
        return self

    def dark(self):
        """Add the dark."""
        return self.event("dark", chambers(0.0, 0.0, 2.0, light=0.0))

    def point(self, energy, mu=1.0, foil=0.5, *, seconds=1.0, **options):
        """Add one energy."""
        data = chambers(mu, foil, seconds)
        return self.event(
            "primary", data | {"energy": energy, "energy_setpoint": energy, "cell_charge": 0.1}, **options
        )

    def all(self, **changes):
        """Add the dark and every energy."""
        self.dark()
        for energy in ENERGIES:
            self.point(energy, **changes)
        return self

    def end(self, status="success"):
        """Add the stop."""
        self.documents.append(("stop", self.run.compose_stop(exit_status=status)))
        return self.documents


def test_mu_is_the_logarithm_of_the_chambers_without_their_dark():
    scan = read_scan(Written().all(mu=1.3, foil=0.7).end())
    # to the rounding of floats: the counts are written unrounded here
    np.testing.assert_allclose(scan.mu, 1.3, rtol=1e-12)
    np.testing.assert_allclose(scan.foil, 0.7, rtol=1e-12)
    np.testing.assert_array_equal(scan.energy, ENERGIES)
    assert scan.complete
    assert scan.exit_status == "success"
    np.testing.assert_array_equal(scan.readings["cell_charge"], 0.1)


def test_sigma_is_that_of_the_photons_the_chambers_stopped():
    scan = read_scan(Written().all(mu=1.0, seconds=4.0).end())
    pairs = LIGHT / GAIN / 1.602176634e-19 * 4.0
    photons = pairs * 34.8 / ENERGIES  # of the first chamber; the second stops 1/e of them
    np.testing.assert_allclose(scan.sigma, np.sqrt(1 / photons + np.e / photons), rtol=0.01)  # rounding of counts adds


def test_a_point_that_was_repeated_counts_as_it_was_taken_last():
    run = Written().dark().point(8300.0).point(8301.0, mu=9.0).point(8301.0, mu=1.1, seq_num=2).point(8302.0, seq_num=3)
    scan = read_scan(run.end())
    np.testing.assert_allclose(scan.mu, [1.0, 1.1, 1.0], rtol=1e-12)


def test_a_run_that_was_cut_off_gives_what_there_is():
    scan = read_scan(Written().dark().point(8300.0).point(8301.0).documents)
    assert (scan.energy.size, scan.expected, scan.complete, scan.exit_status) == (2, 10, False, None)


def test_a_chamber_without_light_gives_no_number():
    scan = read_scan(Written().dark().point(8300.0).point(8301.0, mu=np.inf).point(8302.0).end())
    np.testing.assert_array_equal(np.isfinite(scan.mu), [True, False, True])
    assert not scan.complete
    assert scan.spectrum().energy.tolist() == [8300.0, 8302.0]


def test_a_run_without_a_dark_is_refused():
    with pytest.raises(RunError, match="has no dark"):
        read_scan(Written().point(8300.0).end())


def test_a_reading_that_is_missing_is_named():
    documents = Written().all().end()
    for name, doc in documents:
        if name == "event":
            doc["data"].pop("chambers_transmitted_counts")
    with pytest.raises(RunError, match="has no reading 'chambers_transmitted_counts'"):
        read_scan(documents)


def test_spectra_come_in_the_order_of_their_starts_and_other_runs_are_passed_over():
    other = event_model.compose_run(metadata={"plan_name": "count"})
    late, early = Written(time=300.0).all().end(), Written(time=100.0).all().end()
    scans = read_scans([*late, ("start", other.start_doc), *early])
    assert [scan.time[0] for scan in scans] == [102.0, 302.0]
    with pytest.raises(RunError, match="hold 2 runs"):
        read_scan([*late, *early])


def test_a_series_takes_the_complete_spectra_of_an_element_on_one_grid():
    whole, cut = Written().all(mu=1.2).end(), Written().dark().point(8300.0).end("fail")
    series = spectrum_series(read_scans([*whole, *cut]), element="Ni")
    assert series.mu.shape == (1, 10)
    assert series.clock == "UTC"
    with pytest.raises(RunError, match="none of 2 scans is a complete one of Co"):
        spectrum_series(read_scans([*whole, *cut]), element="Co")


def cell_documents(rows, *, status=True):
    """Documents of the cell's run: (signal, time, value) each."""
    run = event_model.compose_run(metadata={"plan_name": "in_situ", "detectors": ["cell"]}, time=0.0)
    documents, streams = [("start", run.start_doc)], {}
    for signal, time, value in rows:
        key = f"cell_{signal}"
        if signal not in streams:
            streams[signal] = run.compose_descriptor(name=f"{key}_monitor", data_keys={key: NUMBER})
            documents.append(("descriptor", streams[signal].descriptor_doc))
        event = streams[signal].compose_event(data={key: value}, timestamps={key: time}, time=time)
        documents.append(("event", event))
    return documents


def test_the_record_of_the_cell_has_a_row_for_each_time_it_spoke_with_the_latest_of_each():
    record = cell_record(
        cell_documents(
            [
                ("voltage", 1.0, 3.0), ("current", 1.1, 0.0), ("charge", 1.2, 0.0), ("current", 2.0, 0.5),
                ("voltage", 2.1, 3.2), ("charge", 2.2, 0.1), ("current", 3.0, 0.0),
            ]
        )
    )  # fmt: skip
    np.testing.assert_allclose(record.time, [1.2, 2.0, 2.1, 2.2, 3.0])
    np.testing.assert_allclose(record.potential, [3.0, 3.0, 3.2, 3.2, 3.2])
    np.testing.assert_allclose(record.charge, [0.0, 0.0, 0.0, 0.1, 0.1])
    assert record.direction.tolist() == [0, 1, 1, 1, 0]
    assert record.mass_mg is None


def test_a_cell_without_a_record_is_refused():
    with pytest.raises(RunError, match="no run of in_situ"):
        cell_record(Written().all().end())
    with pytest.raises(RunError, match="no record of the cell's charge"):
        cell_record(cell_documents([("voltage", 1.0, 3.0), ("current", 1.1, 0.0)]))
