"""Descriptions of images: what does not change them."""

import pytest
import torch

from stm_experiments.core.descriptions import DESCRIPTIONS
from stm_experiments.core.seeds import generator


def waves(size, shift=(0.0, 0.0), angle=0.3, period=11.0, noise=0.02):
    """A square lattice of waves, shifted by px and turned by rad."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    y, x = rows - shift[0], columns - shift[1]
    turn = torch.tensor(angle)
    u = (x * turn.cos() + y * turn.sin()) * (2 * torch.pi / period)
    v = (y * turn.cos() - x * turn.sin()) * (2 * torch.pi / period)
    image = (u.cos() + 0.7 * v.cos() + 0.3 * (u + v).cos()) / 2
    return image + noise * torch.randn(size, size, generator=generator(0))


def describe(name, *images):
    return DESCRIPTIONS[name].describe(torch.stack(images)[:, None])


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_shifts_and_turns_change_less_than_another_lattice(name):
    reference, shifted, turned, other = describe(
        name,
        waves(180),
        waves(180, shift=(3.3, 4.9)),
        waves(180, angle=1.1),
        waves(180, angle=0.3) + 0.5 * waves(180, angle=0.3 + torch.pi / 3),
    )
    difference = (other - reference).norm()
    assert (shifted - reference).norm() < 0.25 * difference
    assert (turned - reference).norm() < 0.5 * difference


@pytest.mark.parametrize("name", DESCRIPTIONS)
@pytest.mark.parametrize("shape", [(40, 64), (257, 257), (300, 320)])
def test_every_size_has_a_finite_description(name, shape):
    images = torch.rand(3, 1, *shape)
    described = DESCRIPTIONS[name].describe(images)
    assert described.shape == (3, DESCRIPTIONS[name].length)
    assert described.isfinite().all()
    alone = DESCRIPTIONS[name].describe(images[1:2])
    torch.testing.assert_close(alone[0], described[1])  # no image depends on another
