"""The Channel Access environment of a client; must be set before ophyd or epics is first imported."""

import os
import socket
import sys
from collections.abc import Sequence

from acquisition.errors import ServiceError

__all__ = ["configure", "free_port_pair", "set_timeouts"]


def configure(servers: Sequence[str], *, repeater_port: int | None = None) -> None:
    """Point this process at `servers` (``host:port``, one per IOC); libca reads its environment once.

    An empty sequence leaves the environment as the beamline's own set-up has made it.
    """
    if not servers:
        return
    loaded = sorted({"epics", "ophyd"} & sys.modules.keys())
    wanted = {"EPICS_CA_ADDR_LIST": " ".join(servers), "EPICS_CA_AUTO_ADDR_LIST": "NO"}
    if repeater_port is not None:
        wanted["EPICS_CA_REPEATER_PORT"] = str(repeater_port)
    if loaded and any(os.environ.get(key) != value for key, value in wanted.items()):
        raise ServiceError(
            f"Channel Access was to be pointed at {' '.join(servers)}, but {' and '.join(loaded)} is already imported:"
            " call configure() first"
        )
    os.environ.update(wanted)


def set_timeouts() -> None:
    """Give every signal made from now on a limit to each wait; ophyd's default write waits for ever.

    Raises
    ------
    ServiceError
        When signals exist already that were made without these limits.
    """
    from ophyd.signal import EpicsSignalBase

    try:
        EpicsSignalBase.set_defaults(timeout=5.0, connection_timeout=5.0, write_timeout=10.0)
    except RuntimeError as reason:  # ophyd refuses once a signal exists; right if it was after an earlier call
        if EpicsSignalBase._EpicsSignalBase__default_write_timeout is None:
            raise ServiceError("set_timeouts() must be called before the first device is made") from reason


def free_port_pair(first: int = 20000) -> int:
    """A loopback port from `first` on that is free, with its successor, for both TCP and UDP.

    Two Channel Access servers on one UDP port would shadow each other, so both kinds are tried; and processes that
    look at the same time begin at different places.
    """
    for step in range(0, 10000, 2):
        port = first + (2 * os.getpid() + step) % 10000
        if all(_is_free(candidate) for candidate in (port, port + 1)):
            return port
    raise ServiceError(f"no free pair of ports on 127.0.0.1 between {first} and {first + 10000}")


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
