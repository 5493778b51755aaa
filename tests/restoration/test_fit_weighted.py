"""The floating window whose outputs count where they fit."""

import math

import pytest
import torch
from torch.nn import functional as F

from stm_experiments.restoration.fit_weighted import apply_fit_weighted

WINDOW = 12


def stripes(phase, rows):
    """Stripes of a period of 8 px, [len(rows)]."""
    return torch.sin(2 * math.pi * (rows + phase) / 8)


def crystal(patches):
    """A network that knows one kind of perfect crystal: stripes along axis 0 at any phase."""
    phases = torch.arange(0, 8, 0.5)
    known = torch.stack([stripes(p, torch.arange(WINDOW)) for p in phases])
    likeness = patches.mean(3)[:, 0] @ known.T
    return known[likeness.argmax(1)][:, None, :, None].expand(patches.shape)


def test_a_network_that_copies_gives_the_image_back():
    image = torch.randn(40, 31)
    made = apply_fit_weighted(lambda x: x, image, WINDOW, 5)
    torch.testing.assert_close(made, image, atol=1e-5, rtol=1e-5)


def test_contrast_and_brightness_are_those_of_the_image():
    image = torch.randn(30, 30)
    made = apply_fit_weighted(lambda x: 0.1 * x + 3, image, WINDOW, 3)
    torch.testing.assert_close(made, image, atol=1e-4, rtol=1e-4)
    # Nothing is turned upside down to fit: such an output is no better than a constant.
    first = apply_fit_weighted(lambda x: -x, image[:24, :24], WINDOW, WINDOW)[:WINDOW, :WINDOW]
    torch.testing.assert_close(first, image[:WINDOW, :WINDOW].mean().expand_as(first))


def test_two_crystals_meet_at_their_boundary():
    """Of windows across a boundary neither side is drawn as the other, which a plain mean does."""
    rows = torch.arange(64)
    clean = torch.where(rows < 32, stripes(0.0, rows), stripes(4.0, rows))[:, None].expand(64, 48)
    noise = 0.3 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    made, mean = (
        apply_fit_weighted(crystal, clean + noise, WINDOW, 1, temperature=t) for t in (2, 1e9)
    )
    near = slice(28, 36)
    off = [float((x - clean)[near].square().mean().sqrt()) for x in (made, mean)]
    assert off[0] < 0.5 * off[1]
    assert F.mse_loss(made, clean) < F.mse_loss(mean, clean)


def test_what_makes_no_sense_is_refused():
    image = torch.zeros(20, 20)
    for wrong in ({"reach": 0.0}, {"temperature": -1.0}):
        with pytest.raises(ValueError, match="reach and temperature are positive"):
            apply_fit_weighted(crystal, image, WINDOW, 2, **wrong)
    with pytest.raises(ValueError, match="stride must be between 1 and the window"):
        apply_fit_weighted(crystal, image, WINDOW, 13)
