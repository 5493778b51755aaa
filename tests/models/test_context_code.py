"""The network of context codes: turns by design, and the maps of images that it predicts."""

import pytest
import torch

from stm_experiments.models import ContextCode
from stm_experiments.models.codes.dihedral import turned
from stm_experiments.models.codes.eigenmap import Eigenmap
from stm_experiments.models.codes.whitening import Whitening


@pytest.mark.parametrize("window", [9, 16])
def test_a_turned_patch_has_the_same_code(window):
    net = ContextCode(width=32, window=window)
    patches = torch.randn(6, 1, window, window)
    codes = net.encode(patches)
    for again in turned(patches):
        torch.testing.assert_close(net.encode(again), codes, rtol=0, atol=1e-5)
    assert codes.std(0).min() > 0
    assert not torch.allclose(net.encode(patches.roll(1, -1)), codes, atol=1e-3)


def test_whitened_descriptions_are_uncorrelated_and_of_variance_one():
    spread = torch.diag(torch.logspace(0, -2, 12)) @ torch.randn(12, 12)
    points = torch.randn(400, 12) @ spread + 3
    whitening = Whitening(12, 4)
    assert not whitening.is_fitted
    whitening.fit(points)
    whitened = whitening(points)
    torch.testing.assert_close(whitened.T @ whitened / 400, torch.eye(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(whitened.mean(0), torch.zeros(4), atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="3 images differ in fewer than 4 ways"):
        whitening.fit(points[:3])


def rings(count: int) -> torch.Tensor:
    """Return points on two circles of radius 1 and 2 around the same centre, in turn, [N, 2]."""
    shifts = torch.rand(count, generator=torch.Generator().manual_seed(0))
    angles = 2 * torch.pi * (torch.arange(count) + shifts) / count
    radii = 1.0 + torch.arange(count) % 2
    return torch.stack([radii * angles.cos(), radii * angles.sin()], 1)


def test_an_eigenmap_parts_surfaces_that_components_do_not():
    points, others = rings(400), rings(60) * 1.01
    ring = torch.arange(400) % 2
    right = {}
    for name, kind in (("eigenmap", Eigenmap), ("components", Whitening)):
        targets = kind(2, 2)
        targets.fit(points)
        assert targets.is_fitted
        mapped = targets(points)
        assert mapped.square().mean() == pytest.approx(1, abs=0.1)
        means = torch.stack([mapped[ring == 0].mean(0), mapped[ring == 1].mean(0)])
        nearest = torch.cdist(targets(others), means).argmin(1)
        right[name] = (nearest == torch.arange(60) % 2).float().mean()
    assert right["eigenmap"] == 1
    assert right["components"] < 0.8


def test_an_eigenmap_does_not_depend_on_the_order_of_the_images():
    points = rings(200)
    ways = []
    for order in (torch.arange(200), torch.arange(200).flip(0)):
        eigenmap = Eigenmap(2, 5)  # the rings, and a sine and cosine of each
        eigenmap.fit(points[order])
        ways.append(torch.pdist(eigenmap(points)))
    torch.testing.assert_close(*ways, rtol=0, atol=1e-3)


def test_an_eigenmap_needs_enough_different_images():
    with pytest.raises(ValueError, match="10 images are too few for 10 coordinates"):
        Eigenmap(3, 10).fit(torch.randn(10, 3))
    with pytest.raises(ValueError, match="12 different"):
        Eigenmap(3, 10).fit(torch.zeros(50, 3))
