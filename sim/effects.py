"""The effects that make a beamline less than ideal: a switch and a strength for each."""

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Effects:
    """Switches of everything that makes the image less than ideal; all False is a perfect instrument."""

    bandwidth: bool = True
    photon_noise: bool = True
    dark_current: bool = True
    illumination: bool = True
    magnification: bool = True
    defocus: bool = True
    condenser: bool = True
    order_sorting_aperture: bool = True
    axis_offset: bool = True
    image_shift: bool = True
    energy_jitter: bool = False
    ring_decay: bool = True
    drift: bool = False
    intensity_jitter: bool = False
    runout: bool = False
    zone_plate_runout: bool = False
    hot_pixels: bool = False
    zingers: bool = False
    backlash: bool = False
    energy_drift: bool = False
    rocking_curve: bool = False
    fixed_exit: bool = False

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the switches."""
        return tuple(field.name for field in fields(cls))


@dataclass(frozen=True, slots=True)
class Amplitudes:
    """How strong each effect is while it is on.

    Attributes
    ----------
    axis_offset : float
        Of the rotation axis from the middle of the frame, pixels at the reference energy.
    image_shift : float
        Wander of the image with energy (zone plate), um at the sample, peak.
    energy_jitter : float
        eV, standard deviation from exposure to exposure; not seen by the read-back.
    drift : float
        Of the sample, um per hour.
    illumination : float
        Standard deviation / mean of the flat.
    illumination_drift : float
        Relative change of the flat in 28 min, and the same in 30 eV.
    intensity_jitter : float
        From frame to frame, relative.
    runout : float
        Wobble of the rotation axis, twice per turn across the beam and 0.3 of it once per turn in height, um. (Once
        per turn across the beam would only say that the particle stands beside the axis.)
    zone_plate_runout : float
        Way of the zone plate across the beam, um per mm along it: 0.8 of it in x, 0.6 in y.
    dark_offset, dark_rate, read_noise : float
        Counts; counts per s; counts, standard deviation.
    hot_pixels, zingers : float
        Fraction of the pixels; per frame.
    backlash : float
        Difference of the true Bragg angle between the two directions of motion, deg; the encoder does not see it.
    energy_drift : float
        Slow swing of the true energy, eV, period 2 h.
    pitch_drift : float
        Slow swing of the second crystal, urad, period 1 h.
    """

    axis_offset: float = 2.3
    image_shift: float = 0.3
    energy_jitter: float = 0.02
    drift: float = 0.2
    illumination: float = 0.25
    illumination_drift: float = 0.02
    intensity_jitter: float = 0.01
    runout: float = 0.15
    zone_plate_runout: float = 5.0
    dark_offset: float = 100.0
    dark_rate: float = 4.0
    read_noise: float = 1.5
    hot_pixels: float = 2e-4
    zingers: float = 2e-4
    backlash: float = 2e-4
    energy_drift: float = 0.1
    pitch_drift: float = 8.0
