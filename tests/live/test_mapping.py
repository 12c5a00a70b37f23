"""A map exists before the last energy, sharpens with each, and agrees with what the simulation hides."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.edge import Code
from analysis.live.mapping import RegistrationError, ValenceMapper
from analysis.live.series import BlockError


def mapper(series):
    return ValenceMapper(series.settings, [t.planned for t in series.tomograms])


@pytest.fixture(scope="module")
def followed(series):
    """The map after each energy, None while there is none, and the mapper at the end."""
    live = mapper(series)
    maps = []
    for tomogram in series.tomograms:
        live.add(tomogram)
        maps.append(live.result() if live.ready else None)
    yield live, maps
    live.close()


def test_a_map_exists_before_the_last_energy_and_is_refreshed_by_each(followed):
    _, maps = followed
    first = next(k for k, found in enumerate(maps) if found is not None)
    assert first <= 5  # two before, two after, two in the edge
    for k, found in enumerate(maps[first:], start=first):
        assert found.energies.size == k + 1


def test_the_map_sharpens(followed):
    _, maps = followed
    early, last = (m.valence_sigma[m.code == Code.OK] for m in (maps[6], maps[-1]))
    assert np.median(last) < np.median(early)
    assert (maps[-1].code[maps[-1].mask] == Code.OK).mean() > 0.9


def test_every_voxel_has_a_value_or_a_reason(followed):
    found = followed[1][-1]
    reported = found.code == Code.OK
    np.testing.assert_array_equal(np.isfinite(found.valence), reported)
    np.testing.assert_array_equal(np.isfinite(found.valence_sigma), reported)
    assert (found.code[~found.mask] == Code.NOT_MEASURED).all()


def test_the_depth_profile_agrees_with_the_truth_within_its_uncertainty(series, followed):
    shells = followed[1][-1].shells
    truth = np.array(
        [series.true_valence(a, b) for a, b in zip(shells.depth_edges, shells.depth_edges[1:], strict=False)]
    )
    deviation = (shells.valence - truth) / shells.valence_sigma
    assert np.abs(deviation).max() < 3.0
    assert np.mean(deviation**2) < 2.5  # chi2 of 4 to 6 shells; their systematic part is common
    assert shells.valence_sigma[shells.voxels > 500].max() < 0.05  # honest, and still of use


def test_the_box_holds_the_particle_and_says_where_it_lies(followed):
    found = followed[1][-1]
    assert found.field_shape == (64, 64, 64)
    for axis in range(3):
        others = tuple({0, 1, 2} - {axis})
        ends = np.flatnonzero(found.mask.any(axis=others))[[0, -1]]
        assert ends.tolist() == [0, found.mask.shape[axis] - 1]
        assert 0 <= found.offset[axis] <= found.offset[axis] + found.mask.shape[axis] <= 64


def test_an_energy_taken_again_replaces_the_first(series, followed):
    live, spoiled = mapper(series), series.tomograms[5]
    for tomogram in series.tomograms[:9]:
        # first a wrong energy's frames under this label, as after a lost step
        live.add(replace(series.tomograms[4], planned=spoiled.planned) if tomogram is spoiled else tomogram)
    live.add(spoiled)
    expected = followed[1][8]
    np.testing.assert_array_equal(live.result().valence, expected.valence)
    assert live.result().energies.tolist() == expected.energies.tolist()
    live.close()


def test_the_fit_uses_the_energies_that_were_read_back(series, followed):
    live = mapper(series)
    for tomogram in series.tomograms:
        live.add(replace(tomogram, energy=tomogram.energy + 0.25))
    shifted, plain = live.result(), followed[1][-1]
    live.close()
    assert shifted.energies.tolist() == [energy + 0.25 for energy in plain.energies]
    ok = (shifted.code == Code.OK) & (plain.code == Code.OK)
    assert np.median((shifted.edge - plain.edge)[ok]) == pytest.approx(0.25, abs=0.01)  # float32 holds 8342 eV to 1e-3


def test_an_energy_planned_on_the_border_of_a_window_belongs_to_it_wherever_it_was_read_back(series):
    live = mapper(series)
    for tomogram in series.tomograms:
        live.add(replace(tomogram, energy=tomogram.energy + (0.2 if tomogram.planned == 8440.0 else -0.2)))
    assert live.result().normalisation.effective(live.result().energies).post_order == 1  # both ends are used
    live.close()


def spoil(path, how):
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif how == "cut in half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "missing":
        path.unlink()
    elif how == "foreign":
        path.write_text("no HDF5 at all")
    else:
        import h5py

        with h5py.File(path, "r+") as file:
            del file["frames"]
            if how == "other shape":
                file["frames"] = np.ones((3, 4, 5))
            elif how == "a group":
                file.create_group("frames")
            elif how == "text":
                file["frames"] = ["a", "b"]


@pytest.mark.parametrize(
    "how", ["truncated", "cut in half", "missing", "foreign", "no dataset", "other shape", "a group", "text"]
)
def test_a_spoiled_file_is_named_and_leaves_the_map_as_it_was(series, copied, how):
    live = mapper(series)
    live.add(series.tomograms[0])
    bad = copied(series.tomograms[1])
    spoil(bad.projections.frames[0], how)
    with pytest.raises(BlockError, match=str(bad.projections.frames[0])):
        live.add(bad)
    live.add(series.tomograms[1])
    live.close()


def test_frames_of_something_else_are_not_registered(series, copied):
    import h5py

    live = mapper(series)
    live.add(series.tomograms[0])
    other = copied(series.tomograms[1])
    rng = np.random.default_rng(0)
    with h5py.File(other.projections.frames[0], "r+") as file:
        file["frames"][...] = rng.poisson(series.tomograms[1].flat.read().mean(axis=0), file["frames"].shape)
    with pytest.raises(RegistrationError, match="8310"):
        live.add(other)
    live.close()


def test_an_energy_that_was_not_planned_is_refused(series):
    live = ValenceMapper(series.settings, [8250.0, 8340.0, 8440.0])
    with pytest.raises(ValueError, match=r"8310.0 eV is not among the 3 energies"):
        live.add(series.tomograms[1])


def test_a_field_without_a_particle_is_refused_and_the_next_energy_begins(series, copied):
    import h5py

    empty = copied(series.tomograms[0])
    with h5py.File(empty.projections.frames[0], "r+") as file:
        file["frames"][...] = series.tomograms[0].flat.read()[0]
    live = mapper(series)
    with pytest.raises(ValueError):  # noqa: PT011 - no axis, no particle or no contrast: any of the three
        live.add(empty)
    assert live.add(series.tomograms[1]).shift.quality == 1.0
    live.close()


def test_no_map_is_made_of_too_few_energies(series):
    live = mapper(series)
    live.add(series.tomograms[0])
    assert not live.ready
    with pytest.raises(ValueError, match="too few energies"):
        live.result()
    live.close()
