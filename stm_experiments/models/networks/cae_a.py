"""CAE-A, the shallow autoencoder of Binev et al."""

from torch import Tensor, nn

from stm_experiments.models.interfaces import NetworkModule


class CAEA(NetworkModule):
    """CAE-A, the shallow convolutional autoencoder of Binev et al., section 4.1.1.

    17x17 px patches pass two convolution-pooling stages to a latent vector and come back through
    two transposed convolutions; there is no activation at the output. With ten latent numbers it
    has 6 212 parameters, and the paper's published weight files load unchanged
    (keys ``encoder.N.*``, ``decoder.N.*``).

    Args:
        latent: Length of the latent vector.

    Raises:
        ValueError: If it is less than one.
    """

    label = "CAE-A"
    window = 17

    def __init__(self, latent: int = 10) -> None:
        super().__init__()
        if latent < 1:
            raise ValueError(f"the latent vector has at least one number, not {latent}")
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 9, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(9 * 4 * 4, latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, 9 * 4 * 4),
            nn.Unflatten(1, (9, 4, 4)),
            nn.ConvTranspose2d(9, 16, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 5, stride=2, padding=1),
        )

    def encode(self, patches: Tensor) -> Tensor:
        """Patches [B, 1, 17, 17] on [-1, 1] -> latent vectors [B, D]."""
        return self.encoder(patches)

    def decode(self, codes: Tensor) -> Tensor:
        """Latent vectors [B, D] -> patches [B, 1, 17, 17]."""
        return self.decoder(codes)

    def forward(self, patches: Tensor) -> Tensor:
        """Patches [B, 1, 17, 17] on [-1, 1] -> their reconstructions, same shape."""
        return self.decode(self.encode(patches))
