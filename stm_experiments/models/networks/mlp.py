"""A fully connected autoencoder of patches."""

from torch import nn

from stm_experiments.models.interfaces import AutoencoderModule


class MLP(AutoencoderModule):
    """A fully connected autoencoder: how much of a patch ten numbers can hold.

    The networks of the paper are limited by their size, not by the length of the latent vector: a
    patch has about eight degrees of freedom (three angles of the cut, the origin, the heights), and
    a decoder that can produce any pattern of them reconstructs it to little more than its noise.
    Processors are fastest at matrix products: a patch takes about as long as in CAE-A.

    Args:
        latent: Length of the latent vector.
        width: Neurons of the widest layers.
        window: Patch size, px.

    Raises:
        ValueError: If a size is less than one.
    """

    label = "MLP"

    def __init__(self, latent: int = 10, width: int = 512, window: int = 17) -> None:
        super().__init__()
        if min(latent, width, window) < 1:
            raise ValueError(
                f"latent, width and window are at least 1, not {latent}, {width}, {window}"
            )
        self.window = window
        pixels = window**2
        self.encoder = nn.Sequential(
            nn.Flatten(),
            nn.Linear(pixels, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, width // 2),
            nn.SiLU(),
            nn.Linear(width // 2, latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, width // 2),
            nn.SiLU(),
            nn.Linear(width // 2, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, pixels),
            nn.Unflatten(1, (1, window, window)),
        )
