"""Energy grids and angle sets: made from a few numbers, checked before anything moves."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from plans.errors import PlanRefused

__all__ = ["angle_set", "check_even", "check_grid", "counted_grid", "energy_grid"]

GOLDEN_ANGLE = 180.0 * (math.sqrt(5.0) - 1.0) / 2.0  # degrees over a half turn


def energy_grid(*parts: tuple[float, float, float]) -> list[float]:
    """Energies (eV) from parts ``(first, last, step)``; a shared end point is taken once.

    >>> energy_grid((8300.0, 8320.0, 10.0), (8320.0, 8322.0, 1.0))
    [8300.0, 8310.0, 8320.0, 8321.0, 8322.0]
    """
    energies: list[float] = []
    for first, last, step in parts:
        if not step > 0 or last < first:
            raise PlanRefused(f"energy part ({first}, {last}, {step}) eV needs a step above 0 and last >= first")
        count = math.floor((last - first) / step + 1e-9) + 1
        energies += [round(first + i * step, 6) for i in range(count)]
    return list(dict.fromkeys(energies))


def counted_grid(regions: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Energies (eV) and their counting times (s) from regions ``(first, last, step, seconds)``, increasing.

    An end point that two regions share is taken once, for the time of the first.

    >>> counted_grid([(8300.0, 8320.0, 10.0, 0.5), (8320.0, 8322.0, 1.0, 2.0)])
    ([8300.0, 8310.0, 8320.0, 8321.0, 8322.0], [0.5, 0.5, 0.5, 2.0, 2.0])
    """
    if not len(regions):
        raise PlanRefused("regions is empty: at least one (first, last, step, seconds) is needed")
    times: dict[float, float] = {}
    end = -math.inf
    for position, region in enumerate(regions):
        if len(region) != 4 or not all(map(math.isfinite, region)):
            raise PlanRefused(f"regions[{position}] {tuple(region)} is not four numbers: first, last, step, seconds")
        first, last, step, seconds = map(float, region)
        if not seconds > 0:
            raise PlanRefused(f"regions[{position}] counts for {seconds} s, which is not above 0 s")
        if first < end:
            raise PlanRefused(f"regions[{position}] begins at {first} eV, below {end} eV where the one before ends")
        for energy in energy_grid((first, last, step)):
            times.setdefault(energy, seconds)
        end = last
    return list(times), list(times.values())


def angle_set(count: int, *, order: Literal["sequential", "golden"] = "sequential", start: float = 0.0) -> list[float]:
    """`count` angles (degrees) over a half turn, 180° itself left out.

    ``golden`` steps by the golden angle, so that the first angles of a set already cover the half turn evenly
    and a partial tomogram is useful (Köhler, Nucl. Sci. Symp. Conf. Rec. 6, 3961, 2004).

    >>> angle_set(4)
    [0.0, 45.0, 90.0, 135.0]
    """
    if count < 1:
        raise PlanRefused(f"an angle set of {count} angles is empty")
    step = GOLDEN_ANGLE if order == "golden" else 180.0 / count
    return [round(start + (i * step) % 180.0, 6) for i in range(count)]


def check_grid(name: str, values: Sequence[float], *, unit: str, unique: bool) -> list[float]:
    """The values as floats in the given order; refuses an empty grid, non-finite numbers and duplicates."""
    numbers = [float(value) for value in values]
    if not numbers:
        raise PlanRefused(f"{name} is empty: at least one value in {unit} is needed")
    for position, value in enumerate(numbers):
        if not math.isfinite(value):
            raise PlanRefused(f"{name}[{position}] is {value} {unit}: every value must be finite")
    if unique and len(set(numbers)) != len(numbers):
        twice = next(value for value in numbers if numbers.count(value) > 1)
        raise PlanRefused(f"{name} holds {twice} {unit} {numbers.count(twice)} times: each may stand once")
    return numbers


def check_even(name: str, values: Sequence[float], *, unit: str) -> None:
    """Refuse values that cannot be taken in one movement of constant velocity: fewer than two, or uneven steps."""
    steps = [b - a for a, b in pairwise(values)]
    if not steps:
        raise PlanRefused(f"{name} holds {len(values)} value: a flight needs at least two")
    for position, step in enumerate(steps, start=1):
        if step == 0 or abs(step - steps[0]) > 1e-4 * abs(steps[0]):
            raise PlanRefused(
                f"{name}[{position}] is {step:.6g} {unit} after the one before, the first step is {steps[0]:.6g}"
                f" {unit}: a flight needs even steps"
            )
