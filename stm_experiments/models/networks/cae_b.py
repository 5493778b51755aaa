"""The deeper autoencoder CAE-B of Binev et al."""

from torch import Tensor, nn

from stm_experiments.models.interfaces import AutoencoderModule
from stm_experiments.models.networks.cae_a import check_latent


class CAEB(AutoencoderModule):
    """CAE-B, the deeper convolutional autoencoder of Binev et al., section 4.1.2.

    Four stages of convolution and pooling reduce a patch of 16x16 px to 8 channels of one pixel,
    and then to the latent vector. The decoder of the paper cannot be built as it is printed:
    [2 2 24] doubled four times is 32x32, and four filters are not one image. The layers of the text
    are kept here, with strides 2, 2, 2, 1 and a final 1x1 convolution to one channel before the
    clipped ReLU. The range of the clipped ReLU is [0, 1]; therefore patches are mapped from [-1, 1]
    to [0, 1] on entry and back on exit.

    Args:
        latent: Length of the latent vector.

    Raises:
        ValueError: If it is less than one.
    """

    label = "CAE-B"
    window = 16

    def __init__(self, latent: int = 10) -> None:
        super().__init__()
        check_latent(latent)
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 24, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.MaxPool2d(2),
            nn.Conv2d(24, 16, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 8, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8, latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, 2 * 2 * 24),
            nn.Unflatten(1, (24, 2, 2)),
            nn.ConvTranspose2d(24, 24, 3, stride=2, padding=1, output_padding=1),
            nn.LeakyReLU(0.01),
            nn.ConvTranspose2d(24, 16, 3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm2d(16),
            nn.LeakyReLU(0.01),
            nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1),
            nn.LeakyReLU(0.01),
            nn.ConvTranspose2d(8, 4, 3, stride=1, padding=1),
            nn.Conv2d(4, 1, 1),
            nn.Hardtanh(0.0, 1.0),
        )

    def encode(self, patches: Tensor) -> Tensor:
        """Map patches [B, 1, 16, 16] on [-1, 1] to latent vectors [B, D]."""
        return super().encode((patches + 1) / 2)

    def decode(self, codes: Tensor) -> Tensor:
        """Map latent vectors [B, D] to patches [B, 1, 16, 16] on [-1, 1]."""
        return 2 * super().decode(codes) - 1
