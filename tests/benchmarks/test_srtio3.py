"""The SrTiO3 benchmark: its images, its bounds, and what it measures on a fault."""

import csv
import math

import numpy as np
import pytest
import torch

from stm_experiments.benchmarks.srtio3 import __main__ as srtio3
from stm_experiments.benchmarks.srtio3 import fault as srtio3_fault
from stm_experiments.benchmarks.srtio3.patches import (
    SNR,
    error_bounds,
    nine_patches,
    patch_images,
    perfect_patches,
    relative_error,
    srtio3_of_constant,
)
from stm_experiments.models import Gaussian, StackedAutoencoder, checkpoint
from stm_experiments.simulator import NOISES, PRESETS, DetectorNoise, Noise, simulate


def test_the_noise_is_even_of_the_ratio_and_stays_out_of_clean():
    ratio = simulate(
        [srtio3_of_constant(10)] * 4, range(4), NOISES["srtio3"], PRESETS["physical"], 257
    )
    added = ratio.noisy - ratio.clean
    deviation = ratio.clean.std((1, 2, 3), correction=0)
    torch.testing.assert_close(
        deviation / added.std((1, 2, 3)), torch.full((4,), SNR), rtol=0.01, atol=0
    )
    half = math.sqrt(3) * deviation / SNR
    assert (added.abs().amax((1, 2, 3)) <= half * 1.00001).all()
    assert (added.abs().amax((1, 2, 3)) > 0.999 * half).all()
    still = simulate([srtio3_of_constant(10)] * 4, range(4), Noise(), PRESETS["physical"], 257)
    assert torch.equal(still.clean, ratio.clean)


def test_its_strength_may_be_a_range():
    noise = Noise(detector=DetectorNoise(uniform=(0.5, 2.0)))
    scan = simulate([srtio3_of_constant(10)] * 12, range(12), noise, PRESETS["physical"], 96)
    found = (scan.noisy - scan.clean).std((1, 2, 3)) / scan.clean.std((1, 2, 3))
    assert 0.45 < found.min() < 1 < found.max() < 2.1


def test_the_columns_have_the_stated_width_and_heights():
    image = perfect_patches(torch.tensor([[0.0, 0.0, 0.0, 10.0]]))[0]
    place = divmod(int(image.argmax()), 28)
    row, column = place
    assert image[row, column] == pytest.approx(1, abs=0.01)
    assert image[row + 5, column + 5] == pytest.approx(0.7, abs=0.01)
    assert image[row, column + 10] == pytest.approx(1, abs=0.01)
    assert image[row, column + 2] == pytest.approx(math.exp(-2 / 1.6**2), abs=0.02)


@pytest.mark.parametrize("turn", [0.0, 30.0])
def test_drawn_patches_move_by_pixels_along_the_images_axes(turn):
    still, moved = perfect_patches(torch.tensor([[0.0, 0.0, turn, 10.0], [1.0, 2.0, turn, 10.0]]))
    torch.testing.assert_close(moved[1:, 2:], still[:-1, :-2], atol=1e-4, rtol=0)


def test_bounds_are_ordered_and_of_the_size_of_three_unknowns():
    found = error_bounds(6)
    assert found["range"] < found["least squares"] < found["least squares, constant unknown"]
    # Root mean square: deviation of the noise times sqrt(3 unknowns / 784 px); mean of it: less.
    deviation = float(perfect_patches(torch.tensor([[3.0, 4.0, 20.0, 10.0]])).std()) / SNR
    assert 0.5 < found["least squares"] / (deviation * math.sqrt(3 / 784)) < 1


def test_the_error_is_a_share_of_the_range():
    images = patch_images(srtio3_of_constant(10), 20)
    assert nine_patches(images.noisy).shape == (27, 1, 28, 28)
    torch.testing.assert_close(nine_patches(images.noisy)[4], images.noisy[0, :, 28:56, 28:56])
    off = images.clean + 0.1 * images.range.view(-1, 1, 1, 1)
    torch.testing.assert_close(relative_error(off, images), torch.full((3,), 0.1))
    assert (relative_error(images.clean, images) == 0).all()
    # Evenly distributed on half widths of sqrt(3) deviations: mean |noise| is half of that.
    assert relative_error(images.noisy, images).mean() == pytest.approx(0.59, abs=0.02)


