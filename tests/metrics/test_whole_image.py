"""Whole-image measures with known answers."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from stm_experiments.lattice import atoms
from stm_experiments.metrics import whole_image

SIZE = 96


def grid(period=9.3, jitter=0.0, seed=0):
    """Positions of a square lattice whose period fits no pixel, [A, 2] px."""
    line = np.arange(6.4, SIZE - 6, period)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    return points + jitter * np.random.default_rng(seed).standard_normal(points.shape)


def picture(points, width=2.0, height=1.5):
    """Gaussians at some points on a ground of -1, [SIZE, SIZE]."""
    pixel = np.arange(SIZE)
    rows, columns = (np.exp(-0.5 * ((pixel - x[:, None]) / width) ** 2) for x in points.T)
    return torch.from_numpy(height * rows.T @ columns - 1).float()


def white(sigma, seed=0):
    return sigma * torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def wave(u, v, amplitude=1.0):
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    return amplitude * torch.cos(2 * math.pi * (u * rows + v * columns) / SIZE)


def test_errors_of_a_known_difference():
    clean = picture(grid())
    found = whole_image.errors(clean + 0.1, clean)
    assert found["mse"] == pytest.approx(0.01, rel=1e-4)
    assert found["psnr"] == pytest.approx(10 * math.log10(400), abs=1e-3)
    output = clean + white(0.1)
    wanted = structural_similarity(output.numpy(), clean.numpy(), win_size=7, data_range=2)
    assert whole_image.errors(output, clean)["ssim"] == pytest.approx(wanted, abs=1e-5)
    assert whole_image.errors(clean, clean)["psnr"] == math.inf


def test_a_separately_scaled_pair_is_fitted():
    clean = picture(grid())
    noisy = 0.6 * clean + 0.2
    torch.testing.assert_close(whole_image.fitted(clean, noisy), noisy, atol=1e-5, rtol=0)
    noisy = noisy + white(0.2)
    slope, shift = np.polyfit(clean.flatten().numpy(), noisy.flatten().double().numpy(), 1)
    wanted = slope * clean + shift
    torch.testing.assert_close(whole_image.fitted(clean, noisy), wanted.float(), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="constant"):
        whole_image.fitted(torch.zeros(8, 8), noisy)


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
    assert whole_image.invention(noise, noise) == 1
    assert whole_image.invention(0.5 * noise, noise) == pytest.approx(0.25, rel=1e-6)
    assert whole_image.invention(torch.zeros_like(noise), noise) == 0
    assert whole_image.invention(0.1 * noise + wave(10, 3, 0.3), noise) > 5
    # Outside of the band of lattices nothing counts.
    assert whole_image.invention(wave(1, 0, 0.3), noise) < 0.01
    with pytest.raises(ValueError, match="do not occur"):
        whole_image.invention(noise, noise, (1.0, 1.2))


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
    assert whole_image.agreement(image, image) == pytest.approx(1)
    shifted = picture(grid(jitter=0.5) + np.array([0, 3]))
    assert whole_image.agreement(shifted, image) == pytest.approx(1, abs=0.01)
    assert whole_image.agreement(image, shifted) == pytest.approx(1, abs=0.01)
    assert whole_image.agreement(shifted, image, most_shift=0) < 0.5
    # Two traces of independent noise: the share of the variance that is signal.
    signal = float(image.var())
    traces = [image + white(math.sqrt(signal), seed) for seed in (1, 2)]
    assert whole_image.agreement(*traces) == pytest.approx(0.5, abs=0.03)
    with pytest.raises(ValueError, match="cannot compare"):
        whole_image.agreement(image, image[:, :-1])


def test_atoms_are_found_to_a_fraction_of_a_pixel():
    true = grid(jitter=0.4)
    found = atoms.find_atoms(picture(true))
    rows, columns = atoms.match(true, found, 1.0)
    assert len(rows) == len(true) == len(found)
    assert np.abs(true[rows] - found[columns]).max() < 0.03  # a parabola is no Gaussian


def test_matching_is_one_to_one_and_of_least_distance():
    true = np.array([[0.0, 0.0], [0.0, 2.0], [30.0, 30.0]])
    found = np.array([[0.0, 1.1], [0.0, 3.1], [50.0, 50.0]])
    rows, columns = atoms.match(true, found, 3.0)  # the nearest of each would take one twice
    assert list(zip(rows, columns, strict=True)) == [(0, 0), (1, 1)]
    assert len(atoms.match(true, np.empty((0, 2)), 3.0)[0]) == 0


def test_position_errors_of_displaced_and_missing_atoms():
    true = grid()
    moved = true + np.array([0.3, 0.0])
    found = atoms.position_errors(picture(moved), true)
    assert found["atom_rmse"] == pytest.approx(0.3 / math.sqrt(2), abs=0.01)
    assert found["atoms_missed"] == 0
    found = atoms.position_errors(picture(true[5:]), true)
    assert found["atoms_missed"] == pytest.approx(5 / len(true))
    nothing = atoms.position_errors(torch.zeros(SIZE, SIZE), np.empty((0, 2)))
    assert math.isnan(nothing["atom_rmse"])


def test_moving_atoms_onto_a_lattice_is_an_error():
    jittered = grid(jitter=0.2)
    found = atoms.position_errors(picture(grid()), jittered)
    assert found["atom_rmse"] == pytest.approx(0.2, rel=0.2)


def test_no_unbiased_estimate_beats_the_bound():
    """A matched filter reaches the bound of a lone atom: that is what it is."""
    true, sigma, height, step = np.array([[47.3, 48.6]]), 0.1, 1.5, np.array([1e-3, 0])
    bound = atoms.position_bound(sigma, np.array([height]))
    assert bound == pytest.approx(sigma / height * math.sqrt(2 / math.pi))
    slope = picture(true + step, height=height) - picture(true - step, height=height)
    slope = (slope / 2e-3).double().numpy()  # the derivative along axis 0 is the best estimator
    errors = [
        float((slope * white(sigma, seed).numpy()).sum() / (slope**2).sum()) for seed in range(400)
    ]
    assert np.std(errors) == pytest.approx(bound, rel=0.1)
    two = atoms.position_bound(sigma, np.array([1.0, 2.0]))
    assert two == pytest.approx(sigma * math.sqrt(2 / math.pi * (1 + 0.25) / 2))
    assert math.isnan(atoms.position_bound(sigma, np.empty(0)))


def test_covered_atoms_are_not_looked_for():
    top = grid(period=12.0)
    below = top[:10] + np.array([1.5, 0.0])
    clean = torch.maximum(picture(top), picture(below, height=0.8))
    visible = atoms.visible_atoms(np.concatenate([top, below]), clean)
    assert sorted(map(tuple, visible)) == sorted(map(tuple, top))
    assert atoms.spacing(top) == pytest.approx(12)


def test_vacancies_kept_half_filled_and_invented_away():
    points = grid()
    sites, rest = points[[12, 40]], np.delete(points, [12, 40], 0)
    full, vacant = picture(points), picture(rest)
    for share in (0.0, 0.5, 1.0):
        output = (1 - share) * vacant + share * full
        found = atoms.vacancy_preservation(output, full, vacant, sites)
        assert found == pytest.approx(share, abs=1e-5)
    assert math.isnan(atoms.vacancy_preservation(full, full, vacant, np.empty((0, 2))))
    with pytest.raises(ValueError, match="must be seen"):
        atoms.vacancy_preservation(full, full, full, sites)
