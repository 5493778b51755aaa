"""Repeated frames on the pixels of the first, with known shift and drift, in their units."""

import numpy as np
import pytest
from drawn_frames import SHAPE, draw_surface, frame_of, true_places

from stm_experiments.core.planes import subtract_plane
from stm_experiments.io import Scan
from stm_experiments.restoration.frames import align_frames

UNIT = 1e-11  # m
MOVEMENTS = (((3.7, -8.2), (4.0, -3.0)), ((-10.4, 2.1), (-5.0, 1.5)))


def scan(image, **changes):
    facts = {"unit": "m", "pixel_size": (0.1, 0.05), "channel": "Z", "name": "a.sxm"}
    return Scan(UNIT * image + 1e-7, np.ones(SHAPE, bool), **(facts | changes))


@pytest.fixture(scope="module")
def surface():
    return draw_surface()


@pytest.mark.parametrize(("noise", "rows"), [(0.02, 0), (0.1, 0), (0.1, 0.6)])
def test_every_pixel_is_placed_to_a_tenth_of_one(surface, noise, rows):
    """Also where each row has an offset of its own."""
    rng = np.random.default_rng(1)
    still = ((0, 0), (0, 0))
    first, *images = (
        frame_of(surface, *movement)
        + noise * rng.normal(size=SHAPE)
        + rows * rng.normal(size=(SHAPE[0], 1))
        for movement in (still, *MOVEMENTS)
    )
    comparison = align_frames([scan(first), *map(scan, images)])
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]]
    time = row / (SHAPE[0] - 1) - 0.5
    for found, movement in zip(comparison.registrations, MOVEMENTS, strict=True):
        places = [
            axis + shift + drift * time
            for axis, shift, drift in zip((row, column), found.shift, found.drift, strict=True)
        ]
        assert np.abs(places - true_places(*movement)).max() < 0.1


def test_mean_difference_and_frames_are_scans_in_their_unit(surface):
    """Of three frames with equal noise, the mean has 1/sqrt(3) of it, a difference sqrt(2)."""
    rng = np.random.default_rng(2)
    clean = frame_of(surface)
    noisy = [frame_of(surface, *m) + 0.1 * rng.normal(size=SHAPE) for m in MOVEMENTS]
    frames = [scan(image) for image in (clean + 0.1 * rng.normal(size=SHAPE), *noisy)]
    comparison = align_frames(frames)
    everywhere = np.logical_and.reduce([each.mask for each in comparison.aligned])

    def rest(image):
        return np.std(subtract_plane(image - UNIT * clean, everywhere)[everywhere]) / UNIT

    assert rest(comparison.mean.data) == pytest.approx(0.1 / np.sqrt(3), rel=0.15)
    shown = comparison.difference.mask
    assert np.std(comparison.difference.data[shown]) / UNIT == pytest.approx(
        0.1 * np.sqrt(2), rel=0.15
    )
    results = (comparison.mean, comparison.difference, *comparison.aligned)
    for result in results:
        assert (result.unit, result.pixel_size) == ("m", (0.1, 0.05))
        assert len(result.history) == 1
        assert result.source is None
    assert "shifted by 3." in comparison.aligned[0].history[0]
    assert (~comparison.aligned[0].mask).sum() > 0


def test_frames_of_other_units_or_pixels_are_refused(surface):
    image = frame_of(surface)
    align_frames([scan(image), scan(image, pixel_size=None)])
    for other in (scan(image, unit="A"), scan(image, pixel_size=(0.1, 0.06))):
        with pytest.raises(ValueError, match="frames are of one kind and size"):
            align_frames([scan(image), other])


def test_two_traces_of_one_scan_have_the_same_lines(surface):
    """The backward trace moves along the rows, and across them by half a line at most."""
    rng = np.random.default_rng(3)
    movement = ((-0.4, -6.4), (0, 0))
    forward, backward = (
        frame_of(surface, *m) + 0.3 * rng.normal(size=SHAPE) + rng.normal(size=(SHAPE[0], 1))
        for m in (((0, 0), (0, 0)), movement)
    )
    frames = [scan(forward), scan(backward, direction="backward")]
    (found,) = align_frames(frames).registrations
    assert found.drift == (0, 0)
    assert found.shift[0] == pytest.approx(-0.4, abs=0.1)
    assert found.shift[1] == pytest.approx(-6.4, abs=0.1)
    far = scan(np.roll(backward, 3, axis=0), direction="backward")
    assert abs(align_frames([frames[0], far]).registrations[0].shift[0]) <= 0.5
    other_scan = scan(np.roll(backward, 3, axis=0), direction="backward", name="b.sxm")
    (found,) = align_frames([frames[0], other_scan]).registrations
    assert found.shift[0] == pytest.approx(2.6, abs=0.15)


def test_steps_along_the_rows_are_followed(surface):
    """Nothing but noise is left of them without the medians of rows."""
    rng = np.random.default_rng(4)
    row = np.arange(200.0)
    heights = (row > 70) + 2.0 * (row > 105) + np.exp(-((row - 140) ** 2) / 30)
    cuts = [heights[start : start + SHAPE[0], None] for start in (30, 25)]
    frames = [scan(cut + 0.05 * rng.normal(size=SHAPE)) for cut in cuts]
    (found,) = align_frames(frames).registrations
    assert found.shift[0] == pytest.approx(5, abs=0.3)
