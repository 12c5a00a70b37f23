"""What the simulation hides is found again through devices, plans, documents and analysis: the loop is closed."""

import dataclasses

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import pytest

from acquisition import beamline
from acquisition.channel_access import set_timeouts
from acquisition.config import load_file, packaged
from acquisition.engine import make_engine
from acquisition.journal import read
from analysis.energy_scale import FOIL_ENERGIES
from analysis.flatfield import optical_density
from analysis.foil import foil_position
from analysis.live.series import SeriesReader
from analysis.registration import find_shift, find_similarity
from analysis.rotation_axis import find_axis
from plans.energy_scan import energy_scan
from plans.xanes_tomography import xanes_tomography
from sim.beamline import Beamline, build
from sim.control_layer import install
from sim.effects import Amplitudes
from sim.simulation import Simulation

TINY = "shape = [64, 80]\npixel_size = 200.0\nspeed = 500.0\nspecimen = {voxel = 0.2}\n"
STILL = {"image_shift": False}  # the image wanders with energy otherwise


@dataclasses.dataclass(frozen=True)
class Loop:
    """A station on a simulation that hides something, its RunEngine and the folder of its journal."""

    hidden: Beamline
    devices: object
    engine: object
    folder: object

    def run(self, plan):
        """Run a plan; return its documents."""
        self.engine(plan)
        return read(max(self.folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns))

    def tomograms(self, **arguments):
        """Take a small series; return its tomograms."""
        b, reader = self.devices, SeriesReader()
        axes = (b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter)
        usual = {"angles": [0.0], "exposure": 0.5, "flats": 4, "darks": 2, "sample_in": 0.0, "sample_out": 2.0}
        documents = self.run(xanes_tomography(*axes, **(usual | arguments)))
        return [tomogram for name, doc in documents for tomogram in reader(name, doc)]


@pytest.fixture
def loop(tmp_path):
    """Return a maker of loops: a packaged beamline, with some settings of its simulation changed."""
    layers = []

    def make(station="txm_sim", *, effects=STILL, **settings):
        path = tmp_path / "beamline.toml"
        path.write_text(packaged(station).read_text() + TINY)
        simulation = Simulation.from_toml(path)
        hidden = build(simulation.replace(effects=dataclasses.replace(simulation.effects, **effects), **settings))
        set_timeouts()
        layers.append(install(hidden.bank))
        file = load_file(path)
        frames = file.storage.model_copy(update={"frames": tmp_path / "frames"})
        devices = beamline.build_station(file.model_copy(update={"storage": frames}))
        beamline.connect(devices)
        engine, _ = make_engine(tmp_path / "journal", beamline="fidelity")
        return Loop(hidden, devices, engine, tmp_path / "journal")

    yield make
    for layer in layers:
        layer.close()


def density(tomogram):
    """Return the optical density (angle, row, column) of a tomogram."""
    return optical_density(tomogram.projections.read(), tomogram.flat.read(), tomogram.dark.read()).values


def places(loop, energy, positions, *, exposure=0.5):
    """Take a frame at each position of a motor, and a flat; return the optical density (position, row, column)."""
    b = loop.devices
    axis, values = positions

    @bpp.stage_decorator([b.detector])
    @bpp.run_decorator(md={"plan_name": "places"})
    def scan():
        yield from bps.mv(b.energy, energy, b.shutter, "closed")
        for count, out, light in ((4, 2.0, "closed"), (4, 2.0, "open"), (len(values), 0.0, "open")):
            yield from bps.mv(b.shutter, light, b.sample.x, out)
            block = {"frames": count, "per_trigger": 1, "exposure": exposure}
            yield from bps.prepare(b.detector, block, wait=True)
            for value in values if out == 0.0 else [None] * count:
                if value is not None:
                    yield from bps.mv(axis, value)
                yield from bps.trigger(b.detector, wait=True)
            yield from bps.create("primary")
            yield from bps.read(b.detector)
            yield from bps.save()

    documents = loop.run(scan())
    files = [doc for name, doc in documents if name == "stream_resource" and doc["data_key"] == "detector_frames"]
    dark, flat, frames = (_frames(doc) for doc in files)
    pixel = [doc["data"]["detector_pixel_size"] for name, doc in documents if name == "event"][-1]
    return optical_density(frames, flat, dark).values, pixel


