import pytest
import torch
from torch import nn

from stm_experiments.core.batch import Batch
from stm_experiments.latent.codes import encode_all
from stm_experiments.models.interfaces import NetworkModule


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
    orientation = index[:, None] * torch.ones(1, 3)
    position = torch.zeros(n, 2, dtype=torch.int64)
    return Batch(noisy, None, index % 3, orientation, index // 2, position, truth={})


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
