"""The plane wave in the noise: where it is, and its removal by the search around the denoiser."""

import math

import pytest
import torch

import stm_experiments
from stm_experiments.core.normalisation import denormalise, normalise_plane
from stm_experiments.restoration.plane_waves import WaveRules, WaveSearch, strongest_wave
from stm_experiments.simulator import LATTICES, NOISES, PRESETS, simulate

SIDES = (150, 131)


def wave(kappa, amplitude=0.3, phase=1.0):
    rows, columns = (torch.arange(float(side)) for side in SIDES)
    return amplitude * torch.cos(kappa[0] * rows[:, None] + kappa[1] * columns + phase)


@pytest.mark.parametrize("kappa", [(0.5, 0.3), (-0.11, 0.953), (0.0, 2.9), (1.3, 0.0)])
def test_a_wave_in_noise_is_found_to_a_small_part_of_a_fourier_bin(kappa):
    truth = wave(kappa)
    white = 0.1 * torch.randn(*SIDES, generator=torch.Generator().manual_seed(1))
    lattice = wave((2 * math.pi / 9, 0.0), 1.0)
    found = strongest_wave(truth + white, truth + white + lattice)
    sign = math.copysign(1, found.kappa @ torch.tensor(kappa, dtype=torch.float64))
    assert (sign * found.kappa).tolist() == pytest.approx(kappa, abs=0.03 * 2 * math.pi / 150)
    assert (found.wave - truth).square().mean() < 1e-3 * truth.square().mean()
    assert found.share == pytest.approx(1, abs=0.05)
    assert found.prominence > 30


def test_white_noise_has_no_prominent_wave_and_the_lattice_no_share():
    white = torch.randn(*SIDES, generator=torch.Generator().manual_seed(2))
    assert strongest_wave(white, white).prominence < 6
    lattice = wave((2 * math.pi / 9, 0.0), 1.0)
    assert strongest_wave(0.05 * lattice, lattice).share == pytest.approx(0.05, rel=1e-3)


def test_the_search_around_the_shipped_denoiser_removes_a_striation_as_a_whole():
    once = stm_experiments.load("denoiser")
    search = WaveSearch(once)
    seen = simulate([LATTICES["fcc"]] * 3, [100, 105, 108], NOISES["paper"], PRESETS["published"])
    errors = []
    for noisy, clean in zip(seen.noisy[:, 0], seen.clean[:, 0], strict=True):
        flat, affine = normalise_plane(noisy.numpy())
        image = torch.from_numpy(flat)[None, None]
        with torch.no_grad():
            outputs = torch.cat((once(image), search(image)))[:, 0]
        error = torch.stack([torch.from_numpy(denormalise(x.numpy(), affine)) for x in outputs])
        error -= clean
        errors.append((error - error.mean((1, 2), keepdim=True)).square().mean((1, 2)))
    error_once, error_search = torch.stack(errors).mean(0)
    assert error_search < 0.8 * error_once


def test_small_images_get_one_pass():
    net = stm_experiments.load("denoiser")
    images = torch.randn(2, 1, 96, 96, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(WaveSearch(net)(images), net(images))


def test_images_of_a_batch_are_searched_separately():
    """Also those of which more waves are subtracted than of their neighbours."""
    net = stm_experiments.load("denoiser")
    white = 0.3 * torch.randn(*SIDES, generator=torch.Generator().manual_seed(4))
    images = torch.stack([white, white + wave((0.6, 0.4))])[:, None]
    search = WaveSearch(net)
    with torch.no_grad():
        torch.testing.assert_close(
            search(images), torch.cat([search(image[None]) for image in images])
        )
        assert not torch.equal(search(images)[1], net(images)[1])


def test_a_search_without_waves_is_the_network():
    net = stm_experiments.load("denoiser")
    image = wave((0.5, 0.3))[None, None]
    with torch.no_grad():
        assert torch.equal(WaveSearch(net, WaveRules(most=0))(image), net(image))


def test_a_network_is_one_function_in_training_and_in_evaluation():
    net = stm_experiments.load("denoiser")
    image = wave((0.5, 0.3))[None, None]
    with torch.no_grad():
        assert torch.equal(net.train()(image), net.eval()(image))
