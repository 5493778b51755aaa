"""Training a network to tell which patches were cut from the same image."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.batch import Batch
from stm_experiments.core.seeds import generator
from stm_experiments.models.interfaces import Autoencoder
from stm_experiments.training.reconstruction import Reconstruction

TEMPERATURE = 0.1  # of the similarities, cosines
COMPARED = 512  # validation patches that are compared with each other


class Contrastive(Reconstruction):
    """Trains an encoder so that two patches of one image have similar codes.

    The loss is the cross-entropy of the question which other patch of the batch was cut from the
    same image, where the similarity of two patches is the cosine of the angle between their codes
    (van den Oord et al., 2018; Khosla et al., 2020). Patches without such a partner do not count.
    No label and no description of the images is used. The decoder is not trained.
    """

    loss_label = "cross-entropy of the patches of one image (nats)"
    net: Autoencoder

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, nats."""
        return contrast(self.net.encode(batch.noisy), batch.image)

    def on_validation_epoch_start(self) -> None:
        """Forget the codes of the epoch before."""
        self.codes: list[Tensor] = []
        self.images: list[Tensor] = []

    def validation_step(self, batch: Batch, _: int) -> None:
        """Keep the codes: the patches of one validation batch are of one or two images only."""
        self.codes.append(self.net.encode(batch.noisy))
        self.images.append(batch.image)

    def on_validation_epoch_end(self) -> None:
        """Log ``val/loss``, the mean over groups of validation patches in a fixed random order."""
        codes, images = torch.cat(self.codes), torch.cat(self.images)
        order = torch.randperm(len(codes), generator=generator(0, "contrast"))
        groups = [contrast(codes[part], images[part]) for part in order.split(COMPARED)]
        self.log("val/loss", torch.stack(groups).mean(), sync_dist=True)


def contrast(codes: Tensor, images: Tensor) -> Tensor:
    """Return how badly codes tell which patches are of one image, nats.

    Args:
        codes: [B, D].
        images: Number of each patch's image, [B].

    Returns:
        The mean over all pairs of one image; 0 if there is none.
    """
    directions = F.normalize(codes, dim=1)
    itself = torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    similarity = (directions @ directions.T / TEMPERATURE).masked_fill(itself, -torch.inf)
    partners = (images[:, None] == images) & ~itself
    if not partners.any():
        return 0 * codes.sum()
    return -similarity.log_softmax(1)[partners].mean()
