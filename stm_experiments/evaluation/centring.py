"""How well a code tells what the crystal is, apart from where the patch lies on it."""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from stm_experiments.core.batch import Batch
from stm_experiments.core.results.names import metric_name
from stm_experiments.data import lattice_names
from stm_experiments.data.module import PatchData
from stm_experiments.data.sources.centred import patch_phases
from stm_experiments.figures.codes.centred_patches import centred_patches_figure, first_of_each
from stm_experiments.latent.codes import Codes, thin_out
from stm_experiments.latent.probes import can_tell_lattices, measure_lattice
from stm_experiments.latent.report import NEIGHBOURS, PER_IMAGE
from stm_experiments.models.evaluating import evaluating
from stm_experiments.models.interfaces import Centring, Pose

TRAINING = 512  # images whose centred patches give the mean and the principal components


class PoseErrors(NamedTuple):
    """Errors of the poses of patches, modulo the symmetry of the lattice.

    Attributes:
        shift: In the plane, px, [B]: the shift that explains the phases' errors best.
        rotation: rad, [B], at most a quarter turn.
    """

    shift: Tensor
    rotation: Tensor


class Seen(NamedTuple):
    """What a network infers from patches, and the truth.

    Attributes:
        codes: Their contents.
        squares: Mean squared errors of the centred patches, [B].
        centred: The true ones, [B, w w].
        errors: Of their poses.
        guesses: Errors of the pose of another patch of the same batch.
    """

    codes: Codes
    squares: Tensor
    centred: Tensor
    errors: PoseErrors
    guesses: PoseErrors


def centring_numbers(net: Centring, data: PatchData) -> dict[str, float]:
    """Return what the content and the pose of held-out patches are worth, for metrics.json.

    Args:
        net: The trained network.
        data: Its images.

    Returns:
        By their names (see ``core.results.names``):

        - ``test/content/probe``, ``knn``, ``ari`` of the lattice type (see ``latent.probes``) from
          the content of single patches;
        - ``test/centred/mse`` of the centred patches; ``mean/test/centred/mse`` of the mean of the
          training images, and ``PCA-4/test/centred/mse`` of their principal components, as many as
          the content has numbers, which are told the centred patch itself;
        - ``test/pose/shift_px`` and ``rotation_deg``, medians; ``guess/test/pose/shift_px`` of the
          pose of another patch.
    """
    seen = infer(net, data.loader(data.test_split))
    training = centred_patches(data)
    components = seen.codes.codes.shape[1]
    errors = {"": float(seen.squares.mean())}
    for network, axes in (("mean", 0), (f"PCA-{components}", components)):
        errors[network] = projection_error(training, seen.centred, axes)
    name = partial(metric_name, split=data.test_split)
    numbers = {
        name("mse", network=network, part="centred"): error for network, error in errors.items()
    }
    for network, pose in (("", seen.errors), ("guess", seen.guesses)):
        medians = (
            ("shift_px", pose.shift.median()),
            ("rotation_deg", pose.rotation.median().rad2deg()),
        )
        for measure, median in medians:
            numbers[name(measure, network=network, part="pose")] = float(median)
    if can_tell_lattices(seen.codes):
        told = measure_lattice(thin_out(seen.codes, PER_IMAGE), NEIGHBOURS["single"])
        numbers |= {name(m, part="content"): told[m] for m in ("probe", "knn", "ari")}
    return numbers


def centred_patches(data: PatchData) -> Tensor:
    """Return the centred patches of the first training images, [N, w w].

    Raises:
        ValueError: If the data have none.
    """
    source = data.sources["train"]
    truth = source(0, 0, min(TRAINING, source.count)).truth
    if "centred" not in truth:
        raise ValueError("this model learns from centred patches, which only data=simulated has")
    return truth["centred"]


def infer(net: Centring, batches: Iterable[Batch]) -> Seen:
    """Run a network over batches and compare it with their truth."""
    parts = []
    with evaluating([net], "cpu"):
        for batch in batches:
            codes = net.encode(batch.noisy)
            centred = batch.truth["centred"]
            pose = net.pose(codes)
            order = torch.arange(len(centred)).roll(len(centred) // 2)
            other = Pose(pose.rotation[order], pose.phases[order])
            content = net.split(codes)[0]
            parts.append(
                Seen(
                    Codes(content, batch.lattice, batch.image, batch.orientation),
                    (net.centre(codes).flatten(1) - centred).square().mean(1),
                    centred,
                    pose_errors(pose, batch),
                    pose_errors(other, batch),
                )
            )
    return Seen(
        Codes(*map(torch.cat, zip(*(part.codes for part in parts), strict=True))),
        torch.cat([part.squares for part in parts]),
        torch.cat([part.centred for part in parts]),
        PoseErrors(*map(torch.cat, zip(*(part.errors for part in parts), strict=True))),
        PoseErrors(*map(torch.cat, zip(*(part.guesses for part in parts), strict=True))),
    )


def pose_errors(pose: Pose, batch: Batch) -> PoseErrors:
    """Compare poses with those of a batch whose truth has ``phases``."""
    phases, changes = patch_phases(batch)
    turn = torch.pi * batch.orientation[:, 2].to(pose.rotation) - pose.rotation
    off = wrapped(pose.phases - phases)
    shift = torch.linalg.lstsq(changes, off[:, :, None]).solution[:, :, 0]
    return PoseErrors(shift.norm(dim=1), (wrapped(2 * turn) / 2).abs())


def centred_figure(net: Centring, samples: Batch) -> Figure:
    """Draw a patch of each lattice with its denoised and its centred version.

    Args:
        net: The network, on the CPU, in evaluation mode.
        samples: Patches with clean and centred ones.
    """
    first = first_of_each(samples.lattice)
    noisy = samples.noisy[first]
    with torch.inference_mode():
        codes = net.encode(noisy)
        drawn, centred = net.decode(codes), net.centre(codes)
    assert samples.clean is not None
    columns = {
        "noisy (input)": noisy,
        "denoised": drawn,
        "clean": samples.clean[first],
        "centred": centred,
        "centred, true": samples.truth["centred"][first].view_as(noisy),
    }
    labels = [lattice_names()[label] for label in samples.lattice[first].tolist()]
    return centred_patches_figure(columns, labels, title=f"{net.label}: held-out patches")


def wrapped(angles: Tensor) -> Tensor:
    """Return angles modulo a full turn, rad, from -pi to pi."""
    return torch.remainder(angles + torch.pi, 2 * torch.pi) - torch.pi


def projection_error(training: Tensor, centred: Tensor, axes: int) -> float:
    """Return the mean squared error of patches [B, K] on principal axes of others [N, K].

    Args:
        training: The patches that define mean and axes.
        centred: The patches that are projected.
        axes: Number of axes; 0: the mean alone.
    """
    mean = training.mean(0)
    _, _, directions = torch.linalg.svd(training - mean, full_matrices=False)
    off = centred - mean
    basis = directions[:axes]
    return float((off - off @ basis.T @ basis).square().mean())
