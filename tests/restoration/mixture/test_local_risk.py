"""Experts mixed by their estimated error: whatever the network does, no scan gets worse."""

from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from stm_experiments.benchmarks.quality.surfaces.catalogue import SURFACES
from stm_experiments.models.interfaces import NetworkModule
from stm_experiments.restoration.mixture.local_risk import LocalRisk, MixtureRules, _project

SIZE = 112
FEW = MixtureRules(patches=((9, 9), (17, 17)))
NAMES = (
    "hexagonal_5_8px", "kagome", "honeycomb_9_13px", "square_30_60px", "dim_atoms", "molecules",
    "ring_adsorbates", "standing_wave", "half_steps", "islands", "amorphous_film", "empty",
)  # fmt: skip
LEVELS = (0.003, 0.03, 0.15, 0.5)


class Zeros(NetworkModule):
    label = "zeros"

    def forward(self, images):
        return torch.zeros_like(images)


class Blur(NetworkModule):
    label = "blur"

    def forward(self, images):
        return F.avg_pool2d(F.pad(images, (2, 2, 2, 2), "replicate"), 5, stride=1)


class Inventor(NetworkModule):
    """Returns a lattice that is not in the image."""

    label = "another lattice"

    def forward(self, images):
        rows, columns = (torch.arange(n) for n in images.shape[-2:])
        return (torch.cos(rows / 1.3)[:, None] * torch.cos(columns / 1.7)).expand_as(images)


class Knows(NetworkModule):
    """Returns what it was given."""

    label = "the truth"

    def __init__(self, clean):
        super().__init__()
        self.clean = clean

    def forward(self, images):
        return self.clean[None, None].expand_as(images)


def surface(name, seed=1, shape=(SIZE, SIZE)):
    """A surface whose corrugation is 1, [H, W]."""
    return torch.from_numpy(SURFACES[name].draw(np.random.default_rng(seed), shape).heights).float()


def noisy(clean, sigma, seed=0):
    return clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))


def gain(output, image, clean):
    """Improvement of the mean squared error, dB."""
    return float(10 * ((image - clean).square().mean() / (output - clean).square().mean()).log10())


@pytest.mark.parametrize(("number", "name"), enumerate(NAMES))
def test_a_wrong_network_makes_no_surface_worse(number, name):
    clean = surface(name)
    for sigma, net in zip(
        LEVELS, [(Zeros(), Blur(), Inventor())[(number + k) % 3] for k in range(4)], strict=True
    ):
        image = noisy(clean, sigma)
        mixture = LocalRisk(net, FEW).mixture(image)
        assert gain(mixture.output, image, clean) > -0.05, (sigma, net.label)
        assert mixture.shares.min() >= 0
        assert mixture.shares.sum() <= 1 + 1e-5


@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_the_stated_error_is_about_the_true_one_on_white_noise(sigma):
    ratios = []
    for name in ("kagome", "oblique", "molecules"):
        clean = surface(name, shape=(192, 192))
        mixture = LocalRisk(Blur(), FEW).mixture(noisy(clean, sigma))
        true = (mixture.output - clean).square().mean()
        ratios.append(float(10 * (mixture.risk.mean() / true).log10()))
        assert mixture.noise == pytest.approx(sigma**2, rel=0.1)
    assert -1.5 < np.mean(ratios) < 5, ratios
    assert min(ratios) > -3, ratios  # the noise of one image is known to a few per cent


def test_a_network_that_is_right_is_followed_and_a_wrong_one_is_not():
    clean = surface("kagome")
    image = noisy(clean, 0.2)
    right = LocalRisk(Knows(clean), FEW).mixture(image)
    wrong = LocalRisk(Inventor(), FEW).mixture(image)
    assert right.shares[0] > 0.8
    assert gain(right.output, image, clean) > 18
    assert wrong.shares[0] < 0.02
    assert gain(wrong.output, image, clean) > 5


def test_a_network_that_is_right_in_one_half_is_followed_there():
    clean = surface("kagome")
    half = torch.cat((clean[: SIZE // 2], torch.zeros(SIZE - SIZE // 2, SIZE)))
    image = noisy(clean, 0.3)
    error = (LocalRisk(Knows(half), FEW).mixture(image).output - clean).square()
    without = (LocalRisk(Zeros(), FEW).mixture(image).output - clean).square()
    assert error[:40].mean() < 0.95 * without[:40].mean()
    assert error[-40:].mean() < 1.05 * without[-40:].mean()


def test_the_result_repeats_and_does_not_depend_on_the_uncertainty():
    image = noisy(surface("oblique"), 0.2)
    net = LocalRisk(Blur(), FEW)
    first, again, sure = net.whole(image), net.whole(image), net.whole(image, deviation=True)
    assert torch.equal(first.output, again.output)
    assert torch.equal(first.output, sure.output)
    assert first.deviation is None
    assert sure.deviation.shape == image.shape
    assert (sure.deviation > 0).all()
    torch.testing.assert_close(net(image[None, None])[0, 0], net.mixture(image).output)


def test_the_mixture_follows_the_contrast_and_the_level():
    image = noisy(surface("oblique"), 0.2)
    net = LocalRisk(Blur(), FEW)
    expected = 5 * net.mixture(image).output + 3
    torch.testing.assert_close(net.mixture(5 * image + 3).output, expected, rtol=0, atol=5e-3)


def test_a_small_image_stays_as_it_is():
    image = noisy(surface("oblique", shape=(64, 64)), 0.2)[:31]
    mixture = LocalRisk(Blur(), FEW).mixture(image)
    assert torch.equal(mixture.output, image)
    assert mixture.noise == 0


def test_pieces_of_a_large_image_are_those_of_one_pass():
    image = noisy(surface("kagome", shape=(96, 480)), 0.2)
    one = LocalRisk(Blur(), MixtureRules(patches=((9, 9),))).whole(image)
    done = []
    small = LocalRisk(Blur(), MixtureRules(patches=((9, 9),), piece=256))
    pieces = small.whole(image, progress=lambda *count: done.append(count))
    assert done[-1] == (3, 3)
    changed = (image - one.output).square().mean()
    difference = (one.output - pieces.output)[:, 60:-60].square().mean()
    assert difference < 0.03 * changed
    assert pieces.noise == pytest.approx(one.noise, rel=0.1)
    torch.testing.assert_close(pieces.shares, one.shares, rtol=0, atol=0.1)


def test_the_projection_is_the_nearest_point():
    generator = torch.Generator().manual_seed(0)
    points = 2 * torch.randn(3, 40, 1, generator=generator)
    steps = torch.arange(0, 1.0001, 0.02)
    grid = torch.tensor([p for p in product(steps.tolist(), repeat=3) if sum(p) <= 1 + 1e-9])
    projected = _project(points)[:, :, 0].T
    distances = torch.cdist(points[:, :, 0].T, grid)
    ours = (points[:, :, 0].T - projected).norm(dim=1)
    assert (projected >= 0).all()
    assert (projected.sum(1) <= 1 + 1e-6).all()
    assert (ours <= distances.min(1).values + 1e-6).all()
    assert (projected - grid[distances.argmin(1)]).norm(dim=1).max() < 0.03
