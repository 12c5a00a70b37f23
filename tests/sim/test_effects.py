"""Each imperfection has the strength that is asked for while it is on, and none while it is off."""

import dataclasses

import numpy as np
import pytest

from sim.absorption import material
from sim.beamline import build
from sim.clock import Clock
from sim.counters import Ring
from sim.effects import Amplitudes, Effects
from sim.exposure import Instrument, State
from sim.morphology import Morphology
from sim.optics import ZonePlate
from sim.records import Bank
from sim.simulation import Simulation
from sim.specimen import particle

LENS = ZonePlate()
STRONG = Amplitudes(hot_pixels=0.01, zingers=0.01)
FIELD = 4e5 * 0.5 / 8  # counts of an ideal empty frame


@pytest.fixture
def instrument():
    return Instrument(
        particle(Morphology(voxel=0.5)), [material("Ni")], LENS, shape=(48, 64), pixel=0.25, photon_rate=4e5,
        photons_per_count=8.0, amplitudes=STRONG, seed=7,
    )  # fmt: skip


def state(*effects, energy=8400.0, out=True, **changes):
    """Return an ideal state but for some effects; the sample is out of the beam unless said otherwise."""
    places = {"zone_plate": (0.0, 0.0, LENS.focus(energy)), "sample": (1000.0 if out else 0.0, 0.0, 0.0)}
    return State(energy, 0.0, effects=frozenset(effects), **(places | changes))


def empty(instrument, *effects, **changes):
    return instrument.image(state(*effects, **changes)).astype(float)


def test_all_effects_off_is_a_perfect_instrument(instrument):
    np.testing.assert_array_equal(empty(instrument), FIELD)


def test_the_beam_is_uneven_by_its_amplitude_and_changes_with_energy(instrument):
    first, later = (empty(instrument, "illumination", energy=energy) / FIELD for energy in (8333.0, 8363.0))
    assert first.std() == pytest.approx(STRONG.illumination, rel=0.1)  # clipped where it would be dark
    assert (later - first).std() == pytest.approx(STRONG.illumination_drift * np.sin(1.0), rel=0.1)  # 30 eV further


def test_the_flat_and_the_sample_drift_with_time(instrument):
    flats = [empty(instrument, "illumination", "drift", time=time) / FIELD for time in (0.0, 1680.0)]
    assert (flats[1] - flats[0]).std() == pytest.approx(STRONG.illumination_drift * np.sin(1.0), rel=0.1)
    crept = np.subtract(*(instrument.displacement(state("drift", time=time, out=False)) for time in (7200.0, 0.0)))
    np.testing.assert_allclose(crept, 2 * STRONG.drift * np.array([0.6, 0.8]), atol=1e-9)  # um in two hours


def test_frames_vary_in_intensity(instrument):
    levels = [empty(instrument, "intensity_jitter").mean() / FIELD for _ in range(200)]
    assert np.std(levels) == pytest.approx(STRONG.intensity_jitter, rel=0.2)  # four standard errors of 200


def test_hot_pixels_stay_and_zingers_do_not(instrument):
    def hit(effect):
        return empty(instrument, effect) > FIELD + 1000

    assert hit("hot_pixels").sum() == pytest.approx(0.01 * 48 * 64, rel=0.6)  # three standard deviations of 31
    np.testing.assert_array_equal(hit("hot_pixels"), hit("hot_pixels"))
    assert hit("zingers").sum() == pytest.approx(0.01 * 48 * 64, rel=0.6)
    assert (hit("zingers") & hit("zingers")).sum() < 5


def test_the_image_wanders_with_energy(instrument):
    energies = np.arange(8300.0, 8400.0, 1.0)
    wander = np.array([instrument.displacement(state("image_shift", energy=e, out=False)) for e in energies])
    assert 0.5 * STRONG.image_shift < np.abs(wander).max() <= STRONG.image_shift
    assert instrument.displacement(state(out=False)) == (0.0, 0.0)


def test_the_bandwidth_rounds_the_edge(instrument):
    energies = np.arange(8338.0, 8352.0, 0.25)

    def sharpest(*effects):
        seen = [np.log(instrument.transmission(state(*effects, energy=e, out=False))[24, 32]) for e in energies]
        return np.abs(np.diff(seen, 2)).max()

    assert sharpest("bandwidth") < 0.9 * sharpest()


def settings(**effects):
    off = dataclasses.asdict(Effects()) | dict.fromkeys(Effects.names(), False)
    base = {"shape": [16, 16], "pixel_size": 800.0, "specimen": {"voxel": 0.5}, "effects": off | effects}
    return build(Simulation.from_dict(base))


def test_the_true_energy_swings_slowly():
    mono = settings(energy_drift=True).parts.mono
    light = [mono.true_energy(quarter * 1800.0) for quarter in range(4)]  # period 2 h
    np.testing.assert_allclose(np.subtract(light, light[0]), [0.0, 0.1, 0.0, -0.1], atol=1e-9)
    still = settings().parts.mono
    assert still.true_energy(0.0) == still.true_energy(1800.0)


class SetClock(Clock):
    """A clock that shows what it is set to."""

    moment = 0.0

    def now(self):
        return self.moment


def test_the_ring_decays_and_is_topped_up():
    clock = SetClock()
    ring = Ring(Bank(), "ring:", clock, decays=lambda: True)
    currents = []
    for clock.moment in (0.0, 300.0, 600.0, 660.0):  # from 500 to 490 mA with 9 h lifetime: 655 s
        currents.append(ring.current())
    assert currents[0] > currents[1] > currents[2] > 490.0
    assert currents[3] > currents[1]
    assert Ring(Bank(), "ring:", clock, decays=lambda: False).current() == 500.0
