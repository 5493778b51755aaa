"""The Swin denoiser: its layers equal written-out ones, and it follows its image."""

import math

import pytest
import torch

from stm_experiments.models import SwinDenoiser
from stm_experiments.models.networks.swin_denoiser import (
    SwinBlock,
    SwinTransformer,
    WindowAttention,
    join_windows,
    split_windows,
)
from stm_experiments.restoration.mixture.local_risk import LocalRisk
from stm_experiments.restoration.whole_network import whole_image_network

SIDE = 4


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def block(shift):
    torch.manual_seed(1)
    made = SwinBlock(channels=6, heads=2, side=SIDE, shift=shift).double().eval()
    torch.nn.init.normal_(made.attention.position_bias)
    return made


def swin(**changes):
    torch.manual_seed(2)
    small = {"width": 8, "depth": 2, "heads": 2, "side": SIDE, "patch": 5}
    made = SwinDenoiser(**(small | changes))
    torch.nn.init.normal_(made.swin.leave.weight, std=0.1)
    return made.eval()


def attend(attention: WindowAttention, tokens, pixel, seen):
    """Return the output at a pixel that sees others, written out for one image [H, W, C]."""
    channels = tokens.shape[-1]
    size = channels // attention.heads
    project = [
        lambda place, part=part: torch.nn.functional.linear(
            tokens[place],
            attention.enter.weight[part * channels : (part + 1) * channels],
            attention.enter.bias[part * channels : (part + 1) * channels],
        )
        for part in range(3)
    ]
    parts = []
    for head in range(attention.heads):
        own = slice(head * size, (head + 1) * size)
        query, logits, values = project[0](pixel)[own], [], []
        for other in seen:
            down, right = pixel[0] - other[0] + SIDE - 1, pixel[1] - other[1] + SIDE - 1
            bias = attention.position_bias[head, down * (2 * SIDE - 1) + right]
            logits.append(query @ project[1](other)[own] / math.sqrt(size) + bias)
            values.append(project[2](other)[own])
        parts.append(torch.stack(logits).softmax(0) @ torch.stack(values))
    return attention.leave(torch.cat(parts))


def same_window(one, other, shift):
    """Say whether two tokens share a window of a grid that begins ``shift`` tokens later."""
    return all((a - shift) // SIDE == (b - shift) // SIDE for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("shift", [0, SIDE // 2])
def test_a_block_equals_its_formula(shift):
    height, width = 8, 12
    made, tokens = block(shift), draw(height, width, 6).double()
    places = [(i, j) for i in range(height) for j in range(width)]
    with torch.no_grad():
        output = made(tokens[None])[0]
        normed = made.before_attention(tokens)
        for pixel in places[::7]:
            seen = [other for other in places if same_window(pixel, other, shift)]
            middle = tokens[pixel] + attend(made.attention, normed, pixel, seen)
            expected = middle + made.layers(made.before_layers(middle))
            torch.testing.assert_close(output[pixel], expected)


def test_windows_are_joined_as_they_were_split():
    tokens = draw(2, 8, 12, 3)
    windows = split_windows(tokens, SIDE)
    assert windows.shape == (2, 6, 16, 3)
    assert torch.equal(windows[1, 4], tokens[1, 4:, 4:8].reshape(16, 3))
    assert torch.equal(join_windows(windows, 8, 12), tokens)


def test_far_from_the_border_a_larger_image_changes_nothing():
    torch.manual_seed(3)
    net = SwinTransformer(2, 3, width=8, depth=2, heads=2, side=SIDE).eval()
    torch.nn.init.normal_(net.leave.weight)
    maps = draw(1, 2, 48, 40)
    with torch.no_grad():
        whole, part = net(maps), net(maps[..., 8:40, 4:36])
    # Two convolutions and two blocks: a window and a half, and two tokens.
    torch.testing.assert_close(part[..., 12:-12, 12:-12], whole[..., 20:28, 16:24])


@pytest.mark.parametrize(("factor", "offset"), [(0.01, 0.0), (3.0, 5.0), (100.0, -40.0)])
def test_the_denoiser_follows_contrast_and_level(factor, offset):
    image = draw(2, 1, 48, 56)
    with torch.no_grad():
        expected = factor * swin()(image) + offset
        output = swin()(factor * image + offset)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-3 * factor)


def test_before_training_it_is_the_identity():
    image = draw(2, 1, 32, 40)
    assert torch.equal(SwinDenoiser(width=8, depth=1, patch=5)(image), image)


@pytest.mark.parametrize("shape", [(48, 56), (43, 61), (9, 40)])
def test_any_size_keeps_its_shape_and_its_mean(shape):
    image = draw(2, 1, *shape)
    with torch.no_grad():
        output = swin()(image)
    assert output.shape == image.shape
    assert not torch.equal(output, image) or min(shape) < 10  # too few patches for an estimate
    torch.testing.assert_close(output.mean((1, 2, 3)), image.mean((1, 2, 3)))


def test_an_image_without_noise_or_contrast_stays():
    flat = torch.full((1, 1, 32, 32), 0.25)
    with torch.no_grad():
        assert torch.equal(swin()(flat), flat)


def test_an_image_does_not_depend_on_its_batch():
    image = draw(2, 1, 48, 56)
    with torch.no_grad():
        torch.testing.assert_close(swin()(image)[1:], swin()(image[1:]))


def test_scans_are_denoised_by_its_mixture():
    assert isinstance(whole_image_network(swin()), LocalRisk)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"width": 9}, "multiple of the heads"), ({"depth": 0}, "at least 1"), ({"side": 3}, "even")],
)
def test_numbers_without_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        swin(**changes)
