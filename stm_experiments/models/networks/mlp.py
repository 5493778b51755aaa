"""A fully connected autoencoder of patches."""

from torch import Tensor, nn

from stm_experiments.models.interfaces import NetworkModule


class MLP(NetworkModule):
    """A fully connected autoencoder: what ten numbers can say of a patch.

    The paper's networks are held back by their size, not by the length of their latent vector: a
    patch has about eight degrees of freedom (the cut's three angles, the origin, the heights), and
    a decoder that can draw any pattern from them reconstructs it to little more than its noise.
    Matrix products are also what processors do best: a patch costs about as much time as in CAE-A.

    Args:
        latent: Length of the latent vector.
        width: Neurons of the widest layers.
        window: Patch size in px.

    Raises:
        ValueError: If a size is less than one.
    """

    label = "MLP"
    window: int

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

    def encode(self, patches: Tensor) -> Tensor:
        """Patches [B, 1, w, w] on [-1, 1] -> latent vectors [B, D]."""
        return self.encoder(patches)

    def decode(self, codes: Tensor) -> Tensor:
        """Latent vectors [B, D] -> patches [B, 1, w, w]."""
        return self.decoder(codes)

    def forward(self, patches: Tensor) -> Tensor:
        """Patches [B, 1, w, w] on [-1, 1] -> their reconstructions, same shape."""
        return self.decode(self.encode(patches))
