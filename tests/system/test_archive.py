"""What is in the journal arrives in Tiled, once, whoever was away in the meantime."""

import inspect
import time

import numpy as np
import pytest
from tiled.client.utils import ClientError

from acquisition.archive import RunUpload
from acquisition.channel_access import free_port_pair
from acquisition.config import BeamlineFile
from acquisition.engine import make_engine
from acquisition.journal import Journal, read
from acquisition.processes import Service
from acquisition.tiled_server import RAW, TiledServer, connect
from acquisition.verification import verify_run

pytestmark = pytest.mark.system


def wait_for(condition, timeout=60.0):
    """Wait until `condition()` is true; returns the seconds it took."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < timeout, "nothing arrived"
        time.sleep(0.02)
    return time.monotonic() - begin


class Server:
    """A Tiled server that can be killed and started again."""

    def __init__(self, folder, file):
        self.tiled = TiledServer(folder / "tiled", "127.0.0.1", free_port_pair(50000))
        self.service = self.tiled.service(file, log=folder / "tiled.log")

    def start(self):
        self.service.start()
        wait_for(self._answers, timeout=120)

    def _answers(self):
        import httpx

        try:
            self.client = connect(self.tiled.uri, self.tiled.api_key)
        except httpx.HTTPError:
            assert self.service.running, self.service.output()
            return False
        return True

    @property
    def runs(self):
        return self.client[RAW].v3

    def rows(self, uid, key="seq_num"):
        """A column of the run's primary stream; empty while there is none, or while the run is being sent again."""
        try:
            return self.runs[uid]["primary"].base["internal"].read()[key].to_list()
        except KeyError:
            return []
        except ClientError as error:  # it went between being found and being read
            if error.response.status_code != 404:
                raise
            return []

    def complete(self, uid):
        return uid in self.runs and "stop" in self.runs[uid].metadata


@pytest.fixture(scope="module")
def server(tmp_path_factory, beamline_path):
    """A running Tiled server that may read every frame of these tests."""
    folder, file = tmp_path_factory.mktemp("server"), BeamlineFile.load(beamline_path)
    frames = file.storage.model_copy(update={"frames": tmp_path_factory.getbasetemp()})
    found = Server(folder, file.model_copy(update={"storage": frames}))
    found.start()
    yield found
    found.service.stop()


@pytest.fixture
def archive(server, tmp_path):
    """The archive process of the journal in tmp_path, not started yet."""
    arguments = ["-m", "acquisition.archive", "--journal", str(tmp_path / "journal"), "--tiled", server.tiled.uri]
    service = Service(
        "archive", arguments, log=tmp_path / "archive.log", environment={"TILED_API_KEY": server.tiled.api_key}
    )
    yield service
    service.stop()


@pytest.fixture
def written(tmp_path):
    """Return a function that writes documents to the journal in tmp_path; gives the run's uid."""
    journal = Journal(tmp_path / "journal")

    def write(documents):
        for name, doc in documents:
            journal(name, doc)
        return documents[0][1].get("run_start", documents[0][1]["uid"])

    write.journal = journal
    return write


def test_a_scan_comes_back_from_tiled_and_databroker_with_the_numbers_of_journal_and_files(
    server, archive, in_process_world, tmp_path, capsys
):
    from plans.xanes_tomography import xanes_tomography

    b = in_process_world.devices
    engine, journal = make_engine(tmp_path / "journal", beamline="small")
    archive.start()
    archive.wait_for("READY", timeout=60)
    (uid,) = engine(
        xanes_tomography(
            b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter, energies=[8340.0, 8320.0],
            angles=[0.0, 60.0, 120.0], exposure=0.05, sample_in=0.0, sample_out=2.0, flats=2, darks=2,
            monitors=[b.ring], baseline=[b.sample],
        )
    )  # fmt: skip
    late = wait_for(lambda: server.complete(uid))
    assert np.asarray(server.runs[uid]["baseline"]["sample_x"].read()).shape == (2,)
    assert len(verify_run(server.runs, journal.path(uid))) == 2
    with capsys.disabled():
        print(f"\n  a run was complete in Tiled {late:.2f} s after its stop document")  # noqa: T201


def test_documents_are_seen_while_the_run_goes_on(server, archive, written, run_documents, capsys):
    documents = run_documents(4, stop=False)
    archive.start()
    archive.wait_for("READY", timeout=60)
    uid = written(documents[:2])
    delays = []
    for count, document in enumerate(documents[2:], start=1):
        written.journal(*document)
        delays.append(wait_for(lambda count=count: len(server.rows(uid)) == count))
    assert server.rows(uid, "current") == [0.5, 1.5, 2.5, 3.5]
    assert not server.complete(uid)
    with capsys.disabled():
        print(f"\n  events seen in Tiled after {', '.join(f'{d:.2f}' for d in delays)} s")  # noqa: T201


