"""The network for whole images that belongs to a trained network."""

from stm_experiments.models.interfaces import Network
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
