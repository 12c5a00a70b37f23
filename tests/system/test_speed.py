"""Compressing the time of the simulated beamline changes nothing in the documents but times and uids."""

import re

import h5py
import numpy as np
import pytest

from acquisition import beamline
from acquisition.channel_access import set_timeouts
from acquisition.config import load_file, packaged
from acquisition.engine import make_engine
from acquisition.journal import read
from plans.xanes_tomography import xanes_tomography
from sim.beamline import build
from sim.control_layer import install
from sim.simulation import Simulation

# What follows the beamline's clock, or is drawn anew at each reading, differs between any two runs.
SETTINGS = """
shape = [16, 16]
pixel_size = 800.0
specimen = {voxel = 0.5}
effects = {photon_noise = false, dark_current = false, ring_decay = false}
"""
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+|_[0-9a-f]{12}_")


@pytest.fixture
def series(tmp_path):
    """Return a maker of the documents and frames of a short series at a speed."""

    def take(speed):
        folder = tmp_path / f"speed_{speed:g}"
        folder.mkdir()
        path = folder / "beamline.toml"
        path.write_text(packaged("txm_sim").read_text() + SETTINGS + f"speed = {speed}\n")
        layer = install(build(Simulation.from_toml(path)).bank)
        set_timeouts()
        try:
            file = load_file(path)
            frames = file.storage.model_copy(update={"frames": folder / "frames"})
            b = beamline.build_station(file.model_copy(update={"storage": frames}))
            beamline.connect(b)
            engine, _ = make_engine(folder / "journal", beamline="speed")
            axes = (b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter)
            engine(
                xanes_tomography(
                    *axes, energies=[8333.0, 8334.0], angles=[0.0, 15.0], exposure=0.1, flats=2, darks=2,
                    sample_in=0.0, sample_out=0.1, monitors=[b.ring, b.cell], baseline=[b.sample, b.energy],
                )
            )  # fmt: skip
        finally:
            layer.close()
        (journal,) = (folder / "journal").glob("*.jsonl")
        return read(journal), folder

    return take


def plain(value, folder):
    """Return a document without what tells one run from another: times, uids and the names of files."""
    if isinstance(value, dict):
        dated = ("time", "timestamp", "timestamps")
        return {plain(k, folder): plain(v, folder) for k, v in value.items() if k not in dated}
    if isinstance(value, list | tuple):
        return [plain(item, folder) for item in value]
    if isinstance(value, str):
        return UID.sub("uid_", value.replace(str(folder), "folder"))
    return value


def frames_of(documents):
    """Return the frames and angles of all blocks."""
    found = []
    for name, doc in documents:
        if name == "stream_resource" and not doc["data_key"].endswith("_time"):
            with h5py.File(doc["uri"].removeprefix("file://localhost"), swmr=True) as file:
                found.append(file[doc["parameters"]["dataset"]][()])
    return found


def test_documents_and_frames_are_the_same_at_any_speed(series):
    (real, real_folder), (fast, fast_folder) = series(1.0), series(10.0)
    assert [name for name, _ in real] == [name for name, _ in fast]
    for (name, one), (_, other) in zip(real, fast, strict=True):
        assert plain(one, real_folder) == plain(other, fast_folder), name
    for one, other in zip(frames_of(real), frames_of(fast), strict=True):
        np.testing.assert_allclose(one, other, atol=1.0)  # a count of rounding
