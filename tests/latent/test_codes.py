from typing import NamedTuple

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from stm_experiments.latent.codes import encode_all, explained_variance
from stm_experiments.models.interfaces import NetworkModule


class Batch(NamedTuple):
    noisy: torch.Tensor
    clean: torch.Tensor | None
    lattice: torch.Tensor
    orientation: torch.Tensor
    image: torch.Tensor


class Encoder(NetworkModule):
    def __init__(self, factor=1.0):
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.factor = factor

    def encode(self, x):
        return self.dropout(self.factor * x.flatten(1)[:, :4])

    def decode(self, codes):
        raise NotImplementedError


def batch(start, n):
    index = torch.arange(start, start + n)
    noisy = index[:, None, None, None] + torch.arange(9.0).view(1, 1, 3, 3) / 10
    return Batch(noisy, None, index % 3, index[:, None] * torch.ones(1, 3), index // 2)


def test_explained_variance_equals_scikit_learn():
    codes = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 6)
    got = explained_variance(codes)
    expected = PCA().fit(codes.double().numpy()).explained_variance_ratio_
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)
    assert got.sum().item() == pytest.approx(1)
    # neither a shift nor a rotation of the codes changes it
    rotation = torch.linalg.qr(torch.randn(5, 5)).Q
    torch.testing.assert_close(explained_variance((codes + 100) @ rotation), got, atol=1e-4, rtol=0)


def test_explained_variance_by_hand():
    # Variances 4 and 1 along the axes: 80 % and 20 %.
    codes = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    torch.testing.assert_close(explained_variance(codes), torch.tensor([0.8, 0.2]).double())
    assert explained_variance(torch.randn(3, 10)).shape == (10,)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.ones(5, 3), "all equal|All codes are equal"),
        (torch.ones(1, 3), "at least two"),
        (torch.full((5, 3), torch.nan), "finite"),
    ],
)
def test_explained_variance_errors(codes, message):
    with pytest.raises(ValueError, match=message):
        explained_variance(codes)


def test_codes_keep_their_labels():
    net = Encoder().train()
    codes, lattice, image, orientation = encode_all(net, [batch(0, 5), batch(5, 4)])
    index = torch.arange(9)
    assert torch.equal(codes, index[:, None] + torch.arange(4.0) / 10)  # eval mode: no dropout
    assert torch.equal(lattice, index % 3)
    assert torch.equal(image, index // 2)
    assert torch.equal(orientation, index[:, None] * torch.ones(1, 3))
    assert net.training
    assert net.dropout.training


def test_no_more_batches_are_drawn_than_needed():
    def batches():
        yield batch(0, 5)
        yield batch(5, 5)
        raise AssertionError("a third batch was drawn")

    assert encode_all(Encoder(), batches(), max_patches=7).codes.shape == (7, 4)
    assert encode_all(Encoder(), batches(), max_patches=10).image.tolist()[-1] == 4


def test_encode_errors():
    with pytest.raises(ValueError, match="no bottleneck"):
        encode_all(nn.Identity(), [batch(0, 2)])
    with pytest.raises(ValueError, match="no patches"):
        encode_all(Encoder(), [])
    with pytest.raises(ValueError, match="NaN"):
        encode_all(Encoder(torch.nan), [batch(0, 2)])
