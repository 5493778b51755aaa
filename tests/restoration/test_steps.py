"""Steps with terraces, known waves, regions and known lattices, against the truth."""

import math

import numpy as np
import pytest

from stm_experiments.io.scan import Scan
from stm_experiments.restoration.preparation import (
    check_steps,
    level_facet,
    level_terraces,
    prepare,
)
from stm_experiments.restoration.steps.known_lattice import correction, known_vectors

H, W = 120, 160
ROWS, COLUMNS = np.mgrid[:H, :W].astype(float)
ALL = np.ones((H, W), dtype=bool)
NOISE = 2e-12 * np.random.default_rng(0).normal(size=(H, W))
STEP = 3e-10


def scan(data, mask=ALL, pixel_size=(0.1, 0.1), unit="m"):
    mask = mask if mask.shape == data.shape else np.ones(data.shape, bool)
    filled = np.where(mask, data, np.median(data[mask]))
    return Scan(filled, mask, unit, pixel_size, "Z", metadata={"bias_V": 0.5})


def stairs():
    """Three terraces with steps across both axes; the lowest is the largest."""
    return STEP * ((COLUMNS + 0.3 * ROWS > 100).astype(float) + (COLUMNS + 0.3 * ROWS > 150))


def tilt():
    return 5e-12 * COLUMNS - 8e-12 * ROWS


def test_a_plane_follows_the_stairs_and_a_facet_does_not():
    data = stairs() + tilt() + NOISE
    flat = level_facet(data, ALL, "m").data
    on_terrace = flat[stairs() == 0]
    assert on_terrace.std() < 1.5 * NOISE.std()
    assert np.std(prepare(scan(data), ["plane"]).data[stairs() == 0]) > 5 * NOISE.std()


def test_terraces_are_flat_and_their_heights_are_stated():
    data, mask, sentence = level_terraces(stairs() + tilt() + NOISE, ALL, "m")
    for level in (0, STEP, 2 * STEP):
        here = np.isclose(stairs(), level, atol=1e-12)
        assert data[here].std() < 1.2 * NOISE.std()
    assert mask.all()
    assert "plane fitted to 3 terraces removed: 5" in sentence
    assert "heights above the largest one: 300 pm, 600 pm" in sentence


def test_three_points_on_one_terrace():
    data = stairs() + tilt()
    points = [[5, 5], [110, 10], [60, 60]]
    done = prepare(scan(data), [{"three_points": points}])
    assert np.ptp(done.data[stairs() == 0]) < 1e-13
    assert done.history[0].startswith("plane through three points removed: 5 pm/px along the fast")
    for wrong, reason in (
        ([[0, 0], [5, 5], [10, 10]], "on a line"),
        ([[0, 0], [5, 500], [10, 10]], "outside"),
        ([[0, 0], [5, 5]], "takes three points"),
        ("plane", "takes three points"),
    ):
        with pytest.raises(ValueError, match=reason):
            prepare(scan(data), [{"three_points": wrong}])


def test_a_polynomial_without_an_island():
    x, y = COLUMNS / W, ROWS / H
    bow = 1e-10 * (x**3 - x * y**2 + 2 * y)
    island = 1e-9 * ((ROWS - 60) ** 2 + (COLUMNS - 80) ** 2 < 15**2)
    done = prepare(scan(bow + island), [{"poly": {"degree": 3, "without": [40, 60, 41, 41]}}])
    outside = island == 0
    assert np.ptp(done.data[outside]) < 1e-14
    assert np.ptp(done.data[~outside]) < 1e-14  # the island keeps its shape
    assert done.data.max() - done.data.min() == pytest.approx(1e-9)
    assert np.ptp(prepare(scan(bow + island), [{"poly": 3}]).data[outside]) > 1e-10
    for wrong in (0, 9, 1.5, "two", {"without": [0, 0, 1, 1]}, {"degree": 2, "without": [0, 0, 1]}):
        with pytest.raises(ValueError, match="poly takes"):
            check_steps([{"poly": wrong}])


@pytest.mark.parametrize(("period", "angle"), [(7.3, 20.0), (13.6, 95.0), (4.2, 160.0)])
def test_a_named_wave_goes_and_the_rest_stays(period, angle):
    turn = math.radians(angle)
    phase = 2 * np.pi * (COLUMNS * math.cos(turn) + ROWS * math.sin(turn)) / period
    wave, lattice = 4e-11 * np.cos(phase + 0.7), 1e-11 * np.cos(2 * np.pi * COLUMNS / 9)
    done = prepare(scan(wave + lattice), [{"notch": [round(period * 1.004, 2), angle + 0.3]}])
    assert np.std(done.data - lattice) < 0.05 * np.std(wave)
    assert "amplitude 40 pm" in done.history[0]
    assert f"its normal {angle:.0f}" in done.history[0]
    with pytest.raises(ValueError, match="periods of 2 px or more"):
        check_steps([{"notch": [1.0, 0.0]}])


