"""The file latent_patches.png of a run folder: the patches whose codes are in latent.csv."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.files import atomic_write

NAME = "latent_patches.png"
COLUMNS = 40  # patches side by side
LARGEST_SIDE = 32  # px; larger patches are shrunk


def shrink(patches: Tensor) -> Tensor:
    """Return patches [n, 1, h, w] as square ones of at most 32 px."""
    side = min(LARGEST_SIDE, *patches.shape[2:])
    return F.interpolate(patches.float(), (side, side), mode="area")


def write_patch_sheet(path: Path, patches: Tensor) -> None:
    """Write small patches side by side as grey levels.

    Args:
        path: The file to write.
        patches: Those of the rows of latent.csv, in their order, [n, 1, s, s] in [-1, 1].
    """
    side = patches.shape[-1]
    rows = -(-len(patches) // COLUMNS)
    grey = torch.zeros(rows * COLUMNS, side, side, dtype=torch.uint8)
    grey[: len(patches)] = ((patches[:, 0] + 1) * 127.5).round().clamp(0, 255).byte()
    sheet = grey.view(rows, COLUMNS, side, side).transpose(1, 2).reshape(rows * side, -1)
    with atomic_write(path) as file:
        Image.fromarray(sheet.numpy()).save(file, "PNG")
