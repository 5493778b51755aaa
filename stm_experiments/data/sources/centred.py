"""What is known of the pose of simulated patches, and how they look in the canonical one."""

from collections.abc import Sequence

import torch
from torch import Tensor

from stm_experiments.core.batch import Batch
from stm_experiments.simulator import AnyLattice, FlatLattice, Preset, Topographs
from stm_experiments.simulator.centred import centred_topographs, phase_maps


def centred_truth(
    topographs: Topographs, lattices: Sequence[AnyLattice], preset: Preset, window: int
) -> dict[str, Tensor]:
    """Return the centred patch and the phases of each image, by their names in ``Batch.truth``.

    Args:
        topographs: N images of one crystal each.
        lattices: Lattice of each image.
        preset: The simulator's version.
        window: Patch size, px.

    Raises:
        ValueError: If a lattice is flat.
    """
    size = topographs.noisy.shape[-1]
    centred = torch.empty(len(lattices), window**2)
    phases = torch.empty(len(lattices), 9)
    for lattice in dict.fromkeys(lattices):
        if isinstance(lattice, FlatLattice):
            raise ValueError(
                f"centred patches are those of cut crystals such as lattice=all; {lattice.name} "
                "is flat"
            )
        index = [i for i, other in enumerate(lattices) if other == lattice]
        orientation, offset = topographs.orientation[index], topographs.offset[index]
        drawn = centred_topographs(lattice, orientation, preset, window)
        centred[index] = drawn.flatten(1)
        phases[index] = phase_maps(lattice, orientation, offset, size).flatten(1).float()
    return {"centred": centred, "phases": phases}


def patch_phases(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the phases in the middle of patches, and how they change from pixel to pixel.

    Args:
        batch: Patches [B, 1, w, w] with the truth ``phases``.

    Returns:
        Phases, rad, [B, 3]; their changes along axes 0 and 1, rad/px, [B, 3, 2].
    """
    maps = batch.truth["phases"].unflatten(1, (3, 3))
    middle = batch.position + (batch.noisy.shape[-1] - 1) / 2
    return maps[:, :, 0] + (maps[:, :, 1:] @ middle[:, :, None].to(maps))[:, :, 0], maps[:, :, 1:]
