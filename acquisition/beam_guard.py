"""Wait while the storage ring has no beam, then take again what it spoiled."""

from bluesky.suspenders import SuspendFloor

from devices.beam import Ring

__all__ = ["beam_suspender"]


def beam_suspender(ring: Ring, *, least_current: float = 50.0, settle: float = 60.0) -> SuspendFloor:
    """A suspender for ``RunEngine.install_suspender``: below `least_current` a scan waits, its shutter closed.

    When the current is back above 1.2 times that, and `settle` seconds for the optics have passed, the scan goes on
    from its last checkpoint: a series takes the whole energy again, flats and all.

    Parameters
    ----------
    ring
        The storage ring.
    least_current
        mA.
    settle
        Seconds.
    """
    return SuspendFloor(ring.current, least_current, resume_thresh=1.2 * least_current, sleep=settle)
