"""The plane wave in the noise: where it is, and how much of the image it is."""

import math

import pytest
import torch

import stm_experiments
from stm_experiments.restoration.waves.plane_waves import strongest_wave

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


def test_a_network_is_one_function_in_training_and_in_evaluation():
    net = stm_experiments.load("denoiser")
    image = wave((0.5, 0.3))[None, None]
    with torch.no_grad():
        assert torch.equal(net.train()(image), net.eval()(image))
