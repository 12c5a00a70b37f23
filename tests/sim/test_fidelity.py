"""What the simulation hides can be found again from what it shows: focus, axis, pixel size, runout."""

import h5py
import numpy as np
import pytest

from sim.beamline import build
from sim.effects import Amplitudes
from sim.optics import bragg_angle
from sim.simulation import Simulation

CLEAN = {"ring_decay": False, "photon_noise": False, "dark_current": False, "illumination": False, "image_shift": False}
BASE = {"shape": [48, 64], "pixel_size": 250.0, "speed": 1e4, "photons_per_count": 4.0, "specimen": {"voxel": 0.25}}


def beamline_with(**effects):
    return build(Simulation.from_dict(BASE | {"effects": CLEAN | effects}))


def images(beamline, run, folder, positions):
    """Return the optical density (position, row, column) at positions of motors; a tuple of (name, value) each."""

    async def work():
        put = {"shutter:Cmd": "Open", "cam:HDF1:FilePath": str(folder), "cam:HDF1:Capture": 1}
        for name, value in put.items():
            await beamline.bank["SIM:" + name].put(value)
        for position in positions:
            for name, value in position:
                await beamline.bank["SIM:" + name].put(value)
            await beamline.bank["SIM:cam:cam1:Acquire"].put(1)
        await beamline.bank["SIM:cam:HDF1:Capture"].put(0)

    run(work())
    with h5py.File(beamline.bank["SIM:cam:HDF1:FullFileName_RBV"].value) as file:
        return -np.log(file["entry/data/data"][:] / 50000.0)  # 4e5 photons/s x 0.5 s / 4


def centre(image):
    """Return the column of the centre of mass, from the middle of the frame."""
    return (image.sum(0) @ (np.arange(image.shape[1]) - (image.shape[1] - 1) / 2)) / image.sum()


def test_focus_is_found_where_the_lens_has_it(run, tmp_path):
    beamline = beamline_with()
    energy = 8383.0
    best = beamline.lens.focus(energy)
    scan = best + np.linspace(-0.8, 0.8, 9)
    positions = [[("mono:bragg", bragg_angle(energy)), ("zp:z", z)] for z in scan]
    sharpness = (np.diff(images(beamline, run, tmp_path, positions), axis=2) ** 2).sum((1, 2))
    a, b, _ = np.polyfit(scan[2:7], sharpness[2:7], 2)
    assert -b / (2 * a) == pytest.approx(best, abs=0.02)  # a tenth of the step


def test_axis_is_half_way_between_opposite_projections(run, tmp_path):
    beamline = beamline_with()
    front, back = images(beamline, run, tmp_path, [[("sample:rot", 0.0)], [("sample:rot", 180.0)]])
    # centres of mass, to the rounding of counts
    assert (centre(front) + centre(back)) / 2 == pytest.approx(Amplitudes().axis_offset, abs=0.02)


def test_runout_is_what_no_rigid_particle_about_a_true_axis_does(run, tmp_path):
    angles = np.arange(0.0, 360.0, 30.0)
    wobbling = images(beamline_with(runout=True), run, tmp_path, [[("sample:rot", a)] for a in angles])
    centres = np.array([centre(image) for image in wobbling]) * 0.25  # um
    turns = np.radians(angles)
    rigid = np.column_stack([np.ones_like(turns), np.cos(turns), np.sin(turns)])
    wobble = centres - rigid @ np.linalg.lstsq(rigid, centres, rcond=None)[0]
    assert np.sqrt(2 * np.mean(wobble**2)) == pytest.approx(Amplitudes().runout, rel=0.02)


def test_pixel_size_shows_in_a_known_displacement(run, tmp_path):
    beamline = beamline_with(axis_offset=False)
    pixel = {}
    for energy in (8233.0, 8733.0):
        light = [("mono:bragg", bragg_angle(energy)), ("zp:z", beamline.lens.focus(energy))]
        positions = [[*light, ("sample:x", x)] for x in (-0.001, 0.001)]  # mm
        left, right = images(beamline, run, tmp_path, positions)
        pixel[energy] = 2.0 / (centre(right) - centre(left))  # um
        assert pixel[energy] * 1e3 == pytest.approx(beamline.bank["SIM:cam:PixelSize"].value, rel=2e-3)
    assert pixel[8733.0] > 1.05 * pixel[8233.0]
