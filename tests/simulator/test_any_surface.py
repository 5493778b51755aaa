"""Surfaces of any kind: pure functions of their seed, of all scales, with noise of any strength."""

from dataclasses import replace

import pytest
import torch

from stm_experiments.simulator import NOISES, simulate_any_surfaces
from stm_experiments.simulator.surface.any_surface import Dice, _crystal, draw_any_surface

SIZE = 96


def strongest_period(heights):
    """Return the period of the strongest wave of an image, px."""
    size = len(heights)
    taper = torch.hann_window(size)
    power = torch.fft.rfft2((heights - heights.mean()) * taper[:, None] * taper).abs()
    power[:2, :2] = power[-2:, :2] = 0  # what is wider than half of the image
    row, column = divmod(int(power.argmax()), power.shape[1])
    down, across = torch.fft.fftfreq(size)[row], torch.fft.rfftfreq(size)[column]
    return 1 / float(torch.hypot(down, across))


def test_a_surface_is_a_pure_function_of_its_seed():
    first = [draw_any_surface(seed, SIZE) for seed in range(12)]
    torch.rand(7)
    again = [draw_any_surface(seed, SIZE) for seed in reversed(range(12))]
    for one, other in zip(first, reversed(again), strict=True):
        assert torch.equal(one, other)
        assert one.isfinite().all()
    assert not torch.equal(first[0], first[1])


def test_a_scan_does_not_depend_on_its_batch():
    noise, strength = NOISES["any_scan"], (0.01, 1.0)
    many = simulate_any_surfaces([5, 6, 7], noise, SIZE, strength)
    alone = simulate_any_surfaces([7], noise, SIZE, strength)
    assert torch.equal(many.noisy[2:], alone.noisy)
    assert torch.equal(many.clean[2:], alone.clean)


def test_noise_is_proportional_to_its_strength():
    seeds = [1, 2, 3]
    full, tenth = (
        simulate_any_surfaces(seeds, NOISES["any_scan"], SIZE, strength) for strength in (1, 0.1)
    )
    assert torch.equal(full.clean, tenth.clean)
    noise = full.noisy - full.clean
    torch.testing.assert_close(tenth.noisy - tenth.clean, 0.1 * noise, rtol=0, atol=2e-5)
    drawn = simulate_any_surfaces(range(16), NOISES["white"], 48, (0.01, 1.0))
    levels = (drawn.noisy - drawn.clean).std((1, 2, 3))
    assert levels.max() > 10 * levels.min(), "each image draws its own strength"


def test_crystals_are_of_all_scales():
    periods = torch.tensor([
        strongest_period(_crystal(Dice(seed, "crystal"), 160)) for seed in range(60)
    ])  # fmt: skip
    for low, high in ((2.5, 8), (8, 14), (14, 25), (25, 110)):
        share = ((periods >= low) & (periods < high)).float().mean()
        assert share > 0.1, f"{low} to {high} px"
    assert periods.min() > 2, "nothing finer than pixels can show"


@pytest.mark.parametrize(("part", "named"), [("sample", "noise.sample"), ("tip", "noise.tip")])
def test_noise_of_a_known_lattice_is_refused(part, named):
    noise = replace(NOISES["white"], **{part: getattr(NOISES["stripes"], part)})
    with pytest.raises(ValueError, match=named) as error:
        simulate_any_surfaces([0], noise, SIZE)
    assert "known lattice only" in str(error.value)
