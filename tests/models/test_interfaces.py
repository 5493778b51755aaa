"""What each network of the package can do, as its protocols say."""

import inspect

import pytest
import torch
from torch import nn

from stm_experiments import models
from stm_experiments.models.interfaces import (
    Autoencoder,
    Centring,
    Contextual,
    Fitted,
    Network,
    NetworkModule,
    Posed,
    Repairing,
    Uncertain,
    Variational,
)

ABILITIES = {
    Autoencoder: {
        "CAEA", "CAEB", "ContextCode", "MLP", "PCA", "RVAE", "RVAECoordinates", "RVAEPoster",
        "StackedAutoencoder", "TwoDecoders", "VAE",
    },
    Variational: {"RVAE", "RVAECoordinates", "RVAEPoster", "VAE"},
    Posed: {"RVAE", "RVAEPoster"},
    Contextual: {"ContextCode", "TwoDecoders"},
    Centring: {"TwoDecoders"},
    Fitted: {"PCA"},
    Uncertain: set(),  # restoration.StripeRepair is one
    Repairing: set(),
}  # fmt: skip


@pytest.mark.parametrize("name", models.__all__)
def test_networks_say_what_they_can_do(name):
    try:
        net = getattr(models, name)()
    except ValueError as error:
        pytest.skip(str(error))
    assert isinstance(net, NetworkModule)
    assert isinstance(net, Network)
    assert net.card is None
    for protocol, names in ABILITIES.items():
        assert isinstance(net, protocol) == (name in names), protocol.__name__
    # What isinstance reads must not depend on the module's own look-up of attributes.
    for attribute in ("label", "window", "card", "training"):
        inspect.getattr_static(net, attribute)
    if isinstance(net, Variational):
        inspect.getattr_static(net, "symmetry")


def test_a_plain_module_is_no_network():
    assert not isinstance(nn.Identity(), Network)


def test_a_network_of_ones_own():
    class Negative(NetworkModule):
        label = "negative"

        def forward(self, images):
            return -images

    net = Negative()
    assert isinstance(net, Network)
    assert not isinstance(net, Autoencoder)
    assert (net.label, net.window, net.card) == ("negative", None, None)
    assert torch.equal(net(torch.ones(1, 1, 2, 2)), -torch.ones(1, 1, 2, 2))
