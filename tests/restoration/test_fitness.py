"""What is said about a scan that a denoiser does not fit, and that no such scan gets worse."""

import numpy as np
import pytest
import scipy
import torch

from stm_experiments.benchmarks.quality.surfaces.catalogue import SURFACES
from stm_experiments.benchmarks.quality.surfaces.lattices import draw_heights
from stm_experiments.models.checkpoint import load
from stm_experiments.models.interfaces import NetworkModule
from stm_experiments.restoration.denoise import denoise
from stm_experiments.restoration.fitness import Verdict
from stm_experiments.restoration.mixture.local_risk import LocalRisk

SHAPE = (128, 128)


class Returns(NetworkModule):
    """Returns one image, on the scale of the scan that it is given."""

    label = "one image"

    def __init__(self, clean=None):
        super().__init__()
        self.clean = clean

    def forward(self, images):
        if self.clean is None:
            return torch.zeros_like(images)
        clean = torch.from_numpy(self.clean).float()
        centred = images[0, 0] - images.mean()
        flat = clean - clean.mean()
        factor = (centred * flat).sum() / flat.square().sum()
        return (factor * flat + images.mean()).expand_as(images)


def mixed(clean=None):
    return LocalRisk(Returns(clean))


def surface(name, seed=1):
    return SURFACES[name].draw(np.random.default_rng(seed), SHAPE).heights


def noisy(clean, sigma, seed=0):
    return clean + np.random.default_rng(seed).normal(0, sigma, clean.shape)


def hexagonal(period, width):
    """A hexagonal lattice of round atoms, its corrugation being about 1."""
    i, j = (number.ravel() for number in np.mgrid[-40:41, -40:41])
    places = period * np.column_stack([i + j / 2, j * 0.75**0.5]) + 60.3
    heights = draw_heights(places, np.ones(len(places)), width, SHAPE)
    low, high = np.quantile(heights, (0.05, 0.95))
    return (heights - low) / (high - low)


def gain(after, before, clean):
    """Improvement of the mean squared error, dB."""
    return 10 * np.log10(np.mean((before - clean) ** 2) / np.mean((after - clean) ** 2))


def test_a_network_that_is_right_is_inside():
    clean = surface("kagome")
    result = denoise(noisy(clean, 0.2), mixed(clean), normalisation="minmax")
    assert result.fitness.verdict is Verdict.INSIDE
    assert result.fitness.expected_gain > 6
    assert "the network alone would lower the error by" in " ".join(result.history)


def test_a_network_that_is_wrong_is_outside():
    result = denoise(noisy(surface("kagome"), 0.2), mixed(), normalisation="minmax")
    assert result.fitness.verdict is Verdict.OUTSIDE
    assert result.fitness.expected_gain > 3, "the filters of the scan's own patches are left"
    said = [line for line in result.history if line.startswith(Verdict.OUTSIDE.value)]
    assert len(said) == 1
    assert "the network alone would raise the error by" in said[0]


def test_a_scan_without_noise_stays():
    clean = surface("kagome")
    result = denoise(clean, mixed(), normalisation="minmax")
    assert result.fitness.verdict is Verdict.UNCHANGED
    assert np.abs(result.data - clean).max() < 1e-6


def test_reasons_are_sentences_of_the_history():
    result = denoise(noisy(surface("kagome"), 0.2), mixed(), normalisation="minmax")
    assert all(sentence in result.history for sentence in result.fitness.sentences())
    for sentence in result.fitness.sentences():
        assert "\n" not in sentence
        assert not sentence.endswith(".")


@pytest.mark.parametrize("width", [128, 400])
def test_lines_that_are_offset_are_told_and_stay(width):
    rng = np.random.default_rng(0)
    surface = SURFACES["kagome"].draw(np.random.default_rng(1), (128, width)).heights
    offsets = rng.normal(0, 0.3, (128, 1))
    scan = surface + rng.normal(0, 0.05, surface.shape)
    line = "whole lines are offset"
    striped = denoise(scan + offsets, mixed(), normalisation="minmax")
    plain = denoise(scan, mixed(), normalisation="minmax")
    for sentence in (line, "slow noise stays in part"):
        assert any(sentence in reason for reason in striped.fitness.sentences())
        assert not any(sentence in reason for reason in plain.fitness.sentences())


