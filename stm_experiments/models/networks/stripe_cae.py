"""The stripe denoiser of a thesis on ZrTe3."""

from torch import Tensor, nn
from torch.nn import functional as F

from stm_experiments.models.interfaces import NetworkModule


class StripeCAE(NetworkModule):
    """The stripe denoiser of a thesis on ZrTe3: a fully convolutional autoencoder.

    Two stages of convolution, ReLU and max-pooling; two stages of convolution, ReLU and
    nearest-neighbour upsampling; a last convolution and a sigmoid. All convolutions are 3x3. The
    network works on [0, 1]; images are mapped to this range and back. Sides that are not multiples
    of 4 (such as 630 in the thesis) are padded by their border, and cropped again. There is no
    bottleneck of fixed length: the code has a quarter of the image's sides, and its channels hold
    the finer structure.

    Args:
        filters: Channels of every stage.

    Raises:
        ValueError: If there are none.
    """

    label = "stripe autoencoder"
    window = None

    def __init__(self, filters: int = 32) -> None:
        super().__init__()
        if filters < 1:
            raise ValueError(f"filters is at least 1, not {filters}")

        def stage(inputs: int, resize: nn.Module) -> list[nn.Module]:
            return [nn.Conv2d(inputs, filters, 3, padding=1), nn.ReLU(), resize]

        self.encoder = nn.Sequential(
            *stage(1, nn.MaxPool2d(2)),
            *stage(filters, nn.MaxPool2d(2)),
        )
        self.decoder = nn.Sequential(
            *stage(filters, nn.Upsample(scale_factor=2)),
            *stage(filters, nn.Upsample(scale_factor=2)),
            nn.Conv2d(filters, 1, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Remove stripes from images [B, 1, H, W] on [-1, 1] of any H and W."""
        height, width = images.shape[-2:]
        padded = F.pad((images + 1) / 2, (0, -width % 4, 0, -height % 4), "replicate")
        output: Tensor = self.decoder(self.encoder(padded))
        return 2 * output[..., :height, :width] - 1
