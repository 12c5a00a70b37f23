"""Child processes: ready when they say so, ended when we say so, and their last words shown when they die."""

import os
import time

import pytest

from acquisition.errors import ServiceError
from acquisition.processes import Service

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("READY", flush=True)
while True:
    time.sleep(0.05)
"""


def service(tmp_path, code, name="helper"):
    return Service(name, ["-c", code], log=tmp_path / "helper.log")


def alive(pid):
    """Whether a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_is_ready_when_it_says_so(tmp_path):
    with service(tmp_path, "print('READY port=1', flush=True); input()") as helper:
        # standard input is closed, so input() ends the process at once; its line has been written before
        assert helper.wait_for("READY", timeout=20) == "READY port=1"


def test_one_that_dies_early_is_reported_with_its_last_words(tmp_path):
    with (
        service(tmp_path, "import sys; sys.exit('no such beamline')") as helper,
        pytest.raises(ServiceError, match=r"helper ended before it was ready[\s\S]*no such beamline"),
    ):
        helper.wait_for("READY", timeout=20)


def test_one_that_says_nothing_is_not_waited_for_for_ever(tmp_path):
    code = "import time\nwhile True: time.sleep(0.05)"
    with (
        service(tmp_path, code) as helper,
        pytest.raises(ServiceError, match=r"was not ready after 0\.3 s"),
    ):
        helper.wait_for("READY", timeout=0.3)


def test_one_that_ignores_the_request_is_killed(tmp_path):
    helper = service(tmp_path, STUBBORN).start()
    helper.wait_for("READY", timeout=20)
    pid = helper.process.pid
    helper.stop(timeout=0.2)
    assert not alive(pid)


def test_it_ends_with_its_parent(tmp_path):
    code = f"""
import sys, pathlib
sys.path.insert(0, {os.getcwd()!r})
from acquisition.processes import Service
s = Service("child", ["-c", "import time\\nprint('READY', flush=True)\\nwhile True: time.sleep(0.05)"],
            log=pathlib.Path({str(tmp_path / "child.log")!r})).start()
s.wait_for("READY", timeout=20)
print("PID", s.process.pid, flush=True)
import os; os._exit(1)
"""
    parent = service(tmp_path, code).start()
    pid = int(parent.wait_for("PID", timeout=30).split()[1])
    parent.wait(timeout=20)
    end = time.monotonic() + 20
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not alive(pid)