def _frames(resource):
    import h5py

    with h5py.File(resource["uri"].removeprefix("file://localhost"), swmr=True) as file:
        return file[resource["parameters"]["dataset"]][()]


def test_a_foil_finds_a_hidden_bragg_error_and_cancels_it(loop):
    station = loop("xas_sim", effects={}, bragg_error=0.003)
    b, mono = station.devices, station.hidden.parts.mono
    for chamber in b.chambers.chambers:
        chamber.set("1e7 V/A").wait(10)
    regions = [(8310.0, 8330.0, 4.0, 5.0), (8330.0, 8340.0, 0.25, 10.0), (8340.0, 8370.0, 5.0, 5.0)]

    def shown():
        documents = station.run(
            energy_scan(b.chambers, b.energy, b.shutter, element="Ni", regions=regions, foil=b.foil)
        )
        events = [doc["data"] for name, doc in documents if name == "event"]
        (dark,) = (data for data in events if "energy" not in data)
        counted = [data for data in events if "energy" in data]
        before, behind = (
            np.array([data[key] - dark[key] for data in counted])
            for key in ("chambers_transmitted_voltage", "chambers_reference_voltage")
        )
        energies = [data["energy"] for data in counted]
        return foil_position(energies, np.log(before / behind), near=FOIL_ENERGIES["Ni"], half_width=0.8)

    found = shown()
    # dE = E cot(theta) dtheta: at 13.72 deg 0.003 deg are 1.787 eV. Of the 0.05 eV 0.02 go to the thickness of the foil
    # (4 um, seen with the bandwidth of the beam) and 0.01 to the shape of its edge.
    assert found.energy - FOIL_ENERGIES["Ni"] == pytest.approx(1.787, abs=0.05)
    error = b.energy.monochromator.bragg_angle(FOIL_ENERGIES["Ni"]) - b.energy.monochromator.bragg_angle(found.energy)
    b.energy.monochromator.bragg_offset.set(error).wait(10)
    assert shown().energy == pytest.approx(FOIL_ENERGIES["Ni"], abs=0.05)
    b.energy.set(8345.0).wait(30)
    assert mono.true_energy(station.hidden.clock.now(), jitter=False) == pytest.approx(8345.0, abs=0.05)


def test_the_rotation_axis_is_found(loop):
    station = loop()
    (tomogram,) = station.tomograms(energies=[8333.0], angles=np.arange(0.0, 180.0, 12.0).tolist())
    axis = find_axis(density(tomogram), tomogram.projections.read_angles())
    hidden = (80 - 1) / 2 + Amplitudes().axis_offset  # the offset is given in pixels at the reference energy
    assert axis.column == pytest.approx(hidden, abs=max(0.05, 4 * axis.sigma))


@pytest.mark.parametrize(("station", "growth"), [("txm_sim", 1.0251), ("fxi_sim", 1.0)])
def test_the_pixel_grows_with_energy_unless_the_camera_follows(loop, station, growth):
    """SSRL's straight line, pixel = 0.002039449 E - 0.792165, grows by 1.0251 from 8233 to 8433 eV."""
    station = loop(station)
    first, last = station.tomograms(energies=[8233.0, 8433.0], flats=16, exposure=1.0)
    assert last.pixel_size / first.pixel_size == pytest.approx(growth, abs=5e-4)
    seen = find_similarity(density(first)[0], density(last)[0], magnification=1 / growth)
    # the size of the particle in the images; 50 pixels of it, to a twentieth of a pixel
    assert 1 / seen.magnification == pytest.approx(last.pixel_size / first.pixel_size, abs=1e-3)
    assert np.hypot(seen.shift.dy, seen.shift.dx) < 0.3  # and it stays in its place, at FXI by the slopes of the file


