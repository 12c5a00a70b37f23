"""The journal keeps every document as it was, and a reader never takes half a line for one."""

import json
import resource
from pathlib import Path

import numpy as np
import pytest

from acquisition.errors import JournalError
from acquisition.journal import Cursor, Follower, Journal, find_run, read


def keep(folder: Path, documents) -> Path:
    journal = Journal(folder)
    for name, doc in documents:
        journal(name, doc)
    return journal.path(documents[0][1]["uid"])


def test_documents_come_back_as_they_were_given(tmp_path, run_documents):
    documents = run_documents(5)
    assert read(keep(tmp_path, documents)) == documents


def test_numpy_values_are_kept_as_numbers(tmp_path, run_documents):
    documents = run_documents(1, grid=np.arange(3, dtype=np.int64), scale=np.float32(0.5), flag=np.bool_(True))
    start = read(keep(tmp_path, documents))[0][1]
    assert (start["grid"], start["scale"], start["flag"]) == ([0, 1, 2], 0.5, True)


def test_every_document_is_on_disk_before_the_next_one(tmp_path, run_documents):
    documents, journal = run_documents(4), Journal(tmp_path)
    for count, (name, doc) in enumerate(documents, start=1):
        journal(name, doc)
        assert len(read(journal.path(documents[0][1]["uid"]))) == count


def test_runs_taken_at_the_same_time_go_to_their_own_files(tmp_path, run_documents):
    first, second, journal = run_documents(3), run_documents(2), Journal(tmp_path)
    for pair in zip(first, second, strict=False):
        for name, doc in pair:
            journal(name, doc)
    assert read(journal.path(second[0][1]["uid"])) == second[: len(first)]


def test_a_journal_that_ends_in_half_a_line_gives_its_complete_documents(tmp_path, run_documents):
    documents = run_documents(4, stop=False)
    path = keep(tmp_path, documents)
    with path.open("ab") as file:
        file.write(b'["event",{"uid":"abc","da')
    cursor = Cursor(path)
    assert cursor.new() == documents
    assert cursor.unfinished_bytes() == 25


def test_a_half_line_is_read_once_it_is_complete(tmp_path, run_documents):
    path = keep(tmp_path, run_documents(1, stop=False))
    cursor = Cursor(path)
    cursor.new()
    line = json.dumps(["event", {"uid": "late"}]).encode() + b"\n"
    with path.open("ab") as file:
        file.write(line[:7])
    assert cursor.new() == []
    with path.open("ab") as file:
        file.write(line[7:])
    assert cursor.new() == [("event", {"uid": "late"})]


def test_a_damaged_line_is_named_with_its_file_and_number(tmp_path, run_documents):
    path = keep(tmp_path, run_documents(1))
    path.write_bytes(path.read_bytes() + b"not json\n")
    with pytest.raises(JournalError, match=r"\.jsonl, line 5: not a journal line"):
        read(path)


def test_a_value_without_json_form_stops_the_scan_and_names_itself(tmp_path, run_documents):
    documents = run_documents(1)
    documents[0][1]["thing"] = object()
    with pytest.raises(TypeError, match="has no JSON form"):
        keep(tmp_path, documents)


def test_a_full_disk_stops_the_scan_and_leaves_no_half_line(tmp_path, run_documents):
    documents = run_documents(200, stop=False)
    journal = Journal(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def keep_all():
        for name, doc in documents:
            journal(name, doc)

    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))  # the kernel refuses to let any file grow beyond this
    try:
        with pytest.raises(JournalError, match=r"disk full|cannot be written"):
            keep_all()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    cursor = Cursor(journal.path(documents[0][1]["uid"]))
    kept = cursor.new()
    assert kept == documents[: len(kept)]
    assert cursor.unfinished_bytes() == 0


def test_a_follower_sees_new_documents_and_new_runs(tmp_path, run_documents):
    follower, first = Follower(tmp_path), run_documents(2)
    path = keep(tmp_path, first)
    assert [(p, docs) for p, docs in follower.new()] == [(path, first)]
    second = run_documents(1)
    other = keep(tmp_path, second)
    assert [(p, docs) for p, docs in follower.new()] == [(other, second)]
    assert list(follower.new()) == []


def test_a_rewound_run_is_read_again_from_its_beginning(tmp_path, run_documents):
    follower, documents = Follower(tmp_path), run_documents(2)
    path = keep(tmp_path, documents)
    list(follower.new())
    follower.rewind(path)
    assert list(follower.new()) == [(path, documents)]


def test_a_run_is_found_by_the_beginning_of_its_uid(tmp_path, run_documents):
    documents = run_documents(1)
    path = keep(tmp_path, documents)
    assert find_run(tmp_path, documents[0][1]["uid"][:8]) == path
    with pytest.raises(JournalError, match="0 runs"):
        find_run(tmp_path, "zzz")
