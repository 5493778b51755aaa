"""What the codes of a bottleneck hold."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.metrics.scores import Patches
from stm_experiments.models.evaluating import evaluating
from stm_experiments.models.interfaces import Autoencoder, Network


class Codes(NamedTuple):
    """Codes of n patches, or of n groups of patches, and where these came from, on the CPU."""

    codes: Tensor  # [n,D] float32
    lattice: Tensor  # [n] int64
    image: Tensor  # [n] int64
    orientation: Tensor  # [n,3]

    def rows(self, chosen: Tensor) -> "Codes":
        """The chosen ones, by index or mask ``[n]``."""
        return Codes(*(field[chosen] for field in self))


def encode(net: Network, patches: Tensor) -> Tensor:
    """Codes ``[B,D]`` float32 on the CPU of patches ``[B,1,h,w]`` on the network's device.

    Raises:
        ValueError: If the network has no ``encode``, or its codes are not ``[B,D]``.
    """
    if not isinstance(net, Autoencoder):
        raise ValueError(f"{type(net).__name__} has no bottleneck to encode into.")
    codes = net.encode(patches).float().cpu()
    if codes.ndim != 2:
        raise ValueError(f"Codes must be [B,D], not {list(codes.shape)}.")
    return codes


def encode_all(
    net: Network,
    batches: Iterable[Patches],
    max_patches: int = 10_000,
    device: torch.device | str = "cpu",
) -> Codes:
    """Encode the first patches of some batches; see ``encode_each``."""
    return encode_each({type(net).__name__: net}, batches, max_patches, device)[type(net).__name__]


def encode_each(
    networks: Mapping[str, Network],
    batches: Iterable[Patches],
    max_patches: int = 10_000,
    device: torch.device | str = "cpu",
) -> dict[str, Codes]:
    """Encode the first patches of some batches with several networks, in one pass over them.

    The networks are moved to the device and run in eval mode without gradients; the training flag
    of each of their modules is restored.

    Args:
        networks: Name to network with ``encode: [B,1,h,w] -> [B,D]``.
        batches: Batches of patches; no more are drawn than are needed.
        max_patches: Upper limit on n.
        device: Where to compute.

    Returns:
        The codes of the same patches by each network.

    Raises:
        ValueError: If a network has no ``encode``, makes codes that are not finite or not
            ``[B,D]``, or if there are no patches.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in networks}
    labels: list[tuple[Tensor, Tensor, Tensor]] = []
    room = max_patches
    with evaluating(networks.values(), device):
        for batch in batches:
            noisy = batch.noisy[:room].to(device)
            for name, net in networks.items():
                parts[name].append(encode(net, noisy))
            n = len(noisy)
            known = (batch.lattice[:n], batch.image[:n], batch.orientation[:n])
            labels.append((known[0].cpu(), known[1].cpu(), known[2].cpu()))
            room -= n
            if room <= 0:
                break
    if not labels:
        raise ValueError("There are no patches to encode.")
    joined = [torch.cat(field) for field in zip(*labels, strict=True)]
    results = {name: Codes(torch.cat(parts[name]), *joined) for name in networks}
    for name, result in results.items():
        if not torch.isfinite(result.codes).all():
            raise ValueError(f"{name} makes NaN or infinite codes.")
    return results


def thin(codes: Codes, most: int, seed: int = 0) -> Codes:
    """At most ``most`` rows of each image, a random choice fixed by the seed, in their order."""
    order = torch.randperm(len(codes.image), generator=torch.Generator().manual_seed(seed))
    kept = [order[codes.image[order] == one][:most] for one in codes.image.unique()]
    return codes.rows(torch.cat(kept).sort().values)


def pool(codes: Codes, patches: int | None = None, bags: int = 1, seed: int = 0) -> Codes:
    """Codes pooled over many patches of one image: their mean and their covariance.

    The position of a patch in the unit cell averages out; what all patches of an image share stays.

    Args:
        codes: Codes of single patches, at least two from each image.
        patches: Patches to pool, drawn at random; None: all of the image. Images with fewer are
            left out.
        bags: Up to so many groups of ``patches`` are made from each image, without common patches.
        seed: Of the draw.

    Returns:
        One row per group: the mean ``[D]``, then the upper triangle of the sample covariance
        (n - 1) row by row, ``[D(D+1)/2]``; float64.

    Raises:
        ValueError: If a group has fewer than two patches, none is left, or an image has patches of
            two lattices.
    """
    random = torch.Generator().manual_seed(seed)
    upper = torch.triu_indices(codes.codes.shape[1], codes.codes.shape[1]).unbind()
    pooled, first = [], []
    for one in codes.image.unique():
        here = (codes.image == one).nonzero().flatten()
        if len(codes.lattice[here].unique()) > 1:
            raise ValueError(f"Image {int(one)} has patches of more than one lattice.")
        here = here[torch.randperm(len(here), generator=random)]
        size = len(here) if patches is None else patches
        if size < 2:
            raise ValueError("A covariance needs at least two patches of an image.")
        for group in here.split(size)[:bags]:
            if len(group) == size:
                rows = codes.codes[group].double()
                covariance = rows.T.cov().reshape(2 * rows.shape[1:])
                pooled.append(torch.cat([rows.mean(0), covariance[upper]]))
                first.append(group[0])
    if not pooled:
        raise ValueError(f"No image has {patches} patches to pool.")
    return codes.rows(torch.stack(first))._replace(codes=torch.stack(pooled))


def variance_shares(codes: Codes) -> dict[str, float]:
    """Where the codes' variance lies, as parts of the whole that sum to 1.

    Sums of squares over all dimensions: of the lattices' means about the overall mean
    (``lattice``), of the images' means about their lattice's (``image``), of the codes about their
    image's mean (``patch``). Plain parts, not corrected for the number of images: k lattices that
    mean nothing still get about (k - 1)/(images - 1) of the part ``lattice`` + ``image``.

    Args:
        codes: Codes of single patches.

    Returns:
        The three parts; empty if all codes are equal.
    """
    points = codes.codes.double()
    if bool((points == points[0]).all()):
        return {}

    def means(label: Tensor) -> Tensor:
        _, inverse, counts = label.unique(return_inverse=True, return_counts=True)
        sums = torch.zeros(len(counts), points.shape[1], dtype=points.dtype)
        group_means: Tensor = sums.index_add_(0, inverse, points) / counts[:, None]
        return group_means[inverse]

    by_lattice, by_image = means(codes.lattice), means(codes.image)
    parts = {
        "lattice": float((by_lattice - points.mean(0)).square().sum()),
        "image": float((by_image - by_lattice).square().sum()),
        "patch": float((points - by_image).square().sum()),
    }
    total = sum(parts.values())
    return {name: part / total for name, part in parts.items()}
