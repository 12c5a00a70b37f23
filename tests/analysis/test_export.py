"""A map in a file stands alone: numbers, units, uncertainties, parameters and origin; never half a file."""

import json
from dataclasses import fields, replace

import h5py
import numpy as np
import pytest

from analysis.bound import EdgeModel
from analysis.depth_profile import DepthProfile
from analysis.edge import Code
from analysis.energy_scale import FOIL_SCALES
from analysis.export import FIXED, VOLUMES, parameters, write_valence_map
from analysis.live.valence_map import EnergyQuality, MapSettings, ValenceMap
from analysis.registration import Shift
from analysis.rotation_axis import RotationAxis
from analysis.spectra import Normalisation, Spectrum
from analysis.valence import calibration_from_references

SHAPE = (2, 3, 4)
ENERGIES = np.concatenate([np.linspace(8250, 8320, 5), np.arange(8330, 8360, 2.0), np.linspace(8370, 8500, 5)])
FINE = np.arange(8200.0, 8600.0, 1.0)
WINDOWS = Normalisation(pre=(8250, 8320), post=(8370, 8500), e0=8343)
ORIGIN = {"series_uid": "4f1c", "runs": ["a", "b"], "analysis_version": "1.2"}


@pytest.fixture
def result():
    """A map of 24 voxels, one of which has no edge."""
    rng = np.random.default_rng(0)
    references = tuple(
        (Spectrum(FINE, EdgeModel(at).shape(FINE), name=name, scale=FOIL_SCALES["Ni"], source="made"), valence)
        for name, at, valence in (("NiO", 8341.0, 2.0), ("LiNiO2", 8344.0, 3.0))
    )
    volumes = {name: rng.random(SHAPE, dtype=np.float32) for name in VOLUMES}
    code = np.zeros(SHAPE, np.uint8)
    code[0, 0, 0] = Code.NO_JUMP
    volumes["valence"][0, 0, 0] = np.nan
    shells = {f.name: np.arange(2.0) for f in fields(DepthProfile)} | {"energies": ENERGIES}
    quality = EnergyQuality(8343.0, Shift(0.5, -0.25, 0.01, 0.9, True, ""), 0.02, 7, 5000.0)
    return ValenceMap(
        **volumes | {"code": code, "mask": np.ones(SHAPE, bool)},
        voxel_size=0.04,
        offset=(5, 6, 7),
        field_shape=(64, 64, 64),
        energies=ENERGIES,
        shells=DepthProfile(**shells),
        calibration=calibration_from_references(references, ENERGIES, WINDOWS),
        axis=RotationAxis(31.5, 0.02, "both", 0.9),
        quality=(quality, replace(quality, energy=8344.0)),
        rank=4,
        normalisation=WINDOWS,
        settings=MapSettings("Ni", WINDOWS, references, 0.5),
    )


def test_every_volume_comes_back_with_its_unit(result, tmp_path):
    write_valence_map(tmp_path / "map.h5", result, ORIGIN)
    with h5py.File(tmp_path / "map.h5") as file:
        for name, (unit, _) in VOLUMES.items():
            np.testing.assert_array_equal(file["map"][name][...], getattr(result, name))
            assert file["map"][name].attrs["units"] == unit
            assert file["map"][name].attrs["axes"] == "z:y:x"
        for name in ("valence", "edge", "jump"):
            assert f"{name}_sigma" in file["map"]


def test_a_voxel_without_a_value_has_its_reason_in_words(result, tmp_path):
    write_valence_map(tmp_path / "map.h5", result, ORIGIN)
    with h5py.File(tmp_path / "map.h5") as file:
        reasons = file["map/code"].attrs["long_name"]
        assert np.isnan(file["map/valence"][0, 0, 0])
        assert f"{file['map/code'][0, 0, 0]} NO_JUMP" in reasons


def test_parameters_tell_how_the_map_was_made(result, tmp_path):
    write_valence_map(tmp_path / "map.h5", result, ORIGIN)
    with h5py.File(tmp_path / "map.h5") as file:
        told = json.loads(file["map"].attrs["parameters"])
        assert file.attrs["series_uid"] == "4f1c"
        assert json.loads(file.attrs["runs"]) == ["a", "b"]
    assert told == json.loads(json.dumps(parameters(result)))
    assert Normalisation(**told["normalisation"] | {"pre": (8250, 8320), "post": (8370, 8500)}) == WINDOWS
    assert told["energies_eV"] == ENERGIES.tolist()
    assert [spectrum["valence"] for spectrum in told["reference_spectra"]] == [2.0, 3.0]
    assert told["energy_scale"] == FOIL_SCALES["Ni"].name
    assert (told["rank"], told["voxel_size_um"], told["offset_zyx"]) == (4, 0.04, [5, 6, 7])


def test_shells_calibration_and_the_quality_of_energies_are_there(result, tmp_path):
    write_valence_map(tmp_path / "map.h5", result, ORIGIN)
    with h5py.File(tmp_path / "map.h5") as file:
        assert {"valence", "valence_sigma", "valence_systematic", "voxels"} <= set(file["map/shells"])
        np.testing.assert_array_equal(file["map/calibration/edge_energies"], result.calibration.edge_energies)
        assert file["map/energies/shift"][0].tolist() == [0.5, -0.25]
        assert file["map/energies/energy"].attrs["units"] == "eV"


def test_a_map_replaces_the_older_one_whole(result, tmp_path):
    path = tmp_path / "map.h5"
    write_valence_map(path, result, ORIGIN)
    with h5py.File(path) as reader:  # someone looks at it meanwhile
        write_valence_map(path, replace(result, valence=result.valence + 1), ORIGIN)
        np.testing.assert_array_equal(reader["map/valence"][...], result.valence)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["map/valence"][...], result.valence + 1)
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_older_map(result, tmp_path):
    path = tmp_path / "map.h5"
    write_valence_map(path, result, ORIGIN)
    with pytest.raises(TypeError):
        write_valence_map(path, replace(result, valence=np.array([[[{}]]])), ORIGIN)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["map/valence"][...], result.valence)
    assert list(tmp_path.iterdir()) == [path]


def test_volumes_fixed_by_the_first_energy_are_among_those_written():
    assert set(FIXED) < set(VOLUMES)