def test_a_camera_that_follows_reaches_from_manganese_to_nickel(loop):
    low, high = loop("fxi_sim").devices.energy.limits
    assert low < 6500.0
    assert high > 8700.0


@pytest.mark.parametrize("station", ["txm_sim", "fxi_sim"])
@pytest.mark.parametrize("energy", [8233.0, 8733.0])
def test_the_pixel_of_the_documents_is_that_of_a_known_displacement(loop, station, energy):
    station = loop(station)
    (left, right), pixel = places(station, energy, (station.devices.sample.x, (-0.001, 0.001)))  # mm
    moved = find_shift(left, right)
    assert moved.trusted, moved.reason
    assert 2000.0 / moved.dx == pytest.approx(pixel, rel=5e-3)  # nm; a twentieth of the 10 pixels moved


def test_a_hidden_focus_is_where_the_image_is_sharpest(loop):
    station = loop(focus_error=0.12)
    zone_plate = station.devices.energy.zone_plate
    energy = 8383.0
    scan = zone_plate.focus(energy) + np.linspace(-0.28, 0.52, 9)
    images, _ = places(station, energy, (zone_plate.z, scan.tolist()))
    sharpness = (np.diff(images, axis=2) ** 2).sum((1, 2))
    near = np.abs(np.arange(9) - np.argmax(sharpness)) <= 3
    a, b, _ = np.polyfit(scan[near], sharpness[near], 2)
    assert -b / (2 * a) == pytest.approx(station.hidden.lens.focus(energy), abs=0.01)  # a tenth of the step
    assert station.hidden.lens.focus(energy) == pytest.approx(zone_plate.focus(energy) + 0.12)


def test_runout_is_what_no_rigid_particle_about_a_true_axis_does(loop):
    station = loop(effects=STILL | {"runout": True})
    (tomogram,) = station.tomograms(energies=[8333.0], angles=np.arange(0.0, 360.0, 30.0).tolist(), flats=16)
    images = density(tomogram)
    turns = np.radians(tomogram.projections.read_angles())
    columns = np.arange(images.shape[2])
    centres = np.array([(image.sum(0) @ columns) / image.sum() for image in images]) * tomogram.pixel_size  # um
    rigid = np.column_stack([np.ones_like(turns), np.cos(turns), np.sin(turns)])
    wobble = centres - rigid @ np.linalg.lstsq(rigid, centres, rcond=None)[0]
    # 0.15 um, less than a pixel; the centre of mass of each image is known to some hundredths of one
    assert np.sqrt(2 * np.mean(wobble**2)) == pytest.approx(Amplitudes().runout, rel=0.1)


def test_a_zone_plate_that_runs_out_is_held_on_the_axis_by_its_slope(loop):
    station = loop(effects=STILL | {"zone_plate_runout": True, "axis_offset": False})
    travel = 5.09e-3 * 5.0  # mm/eV x um/mm: the run-out in um per eV
    run = {"energies": [8233.0, 8433.0], "flats": 16}

    def moved():
        first, last = station.tomograms(**run)
        scale = first.pixel_size / last.pixel_size
        shift = find_shift(density(first)[0], density(last)[0], magnification=scale)
        return np.array([shift.dx, shift.dy]) * last.pixel_size  # um

    loose = moved()
    np.testing.assert_allclose(loose, 200.0 * travel * np.array([0.8, 0.6]), atol=0.1)  # half a pixel
    axis = station.devices.energy
    axis.x_slope.put(-loose[0] / 200.0 * 1e-3)
    axis.y_slope.put(-loose[1] / 200.0 * 1e-3)
    np.testing.assert_allclose(moved(), 0.0, atol=0.1)
