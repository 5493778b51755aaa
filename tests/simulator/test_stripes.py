"""Stripes: where they are, what they leave alone, and that each image has its own."""

from dataclasses import replace

import pytest
import torch

from stm_experiments.simulator import (
    LATTICES,
    NOISES,
    PRESETS,
    DetectorNoise,
    Noise,
    StripeNoise,
    simulate,
)

FCC, PHYSICAL = LATTICES["fcc"], PRESETS["physical"]


def images(stripes, seeds=range(6), size=129, white=0.0):
    noise = Noise(detector=DetectorNoise(white=white), stripes=stripes)
    return simulate([FCC] * len(seeds), seeds, noise, PHYSICAL, size)


def test_only_striped_pixels_change_and_the_mask_says_which():
    scans = images(StripeNoise(replaced=0.05, lifted=0.05, partial=0.5, gain=(0.6, 1.4)))
    mask = scans.truth["stripes_forward"]
    changed = (scans.noisy != scans.clean)[:, 0]
    assert not changed[~mask].any()
    assert changed[mask].float().mean() > 0.99
    assert 0.02 < mask.float().mean() < 0.9


def test_stripes_come_on_top_of_the_other_noise():
    bare, striped = images(StripeNoise(), white=0.1), images(StripeNoise(replaced=0.05), white=0.1)
    mask = striped.truth["stripes_forward"]
    assert torch.equal(bare.noisy[:, 0][~mask], striped.noisy[:, 0][~mask])
    assert torch.equal(bare.clean, striped.clean)


def test_whole_lines_of_one_width():
    mask = images(StripeNoise(replaced=0.02, width=4.0)).truth["stripes_forward"]
    lines = mask.any(2)
    assert torch.equal(lines, mask.all(2))
    ends = torch.diff(torch.nn.functional.pad(lines.int(), (1, 1)), dim=1)
    for each in ends:
        begins, after = (each == 1).nonzero().flatten(), (each == -1).nonzero().flatten()
        # Stripes that touch are wider; one may be cut off at the lower border.
        assert all(n >= 4 or stop == 129 for n, stop in zip(after - begins, after, strict=True))


def test_partial_stripes_are_runs_of_16_px_to_most_of_the_width():
    mask = images(StripeNoise(replaced=0.02, width=1.0, partial=1.0)).truth["stripes_forward"]
    lengths = mask.sum(2)[mask.any(2)]
    assert lengths.min() >= 16
    assert lengths.max() <= 0.8 * 129


def test_replaced_stripes_keep_nothing_of_the_surface():
    scans = images(StripeNoise(replaced=0.03, width=8.0), range(20))
    mask = scans.truth["stripes_forward"]
    noisy, clean = scans.noisy[:, 0][mask], scans.clean[:, 0][mask]
    assert abs(torch.corrcoef(torch.stack((noisy, clean)))[0, 1]) < 0.05
    for image, clean in zip(scans.noisy, scans.clean, strict=True):
        assert clean.min() <= image.min()
        assert image.max() <= clean.max()


def test_lifted_stripes_keep_the_surface():
    scans = images(StripeNoise(lifted=0.02, width=3.0, offset=0.5))
    c = scans.truth["corrugation"]
    shift = (scans.noisy - scans.clean)[:, 0]
    for each, mask, unit in zip(shift, scans.truth["stripes_forward"], c, strict=True):
        # Two stripes that overlap add up.
        steps = each[mask].abs() / (0.5 * unit)
        assert torch.allclose(steps, steps.round(), atol=1e-4)


def test_correlated_noise_is_smooth_along_the_lines():
    rough, smooth = (
        images(StripeNoise(replaced=0.05, width=8.0, correlation=length)) for length in (0.0, 4.0)
    )
    steps = []
    for scans in (rough, smooth):
        mask = scans.truth["stripes_forward"]
        steps.append(scans.noisy[:, 0].diff(dim=2)[mask[..., 1:]].abs().mean())
    assert steps[1] < 0.6 * steps[0]


def test_an_image_does_not_depend_on_the_batch():
    noise = replace(NOISES["stripes"], motion=NOISES["none"].motion)
    many = simulate([FCC] * 5, range(5), noise, PHYSICAL, 97)
    one = simulate([FCC], [3], noise, PHYSICAL, 97)
    assert torch.equal(many.noisy[3:4], one.noisy)
    assert torch.equal(many.truth["stripes_forward"][3:4], one.truth["stripes_forward"])


def test_the_backward_trace_has_stripes_of_its_own():
    noise = Noise(stripes=StripeNoise(replaced=0.05))
    scan = simulate([FCC], [1], noise, PHYSICAL, 97, backward=True)
    forward, backward = scan.truth["stripes_forward"], scan.truth["stripes_backward"]
    assert forward.any()
    assert backward.any()
    assert not torch.equal(forward, backward)


@pytest.mark.parametrize("wrong", [{"width": 0.5}, {"partial": 1.5}, {"span": 2.0}, {"gain": -1.0}])
def test_strengths_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StripeNoise(**wrong)
