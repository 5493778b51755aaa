"""What the codes of a bottleneck hold."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stm_experiments.analysis.scores import Patches


class Codes(NamedTuple):
    """Codes of n patches and where these came from, on the CPU."""

    codes: Tensor  # [n,D] float32
    lattice: Tensor  # [n] int64
    image: Tensor  # [n] int64
    orientation: Tensor  # [n,3]


def encode_all(
    net: nn.Module,
    batches: Iterable[Patches],
    max_patches: int = 10_000,
    device: torch.device | str = "cpu",
) -> Codes:
    """Encode the first patches of some batches.

    The network is moved to the device and run in eval mode without gradients; the training flag of
    each of its modules is restored.

    Args:
        net: A network with ``encode: [B,1,h,w] -> [B,D]``.
        batches: Batches of patches; no more are drawn than are needed.
        max_patches: Upper limit on n.
        device: Where to compute.

    Raises:
        ValueError: If the network has no ``encode``, makes codes that are not finite or not
            ``[B,D]``, or if there are no patches.
    """
    encode = getattr(net, "encode", None)
    if encode is None:
        raise ValueError(f"{type(net).__name__} has no bottleneck to encode into.")
    parts: list[Codes] = []
    room = max_patches
    flags = [(module, module.training) for module in net.modules()]
    try:
        net.to(device).eval()
        with torch.inference_mode():
            for batch in batches:
                codes = encode(batch.noisy[:room].to(device)).float().cpu()
                if codes.ndim != 2:
                    raise ValueError(f"Codes must be [B,D], not {list(codes.shape)}.")
                n = len(codes)
                rest = (batch.lattice[:n], batch.image[:n], batch.orientation[:n])
                parts.append(Codes(codes, *(tensor.cpu() for tensor in rest)))
                room -= n
                if room <= 0:
                    break
    finally:
        for module, training in flags:
            module.training = training
    if not parts:
        raise ValueError("There are no patches to encode.")
    result = Codes(*(torch.cat(field) for field in zip(*parts, strict=True)))
    if not torch.isfinite(result.codes).all():
        raise ValueError(f"{type(net).__name__} makes NaN or infinite codes.")
    return result


def explained_variance(codes: Tensor) -> Tensor:
    """Share of the codes' variance along each principal axis.

    The eigenvalues of the covariance matrix over their sum, in descending order: scikit-learn's
    ``PCA().explained_variance_ratio_``.

    Args:
        codes: ``[n,D]``, n >= 2.

    Returns:
        ``[D]`` float64, not negative, summing to 1.

    Raises:
        ValueError: If there are fewer than two codes, they are all equal, or not finite.
    """
    if codes.ndim != 2 or len(codes) < 2 or not torch.isfinite(codes).all():
        raise ValueError(f"Expected at least two finite codes [n,D], not {list(codes.shape)}.")
    centred = codes.double() - codes.double().mean(0)
    variance = torch.linalg.eigvalsh(centred.T @ centred).flip(0).clamp(min=0)
    if variance.sum() == 0:
        raise ValueError("All codes are equal: there is no variance to explain.")
    return variance / variance.sum()
