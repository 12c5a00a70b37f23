"""The archive: a process that fills Tiled from the journal and never stands in the way of a scan.

It reads the journal with its own cursors, sends what is new in bulk a few times a second, and starts a run over when
the server, or the archive itself, was away in the middle of it. What is in Tiled is the measure: a run that has its
stop document there is done.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from acquisition.errors import JournalError
from acquisition.journal import Document, Follower

__all__ = ["Archive", "RunUpload"]

log = logging.getLogger("edgewise.archive")
# What documents that Tiled cannot hold make of its writer.
UNFIT = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError)


class RunUpload:
    """Sends the documents of one run to Tiled, in bulk.

    It drives the run writer of bluesky-tiled-plugins, whose own buffers are emptied by count only; `flush` empties
    them now. That reaches into the writer, so its version is pinned and a test stands on it.
    """

    def __init__(self, catalog: Any) -> None:
        from bluesky_tiled_plugins.writing.tiled_writer import RunNormalizer, _RunWriter

        class Writer(_RunWriter):  # type: ignore[misc]
            """Appends rows once: the original repeats an append whose answer was lost, which can double rows."""

            def _append_with_retry(self, df_client: Any, table: Any, desc_name: str) -> None:  # noqa: ARG002
                df_client.append_partition(0, table)

        self._writer = Writer(catalog, batch_size=1_000_000)
        self._normalizer = RunNormalizer()
        self._normalizer.subscribe(self._writer)

    def send(self, documents: Sequence[Document]) -> None:
        """Hand over documents in the order of the journal, then make them visible."""
        for name, doc in documents:
            self._normalizer(name, doc)
        if documents and documents[-1][0] != "stop":
            self.flush()

    def flush(self) -> None:
        """Write what the writer holds back."""
        writer = self._writer
        for stream, rows in writer._internal_data_cache.items():
            if rows:
                writer._write_internal_data(rows, desc_node=writer._desc_nodes[stream])
                rows.clear()
        for resource in list(writer._external_data_cache):
            writer._write_external_data(writer._external_data_cache.pop(resource))


class Archive:
    """Follows a journal folder into a Tiled catalog.

    Parameters
    ----------
    folder
        The journal folder.
    connect
        Returns the catalog of runs; raises `httpx.HTTPError` or `OSError` while the server is away.
    """

    def __init__(self, folder: Path, connect: Callable[[], Any]) -> None:
        self.follower = Follower(folder)
        self._connect = connect
        self._catalog: Any = None
        self._uploads: dict[Path, RunUpload] = {}
        self._away = ""

    def step(self) -> bool:
        """Send everything new; True when the server answered, False when it is away (call again later)."""
        import httpx

        try:
            if self._catalog is None:
                self._catalog = self._connect()
                self._away = ""
            for path, documents in self.follower.new():
                self._offer(path, documents)
        except (httpx.HTTPError, ConnectionError) as reason:
            self._server_away(reason)
            return False
        except JournalError as reason:
            log.error("a run is archived only up to a damaged line of its journal: %s", reason)
        return True

    def _offer(self, path: Path, documents: Sequence[Document]) -> None:
        """Send what is new of one run; a run that cannot be archived does not stand in the way of the others."""
        import httpx

        try:
            self._send(path, documents)
        except httpx.HTTPStatusError as reason:
            if reason.response.status_code >= 500:
                raise
            self._refused(path, reason)
        except UNFIT as reason:
            self._refused(path, reason)

    def _send(self, path: Path, documents: Sequence[Document]) -> None:
        if path not in self._uploads:
            documents = self._begin(path, documents)
        if not documents:
            return
        self._uploads[path].send(documents)
        if documents[-1][0] == "stop":
            del self._uploads[path]
            self.follower.leave(path)
            log.info("archived %s", documents[-1][1]["run_start"])

    def _begin(self, path: Path, documents: Sequence[Document]) -> Sequence[Document]:
        """Prepare for a run this process has not sent from before; returns the documents to send."""
        uid = documents[0][1]["uid"]
        if uid in self._catalog:
            if "stop" in self._catalog[uid].metadata:
                self.follower.leave(path)
                return ()
            log.info("run %s is in Tiled in part; it is sent again from its beginning", uid)
            self._catalog.delete_contents(uid, recursive=True, external_only=False)
        self._uploads[path] = RunUpload(self._catalog)
        return documents

    def _server_away(self, reason: Exception) -> None:
        """Start every unfinished run over when the server is back: what it kept of the last batch is unknown."""
        text = f"{type(reason).__name__}: {reason}"
        if text != self._away:
            log.warning("Tiled is away (%s); the journal keeps everything until it is back", text)
        self._catalog, self._away = None, text
        for path in list(self.follower.cursors):
            self.follower.rewind(path)
        self._uploads.clear()

    def _refused(self, path: Path, reason: Exception) -> None:
        log.error(
            "run in %s cannot be archived and is left out until the archive is started again: %s: %s",
            path,
            type(reason).__name__,
            reason,
        )
        self._uploads.pop(path, None)
        self.follower.leave(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Archive until ended by a signal."""
    line = argparse.ArgumentParser(prog="python -m acquisition.archive", description=__doc__)
    line.add_argument("--journal", type=Path, required=True, help="journal folder")
    line.add_argument("--tiled", required=True, help="URI of the Tiled server; its key is in TILED_API_KEY")
    line.add_argument("--period", type=float, default=0.2, help="seconds between looks at the journal")
    options = line.parse_args(arguments)
    # Read by the client when it is imported: give up on a call soon, since everything is sent again anyway.
    os.environ.setdefault("TILED_RETRY_ATTEMPTS", "2")
    os.environ.setdefault("TILED_RETRY_TIMEOUT", "5")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    from acquisition.tiled_server import RAW, connect

    archive = Archive(options.journal, lambda: connect(options.tiled, os.environ["TILED_API_KEY"])[RAW])
    sys.stdout.write("READY\n")
    while True:
        here = archive.step()
        time.sleep(options.period if here else 1.0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
