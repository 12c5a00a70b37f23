"""Channel Access is set up before anything uses it, or not at all."""

import socket
import subprocess
import sys

from acquisition.channel_access import free_port_pair


def fresh(code: str) -> str:
    """The last line a fresh interpreter writes on standard error, or nothing."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def test_servers_cannot_be_named_after_ophyd_is_loaded():
    late = "import ophyd; from acquisition.channel_access import configure; configure(['127.0.0.1:1'])"
    assert "was to be pointed at 127.0.0.1:1, but epics and ophyd is already imported" in fresh(late)


def test_timeouts_cannot_be_set_after_the_first_signal():
    late = "import ophyd; ophyd.EpicsSignalRO('X', name='x')\n"
    late += "from acquisition.channel_access import set_timeouts; set_timeouts()"
    assert "set_timeouts() must be called before the first device is made" in fresh(late)


def test_timeouts_may_be_asked_for_twice():
    code = "from acquisition.channel_access import set_timeouts; set_timeouts(); set_timeouts()"
    assert fresh(code) == ""


def test_a_port_pair_is_free_for_both_kinds_of_socket():
    port = free_port_pair(50000)
    for number in (port, port + 1):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as trial:
                trial.bind(("127.0.0.1", number))


def test_a_port_that_is_taken_is_passed_over():
    first = free_port_pair(50000)
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", first + 1))
        assert free_port_pair(50000) != first
