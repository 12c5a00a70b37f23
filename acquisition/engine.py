"""The RunEngine of a session: one subscriber, the journal; facts every run carries; and what keeps a scan safe."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import bluesky.preprocessors as bpp
from bluesky import RunEngine
from bluesky.utils import Msg, MsgGenerator

from acquisition.alarms import refuse_alarms
from acquisition.beam_guard import BeamGuard, install_beam_guard
from acquisition.config import BeamSettings
from acquisition.journal import Journal
from devices.beam import Ring
from devices.potentiostat import Potentiostat
from devices.shutter import Shutter

__all__ = ["make_engine", "protect"]


def make_engine(journal: Path, *, beamline: str, md: dict[str, Any] | None = None) -> tuple[RunEngine, Journal]:
    """A RunEngine whose every document goes to the journal in `journal` before anything else can see it.

    It refuses readings in MAJOR or INVALID alarm.
    """
    from importlib.metadata import version

    engine = RunEngine({"beamline_id": beamline, "edgewise_version": version("edgewise"), **(md or {})})
    keeper = Journal(journal)
    engine.subscribe(keeper)
    refuse_alarms(engine)
    _forget_closed_runs(engine)
    return engine, keeper


def protect(
    engine: RunEngine, *, ring: Ring, shutter: Shutter, beam: BeamSettings, cell: Potentiostat | None = None
) -> BeamGuard:
    """Let every plan wait for the beam, and make safe by itself when one is halted, which skips its own clean-up.

    Then the shutter closes, and a cell that the plan has started stops.

    Returns the guard, whose `state` says what the scan is waiting for.
    """
    guard = BeamGuard(ring, least_current=beam.least_current, settle=beam.settle)
    install_beam_guard(engine, guard)
    engine.preprocessors.append(_safe_when_halted(shutter, cell))
    return guard


def _forget_closed_runs(engine: RunEngine) -> None:
    """Let no pause after the end of a run repeat what belonged to it: there is no run any more that could take it."""
    close: Callable[[Msg], Awaitable[Any]] = engine._close_run

    async def close_run(message: Msg) -> Any:
        answer = await close(message)
        engine._reset_checkpoint_state()
        return answer

    engine.register_command("close_run", close_run)


def _safe_when_halted(shutter: Shutter, cell: Potentiostat | None) -> Callable[[MsgGenerator[Any]], MsgGenerator[Any]]:
    def wrap(plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
        cycled = False

        def look(message: Msg) -> Msg:
            nonlocal cycled
            if message.command == "set" and message.obj is cell:
                cycled = message.args[0] != "stop"
            return message

        try:
            return (yield from bpp.msg_mutator(plan, look))
        except GeneratorExit:  # a halt: no further message would be heard
            shutter.close_now()
            if cell is not None and cycled:
                cell.stop_now()
            raise

    return wrap
