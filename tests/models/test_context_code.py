"""The network of context codes: turns by design, and the whitened description."""

import pytest
import torch

from stm_experiments.models import ContextCode
from stm_experiments.models.codes.dihedral import turned
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