@pytest.mark.parametrize("kind", ["a random walk along the lines", "whole lines"])
def test_a_gain_that_leaves_out_slow_noise_says_so(kind):
    white = np.random.default_rng(1).normal(0, 0.08, SHAPE)
    slow = white.cumsum(1) if kind.startswith("a random") else 5 * white[:, :1]
    clean = surface("kagome")
    for added, told in ((0, False), (slow, True)):
        result = denoise(noisy(clean, 0.1) + added, mixed(), normalisation="minmax")
        gains = result.fitness.reasons[0]
        assert "(estimates" in gains
        assert ("does not count in full" in gains) is told


def test_noise_that_can_hide_vacancies_is_told():
    clean = hexagonal(9, 1.8)
    for sigma, told in ((0.2, False), (0.8, True)):
        sentences = denoise(noisy(clean, sigma), mixed()).fitness.sentences()
        assert any("vacancies may be filled" in line for line in sentences) is told
        sure = denoise(noisy(clean, sigma), mixed(), uncertainty=True)
        assert not any("vacancies may be filled" in line for line in sure.history)


def test_lines_that_rise_and_fall_together_are_not_to_be_aligned():
    wave = 0.4 * np.sin(2 * np.pi * np.arange(128) / 12)[:, None]
    scan = noisy(surface("kagome") + wave, 0.05)
    result = denoise(scan, mixed(), normalisation="minmax")
    (told,) = (line for line in result.history if line.startswith("whole lines are offset"))
    assert "rows_differences harms" in told


def test_noise_that_is_correlated_between_lines_is_told():
    clean, noise = surface("kagome"), noisy(np.zeros(SHAPE), 0.3)
    line = "correlated between lines"
    for added, told in ((noise, False), (scipy.ndimage.gaussian_filter(noise, 0.8), True)):
        sentences = denoise(clean + added, mixed(), normalisation="minmax").fitness.sentences()
        assert any(line in sentence for sentence in sentences) is told


FAILED_BEFORE = {
    "hexagonal, 8 px, the paper's noise level": (hexagonal(8, 2.2), 0.14),
    "adatoms 4 px apart": (hexagonal(4.2, 1.1), 0.01),
    "kagome": (surface("kagome"), 0.14),
    "low noise": (surface("honeycomb_9_13px"), 0.003),
    "standing wave": (surface("standing_wave"), 0.1),
    "adsorbates": (surface("ring_adsorbates"), 0.1),
    "half steps along the rows": (surface("half_steps_along_rows"), 0.1),
}


@pytest.mark.parametrize("example", FAILED_BEFORE)
def test_the_shipped_denoiser_makes_nothing_worse(example):
    clean, sigma = FAILED_BEFORE[example]
    scan = noisy(clean, sigma)
    result = denoise(scan)
    true = gain(result.data, scan, clean)
    assert true > -0.1
    with torch.no_grad():
        image = torch.from_numpy((scan - scan.mean()) / 2).float()
        alone = load("surface_denoiser")(image[None, None])[0, 0].numpy() * 2 + scan.mean()
    assert true > gain(alone, scan, clean) - 1.5, "the network alone is not much better"
    if gain(alone, scan, clean) < -2:
        assert result.fitness.verdict is not Verdict.INSIDE


def test_noise_alone_stays_noise_and_becomes_no_atoms():
    scan = np.random.default_rng(5).normal(0, 1, SHAPE)
    result = denoise(scan)
    left = result.data - result.data.mean()
    assert np.std(left) < 0.7
    skewness = np.mean(left**3) / np.std(left) ** 3
    assert abs(skewness) < 0.5


@pytest.mark.parametrize("shape", [(20, 400), (400, 20)])
def test_a_scan_whose_noise_cannot_be_measured_stays_and_says_so(shape):
    image = np.random.default_rng(0).normal(0, 1, shape)
    result = denoise(image)
    np.testing.assert_array_equal(result.data, image)
    assert result.fitness.verdict is Verdict.SMALL
    assert any("less than 32 px along a side cannot be measured" in line for line in result.history)


def test_any_network_that_removes_more_than_noise_is_told():
    clean = surface("kagome")
    scan = noisy(clean, 0.1)
    right, wrong = (
        denoise(scan, net, normalisation="minmax") for net in (Returns(clean), Returns())
    )
    assert right.fitness is wrong.fitness is None
    assert not [line for line in right.history if line.startswith("more was removed")]
    (told,) = (line for line in wrong.history if line.startswith("more was removed"))
    least = float(told.partition("at least ")[2].split()[0])
    error = np.sqrt(np.mean((wrong.data - clean) ** 2))
    assert 0.5 * error < least < 1.05 * error
