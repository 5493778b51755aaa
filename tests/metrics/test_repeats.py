"""Measures without a truth, on simulated repeats whose truth is known."""

import numpy as np
import pytest
import scipy
from drawn_frames import SHAPE, draw_surface, frame_of

from stm_experiments.core.planes import subtract_plane
from stm_experiments.metrics.registration import register
from stm_experiments.metrics.repeats import (
    RingCorrelation,
    common_rectangle,
    repeated_error,
    ring_correlation,
)


@pytest.fixture(scope="module")
def surface():
    return draw_surface()


@pytest.mark.parametrize("noise", [0.02, 0.3])
@pytest.mark.parametrize("shift", [(0.4, -0.3), (3.3, -5.7), (-9.2, 14.6)])
def test_shifts_are_found_to_a_fraction_of_a_pixel(surface, shift, noise):
    rng = np.random.default_rng(1)
    still, moving = (frame_of(surface, s) + noise * rng.normal(size=SHAPE) for s in ((0, 0), shift))
    found = register(1e-11 * still, 1.2e-11 * moving + 3e-9)  # m
    assert found.shift == pytest.approx(shift, abs=0.02 + 0.3 * noise)
    assert found.drift == pytest.approx((0, 0), abs=0.05 + noise)
    inside = np.isfinite(found.aligned)
    assert inside.mean() == pytest.approx(
        np.prod([1 - abs(s) / n for s, n in zip(shift, SHAPE, strict=True)]), abs=0.02
    )


@pytest.mark.parametrize("drift", [(3.0, 0.0), (-4.0, 5.0)])
def test_drift_is_removed(surface, drift):
    still, moving = frame_of(surface), frame_of(surface, (2.0, -3.0), drift)
    found = register(still, moving)
    inside = np.isfinite(found.aligned)
    left = np.std((found.aligned - still)[inside])
    assert left < 0.01 * np.std(still)
    assert found.correlation > 0.999
    assert np.sign(found.drift[0]) == np.sign(drift[0])


def test_what_was_not_measured_does_not_count(surface):
    still, moving = frame_of(surface), frame_of(surface, (1.5, 2.5))
    mask = np.ones(SHAPE, bool)
    mask[100:] = False
    found = register(still, np.where(mask, moving, 1e3), mask=mask)
    assert found.shift == pytest.approx((1.5, 2.5), abs=0.05)
    assert not np.isfinite(found.aligned[105:]).any()
    assert np.nanmax(np.abs(found.aligned)) < 5


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.zeros((40, 40)), np.zeros((40, 41)), "one shape"),
        (np.zeros((10, 40)), np.zeros((10, 40)), "at least 24 px"),
        (np.zeros((40, 40)), np.eye(40), "nothing but a plane"),
    ],
)
def test_frames_that_cannot_be_compared(first, second, message):
    with pytest.raises(ValueError, match=message):
        register(first, second)


@pytest.mark.parametrize("noise", [0.03, 0.3])
@pytest.mark.parametrize("width", [0, 0.8, 1.6])
def test_errors_agree_with_the_truth_within_half_a_decibel(surface, width, noise):
    """Three frames that drift, of different noise; the estimate is a blurred first frame."""
    rng = np.random.default_rng(2)
    movements = (((0, 0), (0, 0)), ((2.3, -4.1), (1.2, 0.5)), ((-1.6, 3.4), (-0.7, 2.0)))
    frames = [
        frame_of(surface, *movement) + factor * noise * rng.normal(size=SHAPE)
        for movement, factor in zip(movements, (1.0, 1.5, 0.7), strict=True)
    ]
    estimate = scipy.ndimage.gaussian_filter(frames[0], width) if width else frames[0]
    aligned = [register(frames[0], other).aligned for other in frames[1:]]
    part = common_rectangle(np.isfinite(aligned).all(0))
    clean = frame_of(surface)
    true = np.mean(subtract_plane((estimate - clean)[part]) ** 2)
    found = repeated_error(estimate[part], [other[part] for other in aligned])
    assert 10 * np.log10(found.mse.mean / true) == pytest.approx(0, abs=0.5)
    span = 4 * np.std(subtract_plane(clean))
    assert found.psnr == pytest.approx(10 * np.log10(span**2 / true), abs=0.5)


def test_an_interval_covers_the_truth():
    """Of estimates that are off by a known error, 95 % of the intervals hold it."""
    rng = np.random.default_rng(3)
    error = 0.1 * scipy.ndimage.gaussian_filter(rng.normal(size=(72, 72)), 1)
    error = subtract_plane(error)
    held = []
    for _ in range(200):
        found = repeated_error(error, [0.2 * rng.normal(size=error.shape) for _ in range(2)])
        held.append(abs(found.mse.mean - np.mean(error**2)) <= found.mse.half)
    assert np.mean(held) >= 0.9


def test_ring_correlation_of_equal_noisy_and_unrelated_frames(surface):
    rng = np.random.default_rng(4)
    clean = frame_of(surface)
    equal = ring_correlation(clean, clean)
    assert equal.correlation == pytest.approx(1)
    noisy = [clean + 0.2 * rng.normal(size=SHAPE) for _ in range(2)]
    curve = ring_correlation(*noisy)
    assert 3 < curve.finest_period < 11
    alone = [ring_correlation(*rng.normal(size=(2, 140, 160))) for _ in range(20)]
    assert np.mean([np.isfinite(x.finest_period) for x in alone]) <= 0.15
    assert np.mean([x.correlation for x in alone]) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("above", "period"),
    [([0, 1, 1, 1, 0, 1, 0], 10 / 4), ([1] * 7, 10 / 7), ([0] * 7, np.inf), ([1, 0] * 3, 10)],
)
def test_the_first_crossing_of_the_half_bit_curve_counts(above, period):
    frequency = np.arange(1, len(above) + 1) / 10
    curve = RingCorrelation(frequency, np.array(above, float), np.full(len(above), 0.5))
    assert curve.finest_period == pytest.approx(period)


def test_a_rectangle_avoids_gaps():
    shown = np.ones((20, 30), bool)
    shown[:3] = shown[:, 25:] = shown[10, 28] = False
    assert common_rectangle(shown) == (slice(3, 20), slice(0, 25))
    shown[4, 5] = False
    rows, columns = common_rectangle(shown)
    assert shown[rows, columns].all()
    assert shown[rows, columns].size > 300
    with pytest.raises(ValueError, match="no rectangle"):
        common_rectangle(np.zeros((4, 4), bool))


def test_two_frames_say_nothing_about_an_error():
    with pytest.raises(ValueError, match="at least two others"):
        repeated_error(np.eye(30), [np.eye(30)])
