"""The deviation that is stated for each pixel."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from stm_experiments.benchmarks.quality.surfaces.catalogue import SURFACES
from stm_experiments.core.noise import broad_power
from stm_experiments.models.interfaces import NetworkModule
from stm_experiments.restoration.mixture.local_risk import LocalRisk, MixtureRules
from stm_experiments.restoration.mixture.stated_error import (
    error_covariates,
    fitted_error,
    stated_variance,
)

SIZE = 128
FEW = MixtureRules(patches=((9, 9), (17, 17)))


class Blur(NetworkModule):
    label = "blur"

    def forward(self, images):
        return F.avg_pool2d(F.pad(images, (2, 2, 2, 2), "replicate"), 5, stride=1)


def kagome(seed=1):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(SURFACES["kagome"].draw(rng, (SIZE, SIZE)).heights).float()


def white(sigma, seed=0):
    return sigma * torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def within(image, clean):
    """Shares of the pixels within one and two deviations of the truth."""
    mixture = LocalRisk(Blur(), FEW).mixture(image)
    error, deviation = (mixture.output - clean).abs(), mixture.risk.sqrt()
    return [float((error <= k * deviation).float().mean()) for k in (1, 2)]


def test_the_fitted_map_has_the_covariates_that_are_measured():
    mixture = LocalRisk(Blur(), FEW).mixture(kagome() + white(0.1))
    covariates, broad = error_covariates(mixture.terms)
    assert list(covariates) == fitted_error().covariates
    assert broad > 0


def test_the_deviation_follows_the_contrast_and_not_the_level():
    image, net = kagome() + white(0.1), LocalRisk(Blur(), FEW)
    once, again = net.mixture(image).risk.sqrt(), net.mixture(5 * image + 3).risk.sqrt()
    torch.testing.assert_close(again, 5 * once, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_most_pixels_are_within_the_deviation_with_white_noise(sigma):
    one, two = np.mean([within(kagome(k) + white(sigma, k), kagome(k)) for k in range(3)], 0)
    assert 0.5 < one < 0.95
    assert two > 0.85


def test_noise_that_is_correlated_between_lines_is_stated_in_part():
    clean = kagome()
    field = ndimage.gaussian_filter(
        np.random.default_rng(0).normal(size=clean.shape), 2, mode="wrap"
    )
    image = clean + torch.from_numpy(0.15 * field / field.std()).float()
    mixture = LocalRisk(Blur(), FEW).mixture(image)
    assert mixture.noise**0.5 < 0.05  # it is not measured
    assert float(mixture.risk.mean()) > 9 * mixture.error


def test_the_deviation_is_larger_where_the_experts_disagree():
    terms = LocalRisk(Blur(), FEW).mixture(kagome() + white(0.1)).terms
    even = torch.full_like(terms.variance, float(terms.variance.mean()))
    single = even.clone()
    single[10, 10] *= 100
    ratio = stated_variance(terms._replace(variance=single)) / stated_variance(
        terms._replace(variance=even)
    )
    assert ratio[10, 10] > 2
    assert ratio[25:, 25:].median() < 1.2


def test_a_constant_and_a_small_image_have_no_deviation():
    net = LocalRisk(Blur(), FEW)
    assert net.mixture(torch.zeros(64, 64)).risk.abs().max() < 1e-12
    assert net.mixture(white(1.0)[:20]).risk.shape == (20, SIZE)


def test_the_broad_power_of_noise_is_its_variance_and_a_lattice_has_little():
    assert float(broad_power(white(2.0)).sum()) == pytest.approx(4, rel=0.15)
    rows, columns = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    lattice = torch.cos(2 * torch.pi * rows / 9.3) + torch.cos(2 * torch.pi * columns / 11.7)
    assert float(broad_power(lattice).sum()) < 0.01 * float(lattice.var())
    lines = white(1.0)[:, :1].expand(-1, SIZE)
    power = broad_power(lines)
    assert float(power[:, 0].sum()) > 0.9 * float(power.sum())
