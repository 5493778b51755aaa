"""The networks with which a trained network is compared."""

import copy

import torch

from stm_experiments.data.module import PatchData
from stm_experiments.models import PCA
from stm_experiments.models.interfaces import Network

LARGEST_WINDOW = 32  # px; PCA of larger patches takes minutes, and gigabytes


def check_baselines(components: object, window: int) -> None:
    """Refuse PCAs that cannot be fitted, before anything is trained.

    Args:
        components: As set by the user.
        window: Side of the patches, px.

    Raises:
        ValueError: If it is not a list of numbers of components.
    """
    is_valid = isinstance(components, list) and all(
        isinstance(number, int) and 1 <= number <= window**2 for number in components
    )
    if not is_valid:
        raise ValueError(
            f"baselines is a list of numbers of components from 1 to {window**2}, such as [10,20], "
            f"not {components!r}"
        )


def fit_baselines(data: PatchData, components: list[int]) -> dict[str, PCA]:
    """Fit PCAs of several sizes in one fit to an epoch of training patches.

    Args:
        data: Source of the patches.
        components: Number of components of each PCA.

    Returns:
        By name, such as ``PCA-10``; empty for patches that are too large.
    """
    window = data.settings.window
    check_baselines(components, window)
    if not components or window > LARGEST_WINDOW:
        return {}
    largest = PCA(max(components), window)
    largest.fit(batch.noisy for batch in data.loader("train"))
    return {f"PCA-{number}": largest.truncated(number) for number in components}


def untrained_copy(net: Network) -> Network:
    """Return a copy of a network with fresh weights, the same at every call."""
    fresh = copy.deepcopy(net)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for module in fresh.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    return fresh
