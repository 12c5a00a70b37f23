"""Documents become tomograms, whatever is repeated, missing or foreign in them."""

import pytest

from analysis.live.series import BlockError, SeriesReader


def read(documents, reader=None):
    reader = reader or SeriesReader()
    return [tomogram for name, doc in documents for tomogram in reader(name, doc)]


def test_each_tomogram_comes_with_its_own_flat_and_the_dark(series, documents_of):
    found = read(documents_of(series.tomograms))
    assert [t.planned for t in found] == [t.planned for t in series.tomograms]
    assert [t.flat.frames[0] for t in found] == [t.flat.frames[0] for t in series.tomograms]
    assert found[3].pixel_size == pytest.approx(series.tomograms[3].pixel_size)
    assert found[3].photons_per_count == 8.0


def test_a_tomogram_is_there_with_its_event_and_needs_no_stop(series, documents_of):
    documents = documents_of(series.tomograms[:2], stop=False)
    assert len(read(documents)) == 2


def test_runs_of_two_series_are_told_apart(series, documents_of):
    one = documents_of(series.tomograms[:2], series_uid="one")
    two = documents_of(series.tomograms[2:5], series_uid="two")
    mixed = [document for pair in zip(one, two, strict=False) for document in pair] + two[len(one) :]
    assert [t.planned for t in read(mixed, SeriesReader("two"))] == [t.planned for t in series.tomograms[2:5]]


def test_a_series_goes_on_in_a_second_run(series, documents_of):
    first = documents_of(series.tomograms[:2], stop=False)
    second = documents_of(series.tomograms[2:4])
    found = read(first + second)
    assert len({t.run_uid for t in found}) == 2
    assert len(found) == 4


def test_runs_of_other_plans_are_not_looked_at(series, documents_of):
    documents = documents_of(series.tomograms[:1])
    documents[0][1]["plan_name"] = "count"
    assert read(documents) == []


def test_a_tomogram_without_a_flat_is_named(series, documents_of):
    documents = documents_of(series.tomograms[:1])
    streams = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    without = [(n, d) for n, d in documents if not (n == "event" and streams[d["descriptor"]] == "flat")]
    with pytest.raises(BlockError, match=r"tomogram at 8250.0 eV has no flat"):
        read(without)


def test_an_interrupted_tomogram_may_lack_its_flat(series, documents_of):
    documents = documents_of(series.tomograms[:1])
    streams = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    without = [(n, d) for n, d in documents if not (n == "event" and streams[d["descriptor"]] == "flat")]
    without[-1][1]["exit_status"] = "abort"
    assert read(without) == []


def test_flats_may_come_after_their_tomogram(series, documents_of):
    documents = documents_of(series.tomograms[:1])
    streams = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    flat = [(n, d) for n, d in documents if n == "event" and streams[d["descriptor"]] == "flat"]
    others = [pair for pair in documents if pair not in flat]
    (tomogram,) = read(others[:-1] + flat + others[-1:])
    assert tomogram.flat.frames == series.tomograms[0].flat.frames


def test_an_event_without_frames_is_named(series, documents_of):
    documents = [(n, d) for n, d in documents_of(series.tomograms[:1]) if n != "stream_datum"]
    with pytest.raises(BlockError, match="event 1 of stream dark points to no frames"):
        read(documents)


def test_a_datum_of_an_unknown_resource_is_named(series, documents_of):
    documents = [(n, d) for n, d in documents_of(series.tomograms[:1]) if n != "stream_resource"]
    with pytest.raises(BlockError, match="points to a resource that was never declared"):
        read(documents)
