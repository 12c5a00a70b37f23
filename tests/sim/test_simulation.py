"""Settings are read as written, and mistakes are named."""

import pytest

from sim.simulation import Simulation, SimulationError


def test_settings_come_from_the_table_of_a_beamline_file(tmp_path):
    path = tmp_path / "beamline.toml"
    path.write_text(
        'name = "x"\n[simulation]\nshape = [64, 48]\nreferences = [{path = "a.xdi", valence = 2}]\n'
        "[simulation.specimen]\nradius = 4\nvalence = [[0, 2.1], [4, 2.9]]\n[simulation.effects]\ndefocus = false\n"
    )
    simulation = Simulation.from_toml(path)
    assert simulation.shape == (64, 48)
    assert simulation.references[0].path == tmp_path / "a.xdi"
    assert simulation.specimen.valence == ((0.0, 2.1), (4.0, 2.9))
    assert not simulation.effects.defocus


def test_measured_references_bring_their_own_bandwidth():
    files = {"references": [{"path": "a.xdi", "valence": 2}, {"path": "b.xdi", "valence": 3}]}
    assert not Simulation.from_dict(files).effects.bandwidth
    assert Simulation.from_dict(files | {"effects": {"bandwidth": True}}).effects.bandwidth


def test_an_empty_table_gives_the_defaults(tmp_path):
    path = tmp_path / "beamline.toml"
    path.write_text("[simulation]\n")
    assert Simulation.from_toml(path) == Simulation()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shapes": [1, 2]}, "simulation has no setting 'shapes'"),
        ({"shape": [96]}, r"shape \[96\] is not two numbers within 8..4096"),
        ({"speed": 0}, "speed 0 must be positive"),
        ({"speed": "fast"}, "speed 'fast' is not a number"),
        ({"seed": 1.5}, "seed 1.5 is not a whole number"),
        ({"magnification": "both"}, "magnification 'both' is not a number"),
        ({"magnification": 1.0}, "magnification 1.0 must be above 1"),
        ({"element": "Fe"}, "element 'Fe' is none of"),
        ({"effects": {"defocus": 1}}, "effects defocus 1 is not true or false"),
        ({"effects": {"blur": True}}, "effects has no setting 'blur'"),
        ({"specimen": {"radius": 0}}, "radius 0 um must be positive"),
        ({"others": ["Ni"]}, "are not all different"),
        ({"specimen": {"particles": [[0, 0, 1]]}}, "are not .x, y, z, radius"),
        ({"profiles": {"Mn": [[0, 4]]}}, "not at least two"),
        ({"references": "measured"}, "neither 'parametric' nor a list"),
        ({"references": [{"path": "a"}]}, "does not have just path and valence"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Simulation.from_dict(settings)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SimulationError, match=r"nowhere\.toml"):
        Simulation.from_toml(tmp_path / "nowhere.toml")
