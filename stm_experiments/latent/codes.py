"""Codes of patches, and of groups of patches."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from stm_experiments.core.batch import Batch
from stm_experiments.models.evaluating import evaluating
from stm_experiments.models.interfaces import Autoencoder, Network


class Codes(NamedTuple):
    """Codes of n patches, or of n groups of patches, and their origin, on the CPU.

    Attributes:
        codes: The codes, [n, D].
        lattice: Lattice label of each, [n] int64.
        image: Number of the image from which each was cut, [n] int64.
        orientation: Azimuth, tilt and rotation as fractions of their ranges, [n, 3].
    """

    codes: Tensor
    lattice: Tensor
    image: Tensor
    orientation: Tensor

    def select(self, rows: Tensor) -> "Codes":
        """Return some of the codes.

        Args:
            rows: Their indices or a mask, [n].
        """
        return Codes(*(field[rows] for field in self))

    def first(self, most: int) -> "Codes":
        """Return at most so many codes, from the first one on."""
        return Codes(*(field[:most] for field in self))


def encode_patches(net: Network, patches: Tensor) -> Tensor:
    """Return the codes [B, D] float32, on the CPU, of patches [B, 1, h, w] on the network's device.

    Raises:
        ValueError: If the network has no ``encode``, or its codes are not [B, D].
    """
    if not isinstance(net, Autoencoder):
        raise ValueError(f"{type(net).__name__} has no bottleneck to encode into.")
    codes = net.encode(patches).float().cpu()
    if codes.ndim != 2:
        raise ValueError(f"Codes must be [B, D], not {list(codes.shape)}.")
    return codes


def encode_all(
    net: Network,
    batches: Iterable[Batch],
    max_patches: int = 10_000,
    device: torch.device | str = "cpu",
) -> Codes:
    """Encode the first patches of batches with one network; see ``encode_each``."""
    name = type(net).__name__
    return encode_each({name: net}, batches, max_patches, device)[name]


def encode_each(
    networks: Mapping[str, Network],
    batches: Iterable[Batch],
    max_patches: int = 10_000,
    device: torch.device | str = "cpu",
) -> dict[str, Codes]:
    """Encode the first patches of batches with several networks, in one pass over the batches.

    The networks are moved to the device and run in eval mode without gradients; the training flag
    of each of their modules is restored.

    Args:
        networks: Networks by name; each needs ``encode``.
        batches: Batches of patches; no more are drawn than are needed.
        max_patches: Upper limit of n.
        device: Device on which the networks compute.

    Returns:
        The codes of the same patches by each network.

    Raises:
        ValueError: If a network has no ``encode``, returns codes that are not finite or not [B, D],
            or if there are no patches.
    """
    codes: dict[str, list[Tensor]] = {name: [] for name in networks}
    lattices, images, orientations = [], [], []
    remaining = max_patches
    with evaluating(networks.values(), device):
        for batch in batches:
            noisy = batch.noisy[:remaining].to(device)
            for name, net in networks.items():
                codes[name].append(encode_patches(net, noisy))
            lattices.append(batch.lattice[:remaining].cpu())
            images.append(batch.image[:remaining].cpu())
            orientations.append(batch.orientation[:remaining].cpu())
            remaining -= len(noisy)
            if remaining <= 0:
                break
    if not lattices:
        raise ValueError("There are no patches to encode.")
    origin = (torch.cat(lattices), torch.cat(images), torch.cat(orientations))
    results = {name: Codes(torch.cat(parts), *origin) for name, parts in codes.items()}
    for name, result in results.items():
        if not torch.isfinite(result.codes).all():
            raise ValueError(f"{name} makes NaN or infinite codes.")
    return results


def thin_out(codes: Codes, most: int, seed: int = 0) -> Codes:
    """Keep at most ``most`` codes of each image, a random choice fixed by the seed, in order."""
    draws = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(codes.image), generator=draws)
    rows = [order[codes.image[order] == image][:most] for image in codes.image.unique()]
    return codes.select(torch.cat(rows).sort().values)


def pool(codes: Codes, patches: int | None = None, groups: int = 1, seed: int = 0) -> Codes:
    """Pool the codes of many patches of one image: their mean and their covariance.

    The position of a patch in the unit cell averages out; what all patches of an image share stays.

    Args:
        codes: Codes of single patches, at least two from each image.
        patches: Patches of a group, drawn at random; None: all of the image. Images with fewer
            patches are left out.
        groups: Groups of each image, at most; they share no patches.
        seed: Seed of the draw.

    Returns:
        One row per group: the mean [D], then the upper triangle of the sample covariance (n - 1)
        row by row, [D (D + 1) / 2]; float64.

    Raises:
        ValueError: If a group has fewer than two patches, there is no group, or an image has
            patches of two lattices.
    """
    draws = torch.Generator().manual_seed(seed)
    upper = torch.triu_indices(codes.codes.shape[1], codes.codes.shape[1]).unbind()
    pooled, first_rows = [], []
    for image in codes.image.unique():
        rows = (codes.image == image).nonzero().flatten()
        if len(codes.lattice[rows].unique()) > 1:
            raise ValueError(f"Image {int(image)} has patches of more than one lattice.")
        rows = rows[torch.randperm(len(rows), generator=draws)]
        size = len(rows) if patches is None else patches
        if size < 2:
            raise ValueError("A covariance needs at least two patches of an image.")
        for group in rows.split(size)[:groups]:
            if len(group) == size:
                points = codes.codes[group].double()
                covariance = points.T.cov().reshape(2 * points.shape[1:])
                pooled.append(torch.cat([points.mean(0), covariance[upper]]))
                first_rows.append(group[0])
    if not pooled:
        raise ValueError(f"No image has {patches} patches to pool.")
    return codes.select(torch.stack(first_rows))._replace(codes=torch.stack(pooled))


def variance_shares(codes: Codes) -> dict[str, float]:
    """Divide the codes' variance into shares between lattices, between and within images.

    Sums of squares over all dimensions: of the lattices' means about the overall mean
    (``lattice``), of the images' means about the mean of their lattice (``image``), of the codes
    about the mean of their image (``patch``). They are not corrected for the number of images: k
    lattices that mean nothing still get about (k - 1) / (images - 1) of ``lattice`` + ``image``.

    Args:
        codes: Codes of single patches.

    Returns:
        The three shares, whose sum is 1; empty if all codes are equal.
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
    squares = {
        "lattice": float((by_lattice - points.mean(0)).square().sum()),
        "image": float((by_image - by_lattice).square().sum()),
        "patch": float((points - by_image).square().sum()),
    }
    total = sum(squares.values())
    return {name: value / total for name, value in squares.items()}
