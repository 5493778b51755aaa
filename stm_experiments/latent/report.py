"""One row of numbers per network: what its codes contain, and what they are invariant to."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from stm_experiments.core.batch import Batch
from stm_experiments.latent.codes import (
    Codes,
    encode_each,
    encode_patches,
    pool,
    thin_out,
    variance_shares,
)
from stm_experiments.latent.factors import factor_measures
from stm_experiments.latent.invariance import measure_invariance
from stm_experiments.latent.probes import (
    can_tell_lattices,
    few_images_accuracy,
    measure_lattice,
    probe_accuracy,
)
from stm_experiments.models.evaluating import evaluating
from stm_experiments.models.interfaces import Autoencoder, Network
from stm_experiments.simulator import LATTICES, AnyLattice

MOST_PATCHES = 1_000_000
FEW_IMAGES = 3  # of each lattice whose label a probe knows
PER_IMAGE = 48  # patches of each image from which the single-patch probes learn
SAMPLING = 16  # one patch of so many is turned and mirrored
MOST_SAMPLES = 4096  # patches that are turned and mirrored
POOL_SIZES = (4, 16, 64)  # patches of partial pools
POOLS_PER_IMAGE = 8  # partial pools of an image, at most
NEIGHBOURS = {"single": 15, "pooled": 5}  # of the vote of the nearest codes


def latent_report(
    networks: Mapping[str, Network],
    batches: Iterable[Batch],
    images: Tensor | None,
    names: Sequence[str],
    lattices: Mapping[str, AnyLattice] = LATTICES,
    device: torch.device | str = "cpu",
    known: Mapping[str, Codes] | None = None,
) -> dict[str, dict[str, float]]:
    """Measure the codes of several networks on the same held-out patches, in one pass over them.

    Args:
        networks: Networks by name; those without ``encode`` are left out.
        batches: All patches of held-out images, several of each image.
        images: Held-out whole images, scaled as the patches, for shifts, [N, 1, H, W]; or None.
        names: Names of all lattices, by label.
        lattices: The lattices as they were simulated, by name.
        device: Device on which the networks compute.
        known: Codes of all patches by some of the networks, which need not be computed again.

    Returns:
        Numbers by network and by name. A number that does not exist has no key.

        - ``single/...`` from single patches and ``pooled/...`` from all patches of an image (mean
          and covariance of their codes): ``probe``, ``knn``, ``ari``, ``silhouette`` of the lattice
          type (see ``probes``) and ``r2_azimuth``, ``r2_tilt``, ``r2_rotation``, ``r2_in_plane``
          (see ``factors``), the latter also per lattice: ``single/r2_tilt/sc``.
        - ``single/probe_3_images``: of a probe that knows the labels of three images per lattice.
        - ``pooled_4/probe``, ``pooled_16/probe``, ``pooled_64/probe``: from so many patches of an
          image.
        - ``chance``: probe and knn of a guess. Nothing about the lattice type is measured unless
          there are two lattices with two images each.
        - ``variance/lattice``, ``variance/image``, ``variance/patch``: see ``variance_shares``.
        - ``invariance/shift_1`` (2, 4), ``invariance/turns``, ``invariance/flips``.
    """
    networks = {name: net for name, net in networks.items() if isinstance(net, Autoencoder)}
    if not networks:
        return {}
    samples: list[Tensor] = []

    def sampled_batches() -> Iterator[Batch]:
        for batch in batches:
            samples.append(batch.noisy[::SAMPLING].cpu())
            yield batch

    known = known or {}
    unknown = {name: net for name, net in networks.items() if name not in known}
    codes = {**known, **encode_each(unknown, sampled_batches(), MOST_PATCHES, device)}
    patches = torch.cat(samples)
    patches = patches[:: -(-len(patches) // MOST_SAMPLES)]
    report = {}
    for name, net in networks.items():
        with evaluating([net], device):
            changes = measure_invariance(partial(_encode_on, net, device), patches, images)
        measures = measure_codes(codes[name], names, lattices)
        report[name] = measures | _prefixed("invariance", changes)
    return report


def _encode_on(net: Network, device: torch.device | str, patches: Tensor) -> Tensor:
    return encode_patches(net, patches.to(device))


def measure_codes(
    codes: Codes, names: Sequence[str], lattices: Mapping[str, AnyLattice]
) -> dict[str, float]:
    """Measure lattice type and orientation in codes: ``latent_report`` without the invariance."""
    fewest = int(codes.image.unique(return_counts=True)[1].min())
    kinds = {"single": thin_out(codes, PER_IMAGE)}
    if fewest > 1:
        kinds["pooled"] = pool(codes)
    many_lattices = can_tell_lattices(codes)
    measures: dict[str, float] = {}
    if many_lattices:
        measures["chance"] = 1 / len(codes.lattice.unique())
        measures |= _prefixed("variance", variance_shares(codes))
    for kind, rows in kinds.items():
        if many_lattices:
            measures |= _prefixed(kind, measure_lattice(rows, NEIGHBOURS[kind]))
        measures |= _prefixed(kind, factor_measures(rows, names, lattices))
    if many_lattices:
        few = few_images_accuracy(kinds["single"], FEW_IMAGES)
        if math.isfinite(few):
            measures[f"single/probe_{FEW_IMAGES}_images"] = few
        for size in POOL_SIZES:
            if size <= fewest:
                pools = pool(codes, size, POOLS_PER_IMAGE)
                measures[f"pooled_{size}/probe"] = probe_accuracy(pools)
    return measures


def _prefixed(prefix: str, measures: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in measures.items()}