def test_a_restarted_archive_fills_the_gap_without_doubling_rows(server, archive, written, run_documents):
    documents = run_documents(6)
    archive.start()
    uid = written(documents[:4])
    wait_for(lambda: len(server.rows(uid)) == 2)
    archive.kill()
    written(documents[4:6])
    archive.start()
    wait_for(lambda: len(server.rows(uid)) == 4)
    for document in documents[6:]:
        written.journal(*document)
    wait_for(lambda: server.complete(uid))
    assert server.rows(uid) == [1, 2, 3, 4, 5, 6]


def test_a_journal_that_ends_in_half_a_line_and_one_without_stop_are_archived_as_far_as_they_go(
    server, archive, written, run_documents
):
    uid = written(run_documents(3, stop=False))
    with written.journal.path(uid).open("ab") as file:
        file.write(b'["event",{"uid":"abc","da')
    archive.start()
    wait_for(lambda: len(server.rows(uid)) == 3)
    after = written(run_documents(2))
    wait_for(lambda: server.complete(after))
    assert server.rows(uid) == [1, 2, 3]
    assert not server.complete(uid)


def test_a_run_that_tiled_refuses_does_not_stand_in_the_way(server, archive, written, run_documents):
    refused = run_documents(2)
    refused[1][1]["data_keys"] = {"current": {"source": "ring"}}  # neither type nor shape
    bad, good = written(refused), written(run_documents(2))
    damaged = written(run_documents(2, stop=False))
    path = written.journal.path(damaged)
    path.write_bytes(path.read_bytes() + b"not json\n")
    last = written(run_documents(1))
    archive.start()
    wait_for(lambda: server.complete(good) and server.complete(last) and server.rows(damaged) == [1, 2])
    wait_for(lambda: f"-{bad}.jsonl cannot be archived" in archive.output())
    wait_for(lambda: "archived only up to a damaged line" in archive.output())
    assert archive.running
    assert not server.complete(bad)


def test_a_server_killed_in_mid_run_gets_every_row_once_when_it_is_back(
    server, archive, written, run_documents, in_process_world
):
    documents = run_documents(8)
    archive.start()
    finished = written(run_documents(2))
    wait_for(lambda: server.complete(finished))
    uid = written(documents[:5])
    wait_for(lambda: len(server.rows(uid)) == 3)
    server.service.kill()
    for document in documents[5:8]:
        written.journal(*document)  # the scan goes on
    wait_for(lambda: "Tiled is away" in archive.output())
    server.start()
    for document in documents[8:]:
        written.journal(*document)
    wait_for(lambda: server.complete(uid))
    assert server.rows(uid) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert server.rows(uid, "current") == [i + 0.5 for i in range(8)]
    assert server.rows(finished) == [1, 2]


def test_sending_a_run_again_never_touches_its_frames(server, archive, written, in_process_world, tmp_path):
    """A run cut off in Tiled is deleted there and sent again; the files of the detector belong to nobody but it."""
    from analysis.live.series import SeriesReader
    from plans.xanes_tomography import xanes_tomography

    b = in_process_world.devices
    engine, journal = make_engine(tmp_path / "elsewhere", beamline="small")
    (uid,) = engine(
        xanes_tomography(
            b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter, energies=[8330.0],
            angles=[0.0, 90.0], exposure=0.05, sample_in=0.0, sample_out=2.0, flats=2, darks=2,
        )
    )  # fmt: skip
    documents = read(journal.path(uid))
    archive.start()
    written(documents[:-1])
    wait_for(lambda: len(server.rows(uid)) == 1)
    archive.kill()
    written.journal(*documents[-1])
    archive.start()
    wait_for(lambda: server.complete(uid))
    reader = SeriesReader()
    (tomogram,) = [t for name, doc in documents for t in reader(name, doc)]
    assert tomogram.projections.read().shape[0] == 2
    assert len(verify_run(server.runs, written.journal.path(uid))) == 2


def test_without_a_server_the_archive_waits_and_the_scan_goes_on(written, run_documents, tmp_path):
    nobody = f"http://127.0.0.1:{free_port_pair(52000)}"
    arguments = ["-m", "acquisition.archive", "--journal", str(tmp_path / "journal"), "--tiled", nobody]
    with Service("archive", arguments, log=tmp_path / "archive.log", environment={"TILED_API_KEY": "x"}) as service:
        service.wait_for("READY", timeout=60)
        uid = written(run_documents(5))
        wait_for(lambda: "Tiled is away" in service.output())
        assert service.running
    assert len(read(written.journal.path(uid))) == 8


def test_the_private_parts_of_the_run_writer_are_as_the_archive_expects_them(server):
    upload = RunUpload(server.runs)
    writer = upload._writer
    assert {"data_cache", "desc_node"} == set(inspect.signature(writer._write_internal_data).parameters)
    assert list(inspect.signature(writer._write_external_data).parameters) == ["doc"]
    original = type(writer).__mro__[1]._append_with_retry
    assert list(inspect.signature(original).parameters) == ["self", "df_client", "table", "desc_name"]
    assert "_append_with_retry" in inspect.getsource(type(writer).__mro__[1]._write_internal_data)
    for cache in (writer._internal_data_cache, writer._external_data_cache, writer._desc_nodes):
        assert cache == {}
