"""Training a network to tell the lattice type, as the bound of what codes can know."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stm_experiments.core.batch import Batch
from stm_experiments.models.interfaces import Autoencoder
from stm_experiments.simulator import LATTICES
from stm_experiments.training.reconstruction import Reconstruction


class Labelled(Reconstruction):
    """Trains an encoder with the labels of the lattices: a linear map of the code tells them.

    This is what a code of this size can know at best. It is a yardstick for codes that are learnt
    without labels, and no way to use scans, which have none. The loss is the cross-entropy; the
    decoder is not trained.

    Args:
        net: The network to train.
        latent: Length of its code.
        optimizer: As for ``Reconstruction``.
        scheduler: As for ``Reconstruction``.
    """

    loss_label = "cross-entropy of the lattice types (nats)"
    net: Autoencoder

    def __init__(
        self,
        net: Autoencoder,
        latent: int,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., LRScheduler] | None = None,
    ) -> None:
        super().__init__(net, optimizer, scheduler)
        self.classifier = nn.Linear(latent, len(LATTICES))

    def loss(self, batch: Batch) -> Tensor:
        """Return the cross-entropy of the lattice types, nats.

        Raises:
            ValueError: If the lattice of an image is not known.
        """
        if bool((batch.lattice < 0).any()):
            raise ValueError("model=labelled_code needs images whose lattices are known")
        return F.cross_entropy(self.classifier(self.net.encode(batch.noisy)), batch.lattice)
