"""The contents of the image files that scans are saved as."""

import io
import json
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from stm_experiments.core.arrays import Array, Mask


def encode_npy(data: Array, mask: Mask) -> bytes:
    """Return a NumPy file of data [H, W], NaN where the mask is False."""
    buffer = io.BytesIO()
    np.save(buffer, np.where(mask, data, np.nan), allow_pickle=False)
    return buffer.getvalue()


def encode_tiff(
    data: Array, mask: Mask, pixel_size: tuple[float, float] | None, about: dict[str, Any]
) -> bytes:
    """Return a float32 TIFF with the ImageJ description that Fiji, Gwyddion and we read.

    Args:
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
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        np.where(mask, data, np.nan).astype(np.float32),
        imagej=True,
        resolution=resolution,
        metadata={**lateral, "scan": json.dumps(about)},
    )
    return buffer.getvalue()


def encode_png(data: Array, mask: Mask) -> bytes:
    """Return a 16-bit PNG, grey from the lowest to the highest measured value, else black."""
    measured = data[mask]
    low, high = measured.min(), measured.max()
    grey = (data - low) / (high - low if high > low else 1.0)
    grey = np.where(mask, np.clip(grey, 0, 1), 0) * (2**16 - 1)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(grey).astype(np.uint16)).save(buffer, format="PNG")
    return buffer.getvalue()
