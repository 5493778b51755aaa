"""The smallest autoencoder."""

from torch import nn

from stm_experiments.models.interfaces import AutoencoderModule


class TwoLayers(AutoencoderModule):
    """Two fully connected layers with a bottleneck.

    Args:
        latent: Numbers in the code.
        window: Patch size, px.
    """

    label = "two layers"

    def __init__(self, latent: int = 10, window: int = 17) -> None:
        super().__init__()
        self.window = window
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(window**2, latent))
        self.decoder = nn.Sequential(
            nn.Linear(latent, window**2), nn.Unflatten(1, (1, window, window))
        )
