"""What bulk absorption spectra will cost before they start: points, time and dose."""

from collections.abc import Sequence
from dataclasses import dataclass

from plans.estimate import Timing
from plans.grids import counted_grid
from plans.guards import check_count, check_positive

__all__ = ["SpectraEstimate", "estimate_spectra"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectraEstimate:
    """What spectra will cost.

    Attributes
    ----------
    points : int
        Energies at which is counted, of all spectra.
    seconds : float
        From the first dark to the last point.
    counted : float
        Seconds of counting with light.
    irradiated : float
        Seconds for which the shutter is open.
    dose : float or None
        Gy, absorbed in `irradiated` at the dose rate that was given.
    """

    points: int
    seconds: float
    counted: float
    irradiated: float
    dose: float | None

    @property
    def duty(self) -> float:
        """Share of the time in which is counted."""
        return self.counted / self.seconds


def estimate_spectra(
    edges: dict[str, Sequence[tuple[float, float, float, float]]],
    *,
    rounds: int = 1,
    dark_exposure: float | None = None,
    timing: Timing | None = None,
    dose_rate: float | None = None,
) -> SpectraEstimate:
    """Estimate what `rounds` rounds of one `energy_scan` per edge cost; the shutter stays open during a spectrum.

    Parameters
    ----------
    edges
        Regions ``(first, last, step, seconds)`` of each edge by its element, as for `in_situ`.
    rounds
        How often each is taken.
    dark_exposure
        As for the plan.
    timing
        Of the beamline: ``energy_step`` and ``trigger`` count once per point, ``shutter`` and ``block`` twice per
        spectrum. None: nothing but the counting takes time, which is the lower bound.
    dose_rate
        Gy/s of the beam on the sample.

    Raises
    ------
    PlanRefused
        For regions the plan would refuse, too.

    Examples
    --------
    >>> cost = estimate_spectra({"Ni": [(8300.0, 8320.0, 10.0, 0.5), (8321.0, 8330.0, 1.0, 2.0)]}, rounds=10)
    >>> cost.points, cost.seconds, cost.counted
    (130, 235.0, 215.0)
    """
    rounds = check_count(rounds, name="rounds", least=1)
    t = timing or Timing()
    points, counted, dark = 0, 0.0, 0.0
    for regions in edges.values():
        energies, seconds = counted_grid(regions)
        points += len(energies)
        counted += sum(seconds)
        longest = max(seconds) if dark_exposure is None else dark_exposure
        dark += check_positive(longest, name="dark_exposure", unit="s")
    irradiated = counted + points * (t.energy_step + t.trigger)
    around = dark + len(edges) * (t.trigger + 2 * (t.shutter + t.block))
    return SpectraEstimate(
        points=rounds * points,
        seconds=rounds * (irradiated + around),
        counted=rounds * counted,
        irradiated=rounds * irradiated,
        dose=None if dose_rate is None else dose_rate * rounds * irradiated,
    )
