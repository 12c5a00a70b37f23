"""Counts to optical density: the right value, the right noise, and no number where there is no light."""

import numpy as np
import pytest

from analysis.flatfield import optical_density


def test_optical_density_of_a_known_transmission() -> None:
    dark = np.full((2, 4, 5), 100.0)
    flat = np.full((3, 4, 5), 1100.0)
    frame = np.full((1, 4, 5), 100.0 + 1000.0 * np.exp(-1.3))
    np.testing.assert_allclose(optical_density(frame, flat, dark).values, 1.3, rtol=1e-6)


def test_sigma_is_the_scatter_of_repeated_frames() -> None:
    rng = np.random.default_rng(0)
    gain, read = 4.0, 3.0
    counts = lambda electrons, n: rng.poisson(electrons, (n, 50, 50)) / gain + rng.normal(100, read, (n, 50, 50))  # noqa: E731
    result = optical_density(counts(2000, 40), counts(8000, 20), counts(0, 20), electrons_per_count=gain)
    # the flat's noise is common to all frames: compare over pixels; 100 000 values, 0.2 % statistical
    assert result.values.std() == pytest.approx(result.rms_sigma, rel=0.02)


def test_pixels_without_information_are_flagged_and_hold_no_number() -> None:
    dark = np.full((4, 4), 10.0)
    flat = np.full((4, 4), 110.0)
    flat[0, 0] = 10.0  # dead pixel: no light in the flat
    flat[0, 1] = 0.0
    frame = np.full((4, 4), 60.0)
    frame[2, 2] = 9.0  # below the dark
    frame[3, 3] = np.nan
    result = optical_density(frame, flat, dark)
    expected = np.zeros((1, 4, 4), dtype=bool)
    expected[0, [0, 0, 2, 3], [0, 1, 2, 3]] = True
    np.testing.assert_array_equal(result.invalid, expected)
    assert result.invalid_count == 4
    assert np.isnan(result.values[expected]).all()
    assert np.isnan(result.sigma[expected]).all()
    assert np.isfinite(result.values[~expected]).all()


def test_flagged_pixels_are_filled_from_their_row() -> None:
    frame = np.full((2, 5), 60.0)
    frame[0, 2] = 0.0
    result = optical_density(frame, np.full((2, 5), 110.0), np.full((2, 5), 10.0))
    np.testing.assert_allclose(result.filled(), np.log(2.0), rtol=1e-6)


def test_exposure_ratio_is_taken_off() -> None:
    frames = np.stack([np.full((3, 3), 110.0), np.full((3, 3), 60.0)])
    result = optical_density(frames, np.full((3, 3), 110.0), np.full((3, 3), 10.0), exposure_ratio=[1.0, 0.5])
    np.testing.assert_allclose(result.values, 0.0, atol=1e-6)


def test_integer_and_float_frames_agree() -> None:
    frames = np.random.default_rng(1).integers(200, 4000, (3, 8, 9)).astype(np.uint16)
    flat, dark = np.full((8, 9), 5000.0), np.full((8, 9), 100.0)
    np.testing.assert_allclose(
        optical_density(frames, flat, dark).values, optical_density(frames.astype(float), flat, dark).values
    )


@pytest.mark.parametrize(
    ("flat", "options", "message"),
    [
        (np.ones((3, 3)), {}, "flat has shape"),
        (np.full((4, 4), np.inf), {}, "flat has 16 pixels that are not finite"),
        (np.ones((4, 4)), {"electrons_per_count": 0.0}, "electrons_per_count 0.0 is not above 0"),
        (np.ones((4, 4)), {"exposure_ratio": -1.0}, "exposure_ratio -1.0 is not above 0"),
        (np.ones((4, 4)), {"exposure_ratio": np.ones(3)}, "exposure_ratio has shape"),
        (np.ones((4, 4)) + 0j, {}, "complex128 values in flat"),
        (np.ones((4, 4)), {"out": np.zeros((2, 4, 4), np.float32, order="F")}, "expected writeable, contiguous"),
    ],
)
def test_bad_references_are_refused(flat, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        optical_density(np.ones((2, 4, 4)), flat, np.zeros((4, 4)), **options)
