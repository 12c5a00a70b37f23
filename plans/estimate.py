"""What a series will cost before it starts: time, frames, bytes on disk, and dose on the sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from plans.grids import check_grid
from plans.guards import check_count, check_positive
from plans.schedule import Order, Visit, schedule

__all__ = ["Estimate", "Timing", "estimate_xanes_tomography"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How fast a beamline is. Everything is per action and in seconds unless stated.

    Attributes
    ----------
    readout : float
        Dead time of the camera between two frames of one trigger.
    trigger : float
        From the command to the first frame of a trigger, and from the last frame to its being counted.
    rotation_speed, rotation_overhead : float
        Degrees per second; start, stop and settling of one rotation.
    energy_step : float
        One change of the photon energy.
    sample_travel : float
        The sample out of the beam, or back.
    shutter : float
        One change of the fast shutter.
    block : float
        Opening a file and writing the documents of one block.
    """

    readout: float = 0.0
    trigger: float = 0.0
    rotation_speed: float = float("inf")
    rotation_overhead: float = 0.0
    energy_step: float = 0.0
    sample_travel: float = 0.0
    shutter: float = 0.0
    block: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a series will cost.

    Attributes
    ----------
    frames : int
        Darks, flats and projections.
    size : int
        Bytes of frames on disk, without the few kilobytes of each file's head.
    seconds : float
        From the first dark to the last frame.
    exposed : float
        Seconds of frames, of all kinds.
    irradiated : float
        Seconds for which the shutter is open with the sample in the beam.
    dose : float or None
        Gy, absorbed in `irradiated` at the dose rate that was given.
    """

    frames: int
    size: int
    seconds: float
    exposed: float
    irradiated: float
    dose: float | None

    @property
    def duty(self) -> float:
        """Share of the time in which frames are exposed."""
        return self.exposed / self.seconds


def estimate_xanes_tomography(
    *,
    energies: Sequence[float],
    angles: Sequence[float],
    exposure: float,
    flats: int = 10,
    darks: int = 10,
    period: float | None = None,
    order: Order = "flats first",
    group: int = 1,
    frame_bytes: int,
    timing: Timing | None = None,
    dose_rate: float | None = None,
) -> Estimate:
    """Estimate what `xanes_tomography` costs with these arguments.

    The shutter stays open during a tomogram, so the sample is irradiated while it turns and while the camera reads
    out, too.

    Parameters
    ----------
    energies, angles, exposure, flats, darks, order, group
        As for the plan.
    period
        Seconds from frame to frame of a tomogram taken in one turn; None: the rotation stops at each angle.
    frame_bytes
        Of one frame on disk.
    timing
        Of the beamline; None: nothing but the exposures takes time, which is the lower bound.
    dose_rate
        Gy/s of the open beam on the sample.

    Raises
    ------
    PlanRefused
        For arguments the plan would refuse, too.

    Examples
    --------
    >>> cost = estimate_xanes_tomography(
    ...     energies=[8300.0, 8350.0], angles=[0.0, 90.0], exposure=0.5, flats=3, darks=4, frame_bytes=2_000_000
    ... )
    >>> cost.frames, cost.size, cost.seconds, cost.irradiated
    (14, 28000000, 7.0, 2.0)
    """
    grid = check_grid("energies", energies, unit="eV", unique=True)
    visits = schedule(grid, order=order, group=group)
    turns = check_grid("angles", angles, unit="deg", unique=False)
    exposure = check_positive(exposure, name="exposure", unit="s")
    flats, darks = check_count(flats, name="flats", least=1), check_count(darks, name="darks", least=1)
    frame_bytes = check_count(frame_bytes, name="frame_bytes", least=1)
    t = timing or Timing()
    frames = darks + len(grid) * (flats + len(turns))
    travel = sum(abs(b - a) for a, b in pairwise(turns))
    if period is None:
        tomogram = travel / t.rotation_speed + len(turns) * (exposure + t.trigger + t.rotation_overhead)
    else:
        tomogram = len(turns) * max(period, exposure) + t.trigger + t.rotation_overhead
    irradiated = len(grid) * (tomogram + t.shutter)
    way_back = abs(turns[0] - turns[-1]) / t.rotation_speed
    shot = _shot(flats, exposure, t) + tomogram + 4 * t.shutter
    return Estimate(
        frames=frames,
        size=frames * frame_bytes,
        seconds=t.block + _shot(darks, exposure, t) + _made_ready(visits, way_back, t) + len(grid) * shot,
        exposed=frames * exposure,
        irradiated=irradiated,
        dose=None if dose_rate is None else dose_rate * irradiated,
    )


def _made_ready(visits: Sequence[Visit], way_back: float, timing: Timing) -> float:
    """Seconds until blocks are ready: of energy, sample, rotation and file, which move at once, the longest counts."""
    blocks = [("primary", None), *(block for visit in visits for block in visit.blocks())]  # it begins in place
    return sum(
        max(
            timing.sample_travel if kind != before else 0.0,
            timing.energy_step if energy != earlier else 0.0,
            way_back if kind == "primary" else 0.0,
            timing.block,
        )
        for (before, earlier), (kind, energy) in pairwise(blocks)
    )


def _shot(frames: int, exposure: float, timing: Timing) -> float:
    """Seconds of frames taken in one trigger."""
    return timing.trigger + frames * exposure + (frames - 1) * timing.readout
