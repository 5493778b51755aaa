"""Whole-image measures with known answers."""

import math

import numpy as np
import pytest
import torch
from drawn_atoms import SIZE, grid, picture, white
from skimage.metrics import structural_similarity

from stm_experiments.metrics import whole_image


def wave(u, v, amplitude=1.0):
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    return amplitude * torch.cos(2 * math.pi * (u * rows + v * columns) / SIZE)


def test_errors_of_a_known_difference():
    clean = picture(grid())
    found = whole_image.image_errors(clean + 0.1, clean)
    assert found["mse"] == pytest.approx(0.01, rel=1e-4)
    assert found["psnr"] == pytest.approx(10 * math.log10(400), abs=1e-3)
    output = clean + white(0.1)
    wanted = structural_similarity(output.numpy(), clean.numpy(), win_size=7, data_range=2)
    assert whole_image.image_errors(output, clean)["ssim"] == pytest.approx(wanted, abs=1e-5)
    assert whole_image.image_errors(clean, clean)["psnr"] == math.inf


def test_a_separately_scaled_pair_is_fitted():
    clean = picture(grid())
    noisy = 0.6 * clean + 0.2
    torch.testing.assert_close(whole_image.match_scale(clean, noisy), noisy, atol=1e-5, rtol=0)
    noisy = noisy + white(0.2)
    slope, shift = np.polyfit(clean.flatten().numpy(), noisy.flatten().double().numpy(), 1)
    wanted = slope * clean + shift
    torch.testing.assert_close(
        whole_image.match_scale(clean, noisy), wanted.float(), atol=1e-5, rtol=0
    )
    with pytest.raises(ValueError, match="constant"):
        whole_image.match_scale(torch.zeros(8, 8), noisy)


def test_the_peaks_of_waves_are_found_in_order():
    image = wave(12, 5) + 0.5 * wave(3, -20) + white(0.05)
    assert whole_image.strongest_peaks(image).tolist() == [[12, 5], [3, SIZE - 20]]
    assert len(whole_image.strongest_peaks(white(1))) == 0
    assert whole_image.strongest_peaks(image, most=1).tolist() == [[12, 5]]


def test_bragg_fidelity_is_the_ratio_of_amplitudes():
    clean = wave(12, 5) + 0.5 * wave(3.5, -20.3)  # also of a wave between two steps
    output = 0.8 * wave(12, 5) + 0.5 * wave(3.5, -20.3)
    found = whole_image.bragg_fidelity(output, clean)
    assert found["bragg_peaks"] == 2
    assert found["bragg"] == pytest.approx(0.9, abs=1e-3)
    assert found["bragg_worst"] == pytest.approx(0.8, abs=1e-3)
    # A shifted lattice has all its peaks.
    assert whole_image.bragg_fidelity(clean.roll((2, 5), (0, 1)), clean)["bragg"] == pytest.approx(
        1, abs=0.05
    )
    nothing = whole_image.bragg_fidelity(output, torch.zeros(SIZE, SIZE))
    assert nothing["bragg_peaks"] == 0
    assert math.isnan(nothing["bragg"])


def test_what_weakens_noise_invents_nothing_and_a_lattice_is_seen():
    noise = white(0.25)
    assert whole_image.invented_power(noise, noise) == 1
    assert whole_image.invented_power(0.5 * noise, noise) == pytest.approx(0.25, rel=1e-6)
    assert whole_image.invented_power(torch.zeros_like(noise), noise) == 0
    assert whole_image.invented_power(0.1 * noise + wave(10, 3, 0.3), noise) > 5
    # Outside of the band of lattices nothing counts.
    assert whole_image.invented_power(wave(1, 0, 0.3), noise) < 0.01
    with pytest.raises(ValueError, match="do not occur"):
        whole_image.invented_power(noise, noise, (1.0, 1.2))


def test_only_changes_outside_the_mask_count():
    before = white(1)
    mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    mask[10:12] = True
    output = before.clone()
    output[10:12] += 5
    assert whole_image.change_outside(output, before, mask) == 0
    output[50, 3] -= 0.25
    assert whole_image.change_outside(output, before, mask) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="no outside"):
        whole_image.change_outside(output, before, torch.ones_like(mask))


def test_agreement_allows_for_hysteresis():
    image = picture(grid(jitter=0.5))
    assert whole_image.trace_correlation(image, image) == pytest.approx(1)
    shifted = picture(grid(jitter=0.5) + np.array([0, 3]))
    assert whole_image.trace_correlation(shifted, image) == pytest.approx(1, abs=0.01)
    assert whole_image.trace_correlation(image, shifted) == pytest.approx(1, abs=0.01)
    assert whole_image.trace_correlation(shifted, image, most_shift=0) < 0.5
    # Two traces of independent noise: the share of the variance that is signal.
    signal = float(image.var())
    traces = [image + white(math.sqrt(signal), seed) for seed in (1, 2)]
    assert whole_image.trace_correlation(*traces) == pytest.approx(0.5, abs=0.03)
    with pytest.raises(ValueError, match="cannot compare"):
        whole_image.trace_correlation(image, image[:, :-1])