def test_crop_and_mask():
    data = tilt() + stairs()
    done = prepare(scan(data), [{"crop": [10, 20, 30, 50]}, {"mask": [0, 0, 5, 5]}])
    np.testing.assert_array_equal(done.data[done.mask], data[10:40, 20:70][done.mask])
    assert (~done.mask).sum() == 25
    assert done.metadata["size_nm"] == pytest.approx((3, 5))
    assert done.metadata["bias_V"] == 0.5
    assert done.history == (
        "cut to rows 10 to 39, columns 20 to 69",
        "region [0, 0, 5, 5] taken out: 25 pixels",
    )
    for wrong, reason in (
        ({"crop": [0, 0, 200, 10]}, "not inside of the scan of 120 x 160 px"),
        ({"crop": [0, 0, 0, 10]}, "takes a region"),
        ({"mask": [0, 0, 120, 160]}, "leaves nothing"),
    ):
        with pytest.raises(ValueError, match=reason):
            prepare(scan(data), [wrong])


@pytest.mark.parametrize("argument", [[240, 320], [60, 80], [90, 200], 0.05])
def test_resampling_keeps_the_picture_and_its_size(argument):
    data = np.cos(2 * np.pi * COLUMNS / 40) + np.sin(2 * np.pi * ROWS / 30)
    done = prepare(scan(data), [{"resample": argument}])
    height, width = done.data.shape
    assert done.metadata["size_nm"] == pytest.approx((12, 16))
    rows = (np.arange(height) + 0.5) * H / height - 0.5
    columns = (np.arange(width) + 0.5) * W / width - 0.5
    expected = np.cos(2 * np.pi * columns / 40)[None] + np.sin(2 * np.pi * rows / 30)[:, None]
    inside = (slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(done.data[inside], expected[inside], atol=0.03)
    with pytest.raises(ValueError, match="known pixel size"):
        prepare(scan(data, pixel_size=None), [{"resample": 0.05}])


def test_square_pixels_out_of_flat_ones():
    done = prepare(scan(tilt(), pixel_size=(0.3, 0.1)), [{"resample": 0.1}])
    assert done.data.shape == (360, 160)
    assert done.pixel_size == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize("turn", [0.0, 17.0, 75.0])
def test_the_correction_is_exact(turn):
    known = known_vectors("graphite")
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    true = np.array([[c, -s], [s, c]]) @ known @ np.array([[1, 1], [0, 1]])  # another basis
    drift = np.array([[1.02, 0.08], [0, 0.93]])
    np.testing.assert_allclose(correction(np.linalg.inv(drift) @ true, known), drift, atol=1e-12)
    with pytest.raises(ValueError, match="too far for drift"):
        correction(2 * true, known)


def test_drift_goes_by_a_known_lattice():
    pixel = 0.02  # nm
    rows, columns = np.mgrid[:200, :220] * pixel
    drift = np.array([[1.0, 0.06], [0, 0.95]])  # true (x, y) of a place in the scan
    x = drift[0, 0] * columns + drift[0, 1] * rows
    y = drift[1, 1] * rows
    reciprocal = 2 * np.pi * np.linalg.inv(known_vectors("graphite"))
    waves = [*reciprocal, reciprocal[0] + reciprocal[1]]
    data = sum(np.cos(kx * x + ky * y) for kx, ky in waves) * 1e-11
    done = prepare(scan(data, pixel_size=(pixel, pixel)), [{"lattice": "graphite"}])
    from stm_experiments.lattice.fit import find_lattice

    vectors = find_lattice(done).vectors * pixel
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 0.2461, rtol=0.01)
    cosine = vectors[0] @ vectors[1] / np.prod(np.linalg.norm(vectors, axis=1))
    assert abs(cosine) == pytest.approx(0.5, abs=0.015)
    assert "slow axis times 0.95" in done.history[-1]
    assert not done.mask.all()  # the corners of the sheared frame were not scanned
    with pytest.raises(ValueError, match="whose pixel size is known"):
        prepare(scan(data, pixel_size=None), [{"lattice": "graphite"}])
    with pytest.raises(ValueError, match="choose from graphite"):
        check_steps([{"lattice": "granite"}])


def test_the_form_of_a_step_is_checked():
    for wrong, reason in (
        ({"plane": 1}, r"write this step as plane, not"),
        ("crop", r"write this step as \{crop: \.\.\.\}"),
        ({"crop": [0, 0, 1, 1], "mask": [0, 0, 1, 1]}, "a step is a name"),
        (3, "a step is a name"),
    ):
        with pytest.raises(ValueError, match=reason):
            check_steps([wrong])
