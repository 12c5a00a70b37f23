"""Refusals before anything moves, and gates on read-backs before anything is exposed."""

import math
from collections.abc import Iterable
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.protocols import Checkable, Readable
from bluesky.utils import MsgGenerator

from plans.errors import NotInPosition, PlanRefused

__all__ = ["check_count", "check_limits", "check_positions_differ", "check_positive", "check_room", "gate"]


def check_positive(value: float, *, name: str, unit: str) -> float:
    """The value as a float; refuses what is not finite and above 0."""
    value = float(value)
    if not (math.isfinite(value) and value > 0):
        raise PlanRefused(f"{name} {value} {unit} is not above 0 {unit}")
    return value


def check_count(value: int, *, name: str, least: int) -> int:
    """The count; refuses fewer than `least`."""
    if int(value) != value or value < least:
        raise PlanRefused(f"{name} {value} is not a whole number of at least {least}")
    return int(value)


def check_positions_differ(sample_in: float, sample_out: float, *, least: float) -> None:
    """Refuse flats with the sample in the beam: the two positions must lie at least `least` apart."""
    for name, value in (("sample_in", sample_in), ("sample_out", sample_out)):
        if not math.isfinite(value):
            raise PlanRefused(f"{name} {value} is not a finite position")
    if not abs(sample_out - sample_in) >= least:
        raise PlanRefused(
            f"sample_out {sample_out} is {abs(sample_out - sample_in):.6g} from sample_in {sample_in}: flats would be"
            f" taken with the sample in the beam (at least {least} apart)"
        )


def check_limits(axis: object, positions: Iterable[Any]) -> None:
    """Refuse positions outside the limits the axis itself states."""
    if isinstance(axis, Checkable):
        for position in positions:
            try:
                axis.check_value(position)
            except Exception as reason:  # whatever the device raises is why the plan refuses
                raise PlanRefused(str(reason)) from reason


def check_room(free_space: Readable[Any], needed: int) -> MsgGenerator[None]:
    """Refuse when fewer than `needed` bytes are free where the detector writes."""
    free = yield from bps.rd(free_space, default_value=None)
    if free is None:  # a plan that is only looked at, not run
        return
    if free < needed:
        raise PlanRefused(
            f"{free_space.name} {free / 1e9:.3f} GB is less than the {needed / 1e9:.3f} GB this plan writes"
        )


def gate(axis: Readable[Any], target: float, *, tolerance: float, unit: str) -> MsgGenerator[float]:
    """Read `axis` back; raise unless it lies within `tolerance` of `target`. Returns the read-back."""
    actual = yield from bps.rd(axis, default_value=None)
    if actual is None:  # a plan that is only looked at, not run
        return target
    if not abs(actual - target) <= tolerance:
        raise NotInPosition(
            f"{axis.name} reads {actual:.4f} {unit}, {abs(actual - target):.4f} {unit} from the planned {target:.4f}"
            f" {unit} (tolerance {tolerance} {unit}): nothing was exposed"
        )
    return float(actual)
