"""The light on the field of view: its pattern, which changes with energy and time, and the condenser's spot."""

import numpy as np
import numpy.typing as npt

from sim.effects import Amplitudes
from sim.optics import Condenser

Single = npt.NDArray[np.float32]
PATTERN_PERIOD = 1680.0  # s; the flat changes by `illumination_drift` in 28 min
PATTERN_RANGE = 30.0  # eV; and as much in these
DARKEST = np.float32(0.15)  # of the pattern, whose mean is 1


class Illumination:
    """Makes the beam's intensity over the frame.

    Parameters
    ----------
    shape : (rows, columns)
        Of the camera.
    pixel : float
        At the sample, um. In focus the condenser fills the longer side of the field.
    amplitudes : Amplitudes
        Strengths of the effects.
    random : Generator
        Of the patterns.
    """

    def __init__(
        self, shape: tuple[int, int], pixel: float, amplitudes: Amplitudes, random: np.random.Generator
    ) -> None:
        self._shape, self._amplitudes = shape, amplitudes
        self._radius, self._condenser = max(shape) / 2 * pixel, Condenser()
        self._patterns = [_lumps(random, shape, scale) for scale in (0.22, 0.15, 0.15)]
        self._places = [((np.arange(n) - (n - 1) / 2) * pixel / self._radius) ** 2 / 2 for n in shape]

    def at(self, energy: float, time: float, *, condenser: float, effects: frozenset[str]) -> Single:
        """Return the intensity relative to the mean of the condenser in focus, axes (row, column).

        Parameters
        ----------
        energy, time : float
            eV; beamline time, s.
        condenser : float
            Distance of the condenser from focus, mm.
        effects : frozenset of str
            Switches that are on.
        """
        pattern = self._pattern(energy, time, drift="drift" in effects) if "illumination" in effects else None
        if "condenser" not in effects or condenser == 0:
            return np.ones(self._shape, np.float32) if pattern is None else pattern
        spot = self._spot(condenser)
        return spot if pattern is None else pattern * spot

    def _pattern(self, energy: float, time: float, *, drift: bool) -> Single:
        base, slow, chromatic = self._patterns
        size = self._amplitudes
        pattern = size.illumination * base
        if drift:
            pattern = pattern + size.illumination_drift * np.sin(time / PATTERN_PERIOD) * slow
        pattern = pattern + size.illumination_drift * np.sin((energy - 8333) / PATTERN_RANGE) * chromatic
        return np.asarray(np.maximum(1 + pattern, DARKEST), np.float32)

    def _spot(self, condenser: float) -> Single:
        """Return the Gaussian spot of a condenser out of focus over that of one in focus: wider, and so dimmer."""
        narrower = self._condenser.spread(condenser, self._radius) ** -2
        rows, columns = (np.exp(place * (1 - narrower)).astype(np.float32) for place in self._places)
        return np.asarray(np.float32(narrower) * np.outer(rows, columns), np.float32)


def _lumps(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Single:
    """Return a smooth random pattern of mean 0 and standard deviation 1; lumps of `scale` of the frame."""
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij", sparse=True))
    smooth = np.exp(-0.5 * (frequency * scale * np.pi / 2) ** 2)
    pattern = np.fft.ifft2(np.fft.fft2(rng.standard_normal(shape)) * smooth).real
    return np.asarray((pattern - pattern.mean()) / pattern.std(), np.float32)
