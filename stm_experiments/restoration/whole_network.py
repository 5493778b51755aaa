"""The network for whole images that belongs to a trained network."""

from torch import Tensor

from stm_experiments.models.interfaces import Network, NetworkModule
from stm_experiments.models.networks.denoiser import Denoiser
from stm_experiments.models.networks.destripe import Destripe
from stm_experiments.models.networks.surface_denoiser import SurfaceDenoiser
from stm_experiments.models.networks.swin_denoiser import SwinDenoiser
from stm_experiments.restoration.mixture.local_risk import LocalRisk
from stm_experiments.restoration.stripe_repair import StripeRepair


def whole_image_network(net: Network) -> Network:
    """Put the choice of experts or the rules around a network that needs them on whole images.

    Args:
        net: Any network; one of a kind without a wrapper is returned as it is.

    Returns:
        The network to call with whole images, in evaluation mode if ``net`` is.
    """
    if isinstance(net, Denoiser | SurfaceDenoiser | SwinDenoiser):
        return LocalRisk(net).train(net.training)
    if isinstance(net, Destripe):
        return StripeRepair(net).train(net.training)
    return net


class NetworkAlone(NetworkModule):
    """A denoiser that ``denoise`` applies once, without the mixture that keeps a scan from harm.

    Args:
        net: A denoiser of whole images.

    Raises:
        ValueError: If it is of a kind that is never mixed.
    """

    def __init__(self, net: Network) -> None:
        if not isinstance(whole_image_network(net), LocalRisk):
            raise ValueError(
                f"{net.label} is not mixed with other estimates: leave alone=true away (it is for "
                "denoisers of whole images, such as checkpoint=denoiser)"
            )
        super().__init__()
        self.net = net
        self.label, self.window, self.card = f"{net.label} alone", net.window, net.card

    def forward(self, images: Tensor) -> Tensor:
        """Denoise images [B, 1, H, W] by one pass."""
        result: Tensor = self.net(images)
        return result
