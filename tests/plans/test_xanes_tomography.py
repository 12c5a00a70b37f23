"""A series becomes one run that the analysis can read without knowing the beamline."""

import json

import event_model
import numpy as np
import pytest

from analysis.live.series import SeriesReader


@pytest.fixture(scope="module")
def by_stream():
    """Return a function that sorts the events of a run by the name of their stream."""

    def sort(documents):
        names = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
        events: dict[str, list] = {name: [] for name in names.values()}
        for name, doc in documents:
            if name == "event":
                events[names[doc["descriptor"]]].append(doc)
        return events

    return sort


def test_a_series_has_one_dark_a_flat_and_a_tomogram_at_each_energy_and_a_baseline(scan, by_stream):
    events = by_stream(scan.run())
    counts = {name: len(found) for name, found in events.items()}
    assert counts == {"baseline": 2, "dark": 1, "flat": 3, "primary": 3}


def test_every_document_is_valid_and_links_to_its_parents(scan):
    for name, doc in scan.run():
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)


def test_energies_are_taken_in_the_given_order_and_read_back(scan, by_stream):
    primary = by_stream(scan.run())["primary"]
    assert [event["data"]["energy_setpoint"] for event in primary] == [8320.0, 8360.0, 8340.0]
    read_back = [event["data"]["energy"] for event in primary]
    np.testing.assert_allclose(read_back, [8320.0, 8360.0, 8340.0], atol=0.3)  # the tolerance of the gate


def test_each_tomogram_carries_what_the_analysis_needs(scan, by_stream):
    event = by_stream(scan.run(energies=[8320.0]))["primary"][0]
    assert {"detector_pixel_size", "detector_exposure", "ring_current", "flux_rate"} <= event["data"].keys()
    assert event["data"]["detector_exposure"] == 0.05


def test_the_pixel_grows_with_the_energy_as_the_zone_plate_magnifies_less(scan, by_stream):
    primary = by_stream(scan.run(energies=[8320.0, 8400.0]))["primary"]
    small, large = (event["data"]["detector_pixel_size"] for event in primary)
    assert large / small == pytest.approx(8400.0 / 8320.0, rel=1e-3)  # focal length is proportional to energy


def test_the_arguments_in_the_start_document_are_complete_and_plan_the_run_again(scan):
    start = scan.run(md={"sample": "A1"})[0][1]
    assert json.loads(json.dumps(start["plan_args"], allow_nan=False)) == start["plan_args"]
    assert start["plan_args"]["detector"] == "detector"
    assert start["plan_args"]["monitors"] == ["ring", "flux"]
    assert (start["plan_name"], start["sample"]) == ("xanes_tomography", "A1")
    numbers = {k: start["plan_args"][k] for k in ("energies", "angles", "exposure", "sample_out", "flats", "darks")}
    again = scan.run(**numbers)[0][1]["plan_args"]
    assert {**again, "series_uid": ""} == {**start["plan_args"], "series_uid": ""}


def blocks_of(documents):
    """Return (stream, planned energy) of every flat and tomogram, in order."""
    names = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    events = [(names[doc["descriptor"]], doc["data"]) for name, doc in documents if name == "event"]
    return [(stream, data["energy_setpoint"]) for stream, data in events if stream in ("flat", "primary")]


def ways_of(engine, plan):
    """Run a plan; return where it sent the sample, without repetitions."""
    places = [0.0]

    def look(message):
        if message.command == "set" and message.obj.name == "sample_x" and message.args[0] != places[-1]:
            places.append(message.args[0])

    engine.msg_hook = look
    engine(plan)
    return places


def test_alternating_flats_need_one_way_of_the_sample_per_energy(scan):
    assert ways_of(scan.engine, scan.plan(order="alternating")) == [0.0, 2.0, 0.0, 2.0, 0.0]  # three, and home
    assert ways_of(scan.engine, scan.plan()) == [0.0, 2.0, 0.0, 2.0, 0.0, 2.0, 0.0]


