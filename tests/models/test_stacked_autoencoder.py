"""The stacked autoencoder: each layer of the encoder has its partner in the decoder."""

import pytest
import torch

from stm_experiments.models import StackedAutoencoder


def test_its_layers_are_mirrored():
    net = StackedAutoencoder()
    shapes = [tuple(layer.weight.shape) for layer in net.encoder]
    assert shapes == [(1024, 784), (512, 1024), (128, 512)]
    assert [tuple(layer.weight.shape[::-1]) for layer in net.decoder] == shapes


def test_encoding_and_undoing_layer_by_layer_is_the_network():
    net, patches = StackedAutoencoder(widths=(20, 10), window=8), torch.randn(5, 1, 8, 8)
    assert net.encode(patches).shape == (5, 10)
    first = net.encode(patches, 1)
    assert first.shape == (5, 20)
    assert (first >= 0).all()
    torch.testing.assert_close(net.encode(patches, 0), patches.flatten(1))
    made = net.undo(0, net.undo(1, net.encode(patches)))
    torch.testing.assert_close(made.view(5, 1, 8, 8), net(patches))
    assert net.decode(net.encode(patches)).shape == patches.shape


@pytest.mark.parametrize("wrong", [{"widths": []}, {"widths": [8, 0]}, {"window": 0}])
def test_sizes_that_make_no_network_are_refused(wrong):
    with pytest.raises(ValueError, match="widths and window are at least 1"):
        StackedAutoencoder(**wrong)
