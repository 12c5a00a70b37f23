"""Bulk absorption through the whole loop: what the simulated station hides is found again from the documents alone."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from acquisition import beamline
from acquisition.channel_access import set_timeouts
from acquisition.charge_report import charge_report
from acquisition.config import load_file, packaged
from acquisition.engine import make_engine
from acquisition.errors import EdgewiseError
from acquisition.journal import read_series
from analysis.absorption_runs import RunError, on_foil_scale, read_scan, read_scans, spectrum_series
from analysis.cell_runs import cell_record
from analysis.edge_series import edge_positions
from analysis.energy_scale import FOIL_SCALES, ScaleError
from analysis.foil import foil_position
from analysis.operando import join_cell
from analysis.spectra import Normalisation
from analysis.spectrum_files import read_spectrum
from analysis.valence import calibration_from_references, spectrum_valence
from plans.energy_scan import energy_scan
from plans.in_situ import in_situ
from sim.absorption import write_standards
from sim.beamline import build
from sim.cell import PLATEAU, metal_valence
from sim.control_layer import install
from sim.optics import bragg_angle, bragg_energy
from sim.references import EDGES, parametric
from sim.simulation import Simulation

SPEED = 180.0  # a first charge with 2 mA takes 21 s of the wall
BRAGG_ERROR = 0.0012  # deg; 0.7 eV at the nickel edge, hidden by the packaged file


def edge_regions(element, seconds=1.0):
    """Some 65 energies across an edge: fine over the foil, wide enough for both windows."""
    e = EDGES[element]
    spans = ((-133.0, -13.0, 15.0), (-7.0, 7.0, 0.5), (8.0, 23.0, 1.0), (27.0, 167.0, 14.0))
    return [(e + first, e + last, step, seconds) for first, last, step in spans]


def windows(element):
    """Windows of the normalisation on these energies."""
    e = EDGES[element]
    return Normalisation(pre=(e - 133.0, e - 13.0), post=(e + 40.0, e + 167.0), e0=e + 11.0)


class Station:
    """A station of its own, pristine, with a RunEngine whose journal is all that the analysis sees."""

    def __init__(self, devices, put, folder):
        self.b, self.put, self.folder = devices, put, folder
        self.engine, _ = make_engine(folder, beamline="station")

    def scan(self, element="Ni", **changes):
        """Documents of one spectrum."""
        b = self.b
        arguments = {"regions": edge_regions(element), "foil": b.foil, "monitors": [b.cell, b.ring]} | changes
        self.engine(energy_scan(b.chambers, b.energy, b.shutter, element=element, **arguments))
        return read_series(self.folder)

    def charge(self):
        """Documents of the first charge, followed by nickel spectra."""
        b = self.b
        step = {"current": 2.0, "upper_voltage": 4.78, "end_current": 0.5}
        self.engine(
            in_situ(b.chambers, b.energy, b.shutter, b.cell, edges={"Ni": edge_regions("Ni")}, foil=b.foil, **step)
        )
        return read_series(self.folder)


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    """The packaged station in process."""
    folder = tmp_path_factory.mktemp("station")
    path = folder / "xas.toml"
    path.write_text(packaged("xas_sim").read_text() + f"speed = {SPEED}\nspecimen = {{voxel = 0.5}}\n")
    simulation = Simulation.from_toml(path)
    assert simulation.bragg_error == BRAGG_ERROR
    layer = install(build(simulation).bank)
    set_timeouts()
    try:
        devices = beamline.build_station(load_file(path))
        beamline.connect(devices)
    finally:
        layer.restore()
    yield Station(devices, layer.put, folder / "journal")
    layer.close()


@pytest.fixture(scope="module")
def charge(station):
    """Documents of the first charge; manganese was measured before."""
    manganese = station.scan("Mn")
    return manganese, station.charge()


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    """Return a maker of the calibration of an element: its standards, as this beamline measures them."""

    def make(element, energies):
        paths = write_standards(tmp_path_factory.mktemp("standards"), element)
        valences = sorted(reference.valence for reference in parametric(element))
        spectra = [replace(read_spectrum(path), scale=FOIL_SCALES[element]) for path in paths]
        return calibration_from_references(
            list(zip(spectra, valences, strict=True)), energies, windows(element), search=search(element)
        )

    return make


def search(element):
    """Where the half height of an oxide lies, eV."""
    return EDGES[element] - 4.0, EDGES[element] + 25.0


@pytest.mark.parametrize("element", ["Mn", "Co", "Ni"])
def test_the_foil_is_where_the_hidden_error_of_the_monochromator_puts_it(station, element):
    e = EDGES[element]
    regions = [(e - 40, e - 10, 10, 1.0), (e - 5, e + 4, 0.25, 1.0), (e + 8, e + 14, 3, 1.0)]
    foil = read_scan(station.scan(element, regions=regions)).foil_spectrum()
    hidden = bragg_energy(bragg_angle(e) - BRAGG_ERROR)  # what the axis shows when the light has the foil's energy
    found = foil_position(foil.energy, foil.mu, near=e)
    # The bandwidth moves the steepest point by 10 meV; a cubic through an edge that is not symmetric does the rest.
    assert found.energy == pytest.approx(hidden, abs=0.05)


def test_the_sigma_of_a_spectrum_is_what_its_points_scatter(station):
    scan = read_scan(station.scan(regions=[(8220.0, 8280.0, 1.0, 1.0)], foil=None))
    # Second differences of 59 points are known to 12 %; three times that.
    scatter = np.std(np.diff(scan.mu, 2)) / np.sqrt(6.0)
    assert scatter == pytest.approx(scan.sigma.mean(), rel=0.36)


def test_four_times_the_counting_time_halves_the_sigma(station):
    short, long = (read_scan(station.scan(regions=[(8240.0, 8260.0, 10.0, time)])).sigma.mean() for time in (1.0, 4.0))
    assert short / long == pytest.approx(2.0, rel=0.03)


def test_a_spectrum_without_a_foil_says_so(station):
    scan = read_scan(station.scan(regions=[(8240.0, 8260.0, 10.0, 0.5)], foil=None))
    with pytest.raises(RunError, match="no foil was in the beam; take the scan with foil="):
        on_foil_scale(scan)


def test_a_hole_instead_of_the_foil_is_no_energy_scale(station):
    station.put("XAS:sim:Fault", "foil=missing")
    try:
        scan = read_scan(station.scan())
    finally:
        station.put("XAS:sim:Fault", "")
    with pytest.raises(ScaleError):
        on_foil_scale(scan)


def test_manganese_has_the_valence_that_the_cell_gives_it(charge, calibration):
    scan = read_scan(charge[0])
    spectrum = on_foil_scale(scan)
    found = spectrum_valence(spectrum, calibration("Mn", spectrum.energy), windows("Mn"), search=search("Mn"))
    assert found.valence[0] == pytest.approx(metal_valence("Mn", 0.0), abs=0.05)


def states_at_the_edge(scans, edges):
    """State of charge at the time at which each spectrum passed its own edge."""
    states = [(scan.energy, scan.readings["cell_state_of_charge"]) for scan in scans]
    return np.array([np.interp(edge, *state) for edge, state in zip(edges, states, strict=True)])


def test_nickel_follows_the_state_of_charge_first_the_metal_then_the_plateau(charge, calibration):
    scans = [scan for scan in read_scans(charge[1]) if scan.complete]
    series = spectrum_series(scans, element="Ni")
    edges = edge_positions(series, to=FOIL_SCALES["Ni"], normalisation=windows("Ni"), search=search("Ni"))
    state = states_at_the_edge(scans, edges.energy)
    found = calibration("Ni", series.energy).valence(edges.energy, edges.sigma, code=edges.code)
    truth = [metal_valence("Ni", s) for s in state]
    # 0.05 eV of the foil and as much of a cell that goes on charging while the spectrum is taken, over 2.3 eV per unit
    np.testing.assert_allclose(found.valence, truth, atol=0.08)
    slope, plateau = state < PLATEAU, state > PLATEAU + 0.05
    assert np.ptp(edges.energy[plateau]) < 0.25 * np.ptp(edges.energy[slope])
    voltage = np.array([scan.readings["cell_voltage"].mean() for scan in scans])
    assert (voltage[plateau] > 4.45).all()


def test_the_series_is_joined_with_the_record_of_its_cell_by_time(charge):
    scans = read_scans(charge[1])
    edges = edge_positions(
        spectrum_series(scans, element="Ni"), to=FOIL_SCALES["Ni"], normalisation=windows("Ni"), search=search("Ni")
    )
    joined = join_cell(edges, cell_record(charge[1]), longest_gap=10.0, shortest_step=0.5)
    assert joined.cell.known.all()
    assert joined.steps[0].direction == 1
    assert joined.summary.charged_at[1] == pytest.approx(4.78, abs=0.03)  # the voltage at which the charge was held
    read = [scan.readings["cell_charge"].mean() for scan in scans]
    np.testing.assert_allclose(
        joined.cell.charge, read, atol=0.05
    )  # of 2.1 mAh: half a second of the compressed charge


def test_the_charge_ended_when_the_held_current_had_fallen(charge):
    record = cell_record(charge[1])
    assert record.potential.max() == pytest.approx(4.78, abs=0.03)
    held = record.potential > 4.75
    assert 0.0 <= record.current[held][-1] < 1.0 < record.current.max()


def test_the_report_draws_the_charge_and_says_what_each_edge_did(charge, tmp_path):
    printed = Console(record=True, width=100)
    report = charge_report(charge[1], tmp_path / "charge.png", console=printed)
    edges = report.elements["Ni"].edges
    assert np.ptp(edges.energy) > 1.0  # eV, of the 4.1 eV between valence 2 and 3.6
    assert f"{edges.energy[0]:.3f}" in printed.export_text()
    assert (tmp_path / "charge.png").read_bytes().startswith(b"\x89PNG")


def test_a_spectrum_without_a_charge_is_no_report(charge, tmp_path):
    with pytest.raises(EdgewiseError, match="no run of in_situ"):
        charge_report(charge[0], tmp_path / "charge.png")
