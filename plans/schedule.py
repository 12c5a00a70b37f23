"""In which order a series takes its flats and tomograms: with the fewest long ways of the sample, if that is wanted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from plans.errors import PlanRefused
from plans.guards import check_count

__all__ = ["Order", "Visit", "schedule"]

Order = Literal["flats first", "alternating"]
Kind = Literal["flat", "primary"]


@dataclass(frozen=True, slots=True)
class Visit:
    """Energies that are taken together: all without the sample and all with it, in either order.

    An interrupted visit is taken again as a whole, so that flats and tomograms stay close in time.

    Attributes
    ----------
    energies : tuple of float
        eV, in the order in which they are taken.
    kinds : tuple of str
        "flat", "primary" in the order in which they are taken.
    """

    energies: tuple[float, ...]
    kinds: tuple[Kind, Kind]

    def blocks(self) -> Iterator[tuple[Kind, float]]:
        """What is exposed at which energy (eV), in order."""
        return ((kind, energy) for kind in self.kinds for energy in self.energies)


def schedule(energies: Sequence[float], *, order: Order = "flats first", group: int = 1) -> list[Visit]:
    """The visits of a series.

    The frames of every energy have flats of the same energy, taken in the same visit. With "flats first" the sample
    goes out and comes back once per visit. "Alternating" (ABBA) goes on where the visit before has ended, so that the
    sample goes one way only per visit; a larger `group` shares this way between several energies.

    Parameters
    ----------
    energies
        eV, in the order they are to be taken.
    order
        What comes first in a visit: the flats, or in turn the tomograms and the flats.
    group
        Energies of one visit.

    Raises
    ------
    PlanRefused
        When `order` is none of these or `group` is not at least 1.

    Examples
    --------
    >>> [list(visit.blocks()) for visit in schedule([8300.0, 8350.0], order="alternating")]
    [[('primary', 8300.0), ('flat', 8300.0)], [('flat', 8350.0), ('primary', 8350.0)]]
    """
    group = check_count(group, name="group", least=1)
    firsts = range(0, len(energies), group)
    orders: dict[str, tuple[tuple[Kind, Kind], ...]] = {
        "flats first": (("flat", "primary"),),
        "alternating": (("primary", "flat"), ("flat", "primary")),
    }
    if order not in orders:
        raise PlanRefused(f"order {order!r} is none of {', '.join(map(repr, orders))}")
    turns = orders[order]
    return [Visit(tuple(energies[i : i + group]), turns[n % len(turns)]) for n, i in enumerate(firsts)]