def test_alternating_flats_belong_to_the_tomogram_of_their_energy(scan):
    documents = scan.run(order="alternating")
    assert blocks_of(documents) == [
        ("primary", 8320.0), ("flat", 8320.0),
        ("flat", 8360.0), ("primary", 8360.0),
        ("primary", 8340.0), ("flat", 8340.0),
    ]  # fmt: skip
    reader = SeriesReader()
    tomograms = [tomogram for name, doc in documents for tomogram in reader(name, doc)]
    assert [t.planned for t in tomograms] == [8320.0, 8360.0, 8340.0]
    assert [t.flat.readings["energy_setpoint"] for t in tomograms] == [8320.0, 8360.0, 8340.0]
    assert scan.safe()


def test_a_group_shares_the_way_of_the_sample(scan):
    energies = [8320.0, 8330.0, 8340.0, 8350.0]
    assert ways_of(scan.engine, scan.plan(energies=energies, order="alternating", group=2)) == [0.0, 2.0, 0.0]
    reader = SeriesReader()
    tomograms = [tomogram for name, doc in scan.documents() for tomogram in reader(name, doc)]
    assert [t.planned for t in tomograms] == energies
    assert all(abs(t.energy - t.planned) < 0.3 for t in tomograms)  # the tolerance of the gate


def test_a_paused_group_is_taken_again_with_its_flats(scan, interrupted):
    from bluesky.utils import RunEngineInterrupted

    plan = scan.plan(energies=[8320.0, 8330.0], order="alternating", group=2)
    with pytest.raises(RunEngineInterrupted):
        scan.engine(interrupted(plan, "trigger", 9, "detector"))  # dark, 2 x 3 frames, flat, flat
    scan.engine.resume()
    documents = scan.documents()
    flats = [doc for name, doc in documents if name == "event" and doc["seq_num"] == 1 and "energy" in doc["data"]]
    assert len(flats) == 4  # flat and tomogram of the first energy, twice
    reader = SeriesReader()
    tomograms = [tomogram for name, doc in documents for tomogram in reader(name, doc)]
    last = {t.planned: t for t in tomograms}
    assert list(last) == [8320.0, 8330.0]
    assert last[8320.0].flat.time > last[8320.0].projections.time > flats[1]["time"]  # both from the repetition


def test_a_series_can_be_continued_in_another_run(scan):
    first = scan.run(energies=[8320.0])[0][1]
    second = scan.run(energies=[8340.0], series_uid=first["series_uid"])[0][1]
    assert second["series_uid"] == first["series_uid"]
    assert second["uid"] != first["uid"]


def test_the_reader_finds_the_frames_and_angles_of_every_tomogram(scan):
    reader = SeriesReader()
    tomograms = [tomogram for name, doc in scan.run() for tomogram in reader(name, doc)]
    assert len(tomograms) == 3
    for tomogram in tomograms:
        assert tomogram.projections.read().shape == (3, 32, 40)
        np.testing.assert_allclose(tomogram.projections.read_angles(), [0.0, 60.0, 120.0], atol=0.01)
        assert tomogram.flat.read().mean() > 10 * tomogram.dark.read().mean()  # the shutter was open, then closed


def test_flats_are_taken_without_the_sample(scan):
    reader = SeriesReader()
    (tomogram,) = [t for name, doc in scan.run(energies=[8400.0], flats=8) for t in reader(name, doc)]
    middle = (slice(None), slice(14, 18), slice(18, 22))
    flat, projection = tomogram.flat.read()[middle].mean(), tomogram.projections.read()[middle].mean()
    assert projection < 0.95 * flat  # the particle absorbs


@pytest.mark.parametrize(
    ("command", "number", "device"),
    [
        ("trigger", 7, "detector"),
        ("set", 6, "sample_rotation"),
        ("set", 2, "energy"),
        ("set", 4, "sample_x"),
    ],
)
def test_a_paused_series_repeats_its_point_and_the_repetition_counts(scan, interrupted, command, number, device):
    from bluesky.utils import RunEngineInterrupted

    with pytest.raises(RunEngineInterrupted):
        scan.engine(interrupted(scan.plan(), command, number, device))  # in the middle of the second tomogram
    scan.engine.resume()
    reader = SeriesReader()
    tomograms = [tomogram for name, doc in scan.documents() for tomogram in reader(name, doc)]
    assert [t.planned for t in tomograms] == [8320.0, 8360.0, 8340.0]
    assert all(t.projections.read().shape[0] == 3 for t in tomograms)
    assert scan.documents()[-1][1]["exit_status"] == "success"
    assert scan.safe()
