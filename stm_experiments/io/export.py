"""Writers of the image files that scans are saved as, into files that are open for writing."""

import json
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL import Image

from stm_experiments.core.arrays import Array, Mask


def write_npy(file: BinaryIO, data: Array, mask: Mask) -> None:
    """Write a NumPy file of data [H, W], NaN where the mask is False."""
    measured = data if mask.all() else np.where(mask, data, np.nan)
    np.save(file, measured, allow_pickle=False)


def write_tiff(
    file: BinaryIO,
    data: Array,
    mask: Mask,
    pixel_size: tuple[float, float] | None,
    about: dict[str, Any],
) -> None:
    """Write a float32 TIFF with the ImageJ description that Fiji, Gwyddion and we read.

    Args:
        file: Open for writing.
        data: [H, W].
        mask: [H, W], False for the pixels that become NaN.
        pixel_size: nm per px along axes 0 and 1; None: unknown.
        about: What the description says of the scan, plain data.
    """
    resolution, lateral = None, {}
    if pixel_size is not None:
        height, width = pixel_size
        resolution = (1 / width, 1 / height)  # px per unit, a ratio of two 32-bit integers
        lateral = {"unit": "nm", "pixel_size_nm": json.dumps(pixel_size)}
    single = data.astype(np.float32)
    single[~mask] = np.nan
    tifffile.imwrite(
        file,
        single,
        imagej=True,
        resolution=resolution,
        metadata={**lateral, "scan": json.dumps(about)},
    )


def write_png(file: BinaryIO, data: Array, mask: Mask) -> None:
    """Write a 16-bit PNG, grey from the lowest to the highest measured value, else black."""
    measured = data[mask]
    low, high = measured.min(), measured.max()
    grey = (data - low) / (high - low if high > low else 1.0)
    grey = np.where(mask, np.clip(grey, 0, 1), 0) * (2**16 - 1)
    Image.fromarray(np.rint(grey).astype(np.uint16)).save(file, format="PNG")
