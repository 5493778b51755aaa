"""The classical estimates of gaps, and the networks that find and repair stripes."""

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from stm_experiments.models import Destripe, StripeCAE
from stm_experiments.models.networks.destripe import roughness
from stm_experiments.models.networks.gaps import fill_gaps, level_runs


def lattice(height=96, width=80, period=14.0):
    rows, columns = np.indices((height, width))
    wave = np.cos(2 * np.pi * (rows + 0.3 * columns) / period)
    return (wave + np.cos(2 * np.pi * columns / period)).astype(np.float32)


def test_filling_is_the_least_squares_solution():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(40, 5)).astype(np.float32)
    gaps = rng.random(image.shape) < 0.4
    gaps[[0, 1, -1]] = False
    for order in (2, 4):
        energy = np.vstack(
            [np.diff(np.eye(40), order, axis=0), 1e-3**0.5 * np.diff(np.eye(40), axis=0)]
        )
        filled = fill_gaps(image, gaps, order)
        np.testing.assert_array_equal(filled[~gaps], image[~gaps])
        for column, missing in zip(range(5), gaps.T, strict=True):
            known = -energy[:, ~missing] @ image[~missing, column]
            best = np.linalg.lstsq(energy[:, missing], known, rcond=None)[0]
            np.testing.assert_allclose(filled[missing, column], best, atol=1e-4)


def test_the_fourth_order_is_closer_than_a_cubic_spline():
    image = lattice()
    lost = np.zeros(96, bool)
    lost[10:90:20] = lost[11:90:20] = True
    good = np.flatnonzero(~lost)
    spline = CubicSpline(good, image[good], axis=0)(np.flatnonzero(lost))
    filled = fill_gaps(image, np.broadcast_to(lost[:, None], image.shape), 4)[lost]
    assert np.abs(filled - image[lost]).mean() < 0.5 * np.abs(spline - image[lost]).mean()


def test_filling_at_borders_and_of_nothing_but_gaps():
    image = np.arange(30, dtype=np.float32).reshape(10, 3)
    gaps = np.zeros(image.shape, bool)
    gaps[:3, 0] = gaps[8:, 1] = gaps[:, 2] = True
    filled = fill_gaps(image, gaps, 2)
    assert (filled[:3, 0] == image[3, 0]).all()
    assert (filled[8:, 1] == image[7, 1]).all()
    assert (filled[:, 2] == np.median(image[~gaps])).all()
    everything = np.ones(image.shape, bool)
    np.testing.assert_array_equal(fill_gaps(image, everything, 2), image)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("height", [3, 4, 5, 6, 20])
def test_filling_of_very_few_pixels(height, count):
    image = np.arange(2 * height, dtype=np.float32).reshape(height, 2)
    gaps = np.zeros(image.shape, bool)
    gaps[1 : 1 + min(count, height - 2), 0] = True
    for order in (2, 4):
        # A straight line is the smoothest there is.
        np.testing.assert_allclose(fill_gaps(image, gaps, order), image, atol=1e-3)


def test_levelled_runs_get_the_height_of_the_filling():
    image = lattice()
    gaps = np.zeros(image.shape, bool)
    gaps[20, 10:60] = gaps[21, :] = gaps[50, 70:] = True
    lifted = image.copy()
    lifted[20, 10:60] += 3
    lifted[21] -= 2
    lifted[50, 70:] += 1
    levelled = level_runs(lifted, gaps, image)
    np.testing.assert_allclose(levelled, image, atol=1e-5)


def test_rough_lines_have_the_largest_values():
    image = torch.from_numpy(lattice())[None, None]
    image[:, :, 50] = torch.rand(80)
    rows = roughness(image)[0, 0].mean(1)
    assert rows.argmax() == 50
    assert rows.min() >= 0


def test_pixels_that_the_finder_does_not_mark_keep_their_value():
    torch.manual_seed(0)
    image = torch.from_numpy(lattice())[None, None]
    net = Destripe(4, 4)
    torch.nn.init.normal_(net.finder.leave.weight, std=0.5)
    with torch.no_grad():
        middle, unit = net.scale(image)
        marked = net.logits((image - middle) / unit) > 0
        repaired = net.eval()(image)
        assert torch.equal(net.train()(image), repaired)
    assert 0.01 < marked.float().mean() < 0.99
    assert torch.equal(repaired[~marked], image[~marked])
    assert (repaired != image)[marked].float().mean() > 0.9


@pytest.mark.parametrize("size", [(96, 80), (63, 97), (5, 9)])
def test_any_size(size):
    image = torch.rand(2, 1, *size)
    assert Destripe(4, 4).eval()(image).shape == image.shape
    made = StripeCAE(4).eval()(2 * image - 1)
    assert made.shape == image.shape
    assert made.abs().max() <= 1


def test_the_autoencoder_is_the_published_one():
    """Convolutions of 32 filters, 3x3: 1-32-32 | 32-32-32-1."""
    net = StripeCAE()
    weights = [p.shape for name, p in net.named_parameters() if name.endswith("weight")]
    assert [tuple(shape[:2]) for shape in weights] == [
        (32, 1), (32, 32), (32, 32), (32, 32), (1, 32),
    ]  # fmt: skip
    assert all(shape[2:] == (3, 3) for shape in weights)
    code = net.encoder(torch.zeros(1, 1, 632, 632))
    assert code.shape == (1, 32, 158, 158)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"finder_width": 0}])
def test_arguments_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Destripe(**wrong)
