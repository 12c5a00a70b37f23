"""Child processes of the service: started until they say they are ready, ended by their process id."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from acquisition.errors import ServiceError

__all__ = ["Service"]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Ask the kernel to end this child when its parent ends, however that happens."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Service:
    """A child process with a log file.

    Parameters
    ----------
    name
        What it is called in messages.
    arguments
        Arguments of the Python interpreter that runs this service.
    log
        File that receives standard output and error.
    environment
        Variables added to the present environment.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name, self.arguments, self.log = name, [sys.executable, *arguments], log
        self.environment = {**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the process; returns at once (see `wait_for`)."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                preexec_fn=_die_with_parent,
            )
        return self

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    def output(self) -> str:
        """What the process has written since it was last started."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def wait_for(self, text: str, *, timeout: float) -> str:
        """Wait until the process has written a line that begins with `text`; returns that line."""
        end = time.monotonic() + timeout
        while True:
            for line in self.output().splitlines():
                if line.startswith(text):
                    return line
            if not self.running:
                raise ServiceError(f"{self.name} ended before it was ready; the end of {self.log}:\n{self._tail()}")
            if time.monotonic() > end:
                raise ServiceError(
                    f"{self.name} was not ready after {timeout} s; the end of {self.log}:\n{self._tail()}"
                )
            time.sleep(0.05)

    def wait(self, *, timeout: float) -> int:
        """Wait for the process to end by itself; returns its exit status."""
        if self.process is None:
            raise ServiceError(f"{self.name} was not started")
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired as reason:
            raise ServiceError(f"{self.name} had not ended after {timeout} s (log: {self.log})") from reason

    def stop(self, *, timeout: float = 15.0) -> None:
        """End the process: asked first, killed after `timeout` seconds."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process without asking."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _tail(self, lines: int = 20) -> str:
        return "\n".join(self.output().splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