def test_a_fault_is_measured_on_the_truth_itself():
    case = srtio3_fault.fault_image(NOISES["srtio3"], 0)
    values = srtio3_fault.fault_measures(case.clean, case)
    assert values["detected %"] == 100
    assert values["worst %"] < 0.2
    assert max(values["position px"], values["gap px"], values["step px"]) < 0.02
    fit = srtio3_fault.measure_fault(case.clean, case)
    beside = np.abs(fit.place) < 15
    assert np.nanmax(fit.truth) == pytest.approx(0.033, abs=0.002)  # 4 %, half a row away
    assert np.nanmin(fit.truth[beside]) > 0.03
    far = np.abs(fit.place) > 100
    assert far.any()
    assert np.nanmax(fit.truth[far]) < 0.005


def test_a_stretched_crystal_and_filled_vacancies_are_seen():
    case = srtio3_fault.fault_image(srtio3_fault.FAULT_NOISES["fast scan, ratio 3"], 1)
    assert len(case.empty)
    values = srtio3_fault.fault_measures(case.clean, case)
    assert values["filled %"] == 0
    full = case.clean.clone()
    for row, column in case.empty.round().astype(int):
        if min(row, column) > 2 and max(row, column) < len(full) - 3:
            full[row, column] = 1
    assert srtio3_fault.fault_measures(full, case)["filled %"] > 50
    # A picture of something else has another elongation.
    noise = torch.randn(case.clean.shape, generator=torch.Generator().manual_seed(0))
    blurred = Gaussian(1.5)(noise[None, None])[0, 0]
    assert srtio3_fault.fault_measures(blurred, case)["elongation %"] > 1


def test_one_command_makes_tables_and_pictures(command, tmp_path, monkeypatch):
    monkeypatch.setattr(srtio3, "CONSTANTS", (8,))
    monkeypatch.setattr(srtio3, "CUT_LATTICES", {})
    monkeypatch.setattr(srtio3, "STEPS", (2, 14))
    monkeypatch.setattr(srtio3, "BOUND_PATCHES", 2)
    monkeypatch.setattr(
        srtio3, "FAULT_NOISES", {"fast scan": srtio3_fault.FAULT_NOISES["fast scan, ratio 1"]}
    )
    torch.manual_seed(0)
    net = StackedAutoencoder(widths=(16, 8))
    path = tmp_path / "first" / "checkpoints" / "best.ckpt"
    card = checkpoint.Card("StackedAutoencoder", {"widths": [16, 8]}, 28)
    checkpoint.save(net, card, path)
    folder = tmp_path / "out"
    code, out, err = command(
        srtio3.main, "--models", path, "--patches", 9, "--faults", 1, "--out", folder
    )
    assert code == 0, err
    assert "left out: real images" in out
    names = {file.name for file in folder.iterdir()}
    assert names == {"patches.csv", "patches.png", "transfer.csv", "fault_fast_scan.csv",
                     "fault_fast_scan.png"}  # fmt: skip
    rows = list(csv.DictReader((folder / "patches.csv").open()))
    assert [row[""] for row in rows][:3] == ["noisy input", "mean of the patch", "first"]
    fault = [row[""] for row in csv.DictReader((folder / "fault_fast_scan.csv").open())]
    assert fault[0] == "noisy input"
    assert fault[-4:] == [
        *("first, step 2", "first, step 14", "first, step 2, by fit", "clean image"),
    ]


def test_wrong_arguments_are_one_sentence(command, tmp_path):
    code, _, err = command(srtio3.main, "--models", tmp_path / "none.ckpt")
    assert code == 1
    assert "no such checkpoint file" in err
    code, _, err = command(srtio3.main, "--models", "denoiser", "--patches", 0)
    assert code == 1
    assert "--patches and --faults are at least 1" in err
