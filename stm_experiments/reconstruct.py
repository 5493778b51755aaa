"""A whole image through a trained network: the result in the input's units, and a picture."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.progress import Progress
from torch import nn

from stm_experiments import build, checkpoint, config, tiling
from stm_experiments.figures import save, whole_image
from stm_experiments.formats.image import denormalise, normalise, normalise_scan, read_image

NORMALISATIONS = {"minmax": normalise, "plane": normalise_scan}


def reconstruct(cfg: DictConfig) -> None:
    """Reads, normalises, passes the image through the network, maps it back, writes and draws.

    Args:
        cfg: ``conf/reconstruct.yaml`` as composed.

    Raises:
        ValueError: If the checkpoint, the image or a setting cannot be used.
    """
    settings = build.plain(cfg)
    folder = config.output_folder()
    if settings["normalisation"] not in NORMALISATIONS:
        raise ValueError(
            f"normalisation is {' or '.join(NORMALISATIONS)}, not {settings['normalisation']!r}"
        )
    stride, pixel_nm = settings["stride"], settings["pixel_nm"]
    if not isinstance(stride, int):
        raise ValueError(f"stride is a whole number of px, not {stride!r}")
    if pixel_nm is not None and not (isinstance(pixel_nm, int | float) and pixel_nm > 0):
        raise ValueError(f"pixel_nm is above 0, or null, not {pixel_nm!r}")
    path = Path(settings["image"])
    net = checkpoint.load(settings["checkpoint"])
    before = read_image(path)
    x, affine = NORMALISATIONS[settings["normalisation"]](before, str(path))
    after = denormalise(through(net, x, stride), affine)
    stem = f"{path.stem}_reconstructed"
    np.save(folder / f"{stem}.npy", after)
    tifffile.imwrite(folder / f"{stem}.tiff", after.astype(np.float32))
    title = f"{path.name} through {getattr(net, 'label', type(net).__name__)}, stride {stride} px"
    plane = denormalise(np.zeros_like(before), affine) - affine.shift
    if plane.any():
        title += ", shown without its tilt"
    shown = whole_image(before - plane, after - plane, settings["unit"], pixel_nm, title)
    save(shown, folder / f"{stem}.png")
    changed = float(np.sqrt(np.mean((after - before) ** 2)) / np.ptp(before))
    print(f"{folder}: {stem}.npy, .tiff, .png; rms change {100 * changed:.2f} % of its range")


def through(net: nn.Module, image: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """A normalised image [H, W] after the network, window by window, under a progress bar."""
    card: Any = net.card
    with Progress() as progress:
        bar = progress.add_task("windows")
        result = tiling.reconstruct(
            net,
            torch.from_numpy(image),
            card.window,
            stride,
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    return result.numpy()


def main() -> None:
    """The command ``stm-reconstruct``."""
    config.launch(reconstruct, "reconstruct")


if __name__ == "__main__":
    main()
