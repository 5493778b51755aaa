"""The shallow autoencoder CAE-A of Binev et al."""

from torch import nn

from stm_experiments.models.interfaces import AutoencoderModule


class CAEA(AutoencoderModule):
    """CAE-A, the shallow convolutional autoencoder of Binev et al., section 4.1.1.

    Two stages of convolution and pooling map a patch of 17x17 px to the latent vector; two
    transposed convolutions map it back, without an activation at the output. ReLU follows the
    pooling, which gives the same numbers on a quarter of the px. With a latent vector of ten
    numbers the network has 6 212 parameters, and the published weight files of the paper load
    unchanged (keys ``encoder.N.*``, ``decoder.N.*``).

    Args:
        latent: Length of the latent vector.

    Raises:
        ValueError: If it is less than one.
    """

    label = "CAE-A"
    window = 17

    def __init__(self, latent: int = 10) -> None:
        super().__init__()
        check_latent(latent)
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(16, 9, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
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


def check_latent(latent: int) -> None:
    """Refuse a latent vector without numbers.

    Raises:
        ValueError: If its length is less than one.
    """
    if latent < 1:
        raise ValueError(f"the latent vector has at least one number, not {latent}")
