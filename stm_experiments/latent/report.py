"""One row of numbers per network: what its latent codes know, and what they do not care about."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from stm_experiments.latent.codes import (
    Codes,
    encode,
    encode_each,
    pool,
    thin,
    variance_shares,
)
from stm_experiments.latent.factors import factor_measures
from stm_experiments.latent.invariance import measure_invariance
from stm_experiments.latent.probes import can_tell_lattices, measure_lattice, probe_accuracy
from stm_experiments.metrics.scores import Patches
from stm_experiments.models.evaluating import evaluating
from stm_experiments.models.interfaces import Autoencoder, Network

MOST_PATCHES = 1_000_000
PER_IMAGE = 48  # patches of each image from which the single-patch probes learn
EVERY = 16  # one patch of so many is turned and mirrored
MOST_TURNED = 4096
POOLS = (4, 16, 64)  # patches of partial pools
Report = dict[str, dict[str, float]]


def latent_report(
    networks: Mapping[str, Network],
    batches: Iterable[Patches],
    images: Tensor | None,
    lattices: Sequence[str],
    device: torch.device | str = "cpu",
) -> Report:
    """Measure the codes of several networks on the same held-out patches, in one pass over them.

    Args:
        networks: Name to network with ``encode``; those without are left out.
        batches: All patches of held-out images, several of each.
        images: Held-out whole images ``[N,1,H,W]``, scaled as the patches, for shifts; or None.
        lattices: Names of all lattices, by label.
        device: Where the networks compute.

    Returns:
        Network to flat numbers. Those that do not exist have no key.

        - ``single/...`` from single patches and ``pooled/...`` from all patches of an image (mean
          and covariance of their codes): ``probe``, ``knn``, ``ari``, ``silhouette`` of the lattice
          type (see ``probes``) and ``r2_azimuth``, ``r2_tilt``, ``r2_rotation``, ``r2_in_plane``
          (see ``factors``), the latter also per lattice: ``single/r2_tilt/sc``.
        - ``pooled_4/probe``, ``pooled_16/probe``, ``pooled_64/probe``: with so many patches of an
          image.
        - ``chance``: what probe and knn reach by guessing. Nothing of the lattice type is measured
          unless there are two lattices with two images each.
        - ``variance/lattice``, ``variance/image``, ``variance/patch``: see ``variance_shares``.
        - ``invariance/shift_1`` (2, 4), ``invariance/turns``, ``invariance/flips``.
    """
    networks = {name: net for name, net in networks.items() if isinstance(net, Autoencoder)}
    if not networks:
        return {}
    turned: list[Tensor] = []

    def kept() -> Iterator[Patches]:
        for batch in batches:
            turned.append(batch.noisy[::EVERY].cpu())
            yield batch

    codes = encode_each(networks, kept(), MOST_PATCHES, device)
    patches = torch.cat(turned)
    patches = patches[:: -(-len(patches) // MOST_TURNED)]
    report = {}
    for name, net in networks.items():
        row = code_measures(codes[name], lattices)
        with evaluating([net], device):
            changes = measure_invariance(partial(_encode_on, net, device), patches, images)
        report[name] = row | {f"invariance/{key}": value for key, value in changes.items()}
    return report


def _encode_on(net: Network, device: torch.device | str, patches: Tensor) -> Tensor:
    return encode(net, patches.to(device))


def code_measures(codes: Codes, lattices: Sequence[str]) -> dict[str, float]:
    """What codes know of lattice type and orientation: ``latent_report`` without the invariance."""
    single = thin(codes, PER_IMAGE)
    kinds = {"single": single}
    smallest = int(codes.image.unique(return_counts=True)[1].min())
    if smallest > 1:
        kinds["pooled"] = pool(codes)
    measures: dict[str, float] = {}
    tell = can_tell_lattices(codes)
    if tell:
        measures["chance"] = 1 / len(codes.lattice.unique())
        shares = variance_shares(codes)
        measures |= {f"variance/{name}": share for name, share in shares.items()}
    for kind, rows in kinds.items():
        if tell:
            of_lattice = measure_lattice(rows, 15 if kind == "single" else 5)
            measures |= {f"{kind}/{name}": value for name, value in of_lattice.items()}
        of_factors = factor_measures(rows, lattices)
        measures |= {f"{kind}/{name}": value for name, value in of_factors.items()}
    if tell:
        for size in POOLS:
            if size <= smallest:
                measures[f"pooled_{size}/probe"] = probe_accuracy(pool(codes, size, bags=8))
    return measures
