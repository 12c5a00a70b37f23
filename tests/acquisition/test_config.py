"""A beamline file says what is wrong with it, all at once, by key."""

import pytest

from acquisition.config import BeamlineFile, SpectroscopyFile, StorageSettings, load_file, packaged
from acquisition.errors import ConfigurationError
from sim.simulation import Simulation

FILES = ("txm_sim", "fxi_sim", "xas_sim")


@pytest.mark.parametrize("name", FILES)
def test_packaged_files_are_valid_for_devices_and_for_the_simulation(name):
    file = load_file(packaged(name))
    assert file.simulation is not None
    assert Simulation.from_toml(packaged(name)).prefix == file.simulation.get("prefix", "SIM:")


def test_packaged_simulations_have_prefixes_of_their_own():
    prefixes = {Simulation.from_toml(packaged(name)).prefix for name in FILES}
    assert len(prefixes) == len(FILES)  # one IOC can serve them all


def test_the_kind_decides_what_a_file_is():
    assert isinstance(load_file(packaged("txm_sim")), BeamlineFile)
    assert isinstance(load_file(packaged("xas_sim")), SpectroscopyFile)


def test_every_mistake_is_named_with_its_key(tmp_path):
    path = tmp_path / "bad.toml"
    text = packaged("txm_sim").read_text()
    text = text.replace("tolerance = 0.2", "tolerance = -1").replace("flats = 20", "flats = 0\ncolour = 3")
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_file(path)
    for key in ("devices.energy.tolerance", "scan.flats", "scan.colour"):
        assert key in str(caught.value)


def test_a_file_that_is_no_toml_or_not_there_is_named(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("name = ")
    for wrong in (path, tmp_path / "nowhere.toml"):
        with pytest.raises(ConfigurationError, match=wrong.name):
            load_file(wrong)


def test_an_unknown_packaged_name_lists_those_there_are():
    with pytest.raises(ConfigurationError, match="fxi_sim, txm_sim, xas_sim"):
        packaged("nowhere")


def test_relative_folders_lie_below_the_session(tmp_path):
    storage = StorageSettings().below(tmp_path)
    assert storage.frames == tmp_path / "frames"
