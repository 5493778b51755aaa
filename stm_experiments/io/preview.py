"""A scan as a small picture, for notebooks."""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from stm_experiments.core.arrays import Array, Mask
from stm_experiments.core.planes import subtract_plane

TOPOGRAPH_COLOURS = "inferno"  # perceptually uniform, similar to the usual "afmhot"
LONGEST = 256  # px, side of the picture
_CLIPPED = (1, 99)  # percentiles of the heights that are drawn
_GAP = (128, 128, 128)  # colour of what was not measured


class Preview(NamedTuple):
    """A small picture.

    Attributes:
        png: A PNG file.
        span: From the darkest to the brightest colour, in the unit of the data.
    """

    png: bytes
    span: float


def preview(data: Array, mask: Mask, pixel_size: tuple[float, float]) -> Preview:
    """Return a picture of a scan without its tilt, in the shape of the sample.

    Args:
        data: [H, W].
        mask: Where it was measured, [H, W].
        pixel_size: Along axes 0 and 1, in any unit.
    """
    import matplotlib as mpl

    sides = np.array(data.shape) * pixel_size
    step = max(1, max(data.shape) // (2 * LONGEST))
    data, mask = data[::step, ::step], mask[::step, ::step]
    flat = subtract_plane(data, mask)
    low, high = np.percentile(flat[mask], _CLIPPED) if mask.any() else (0.0, 0.0)
    shades = np.clip((flat - low) / (high - low if high > low else 1.0), 0, 1)
    colours = mpl.colormaps[TOPOGRAPH_COLOURS](shades, bytes=True)[..., :3].copy()
    colours[~mask] = _GAP
    height, width = (max(1, round(side)) for side in LONGEST * sides / sides.max())
    file = io.BytesIO()
    Image.fromarray(colours).resize((width, height)).save(file, "PNG")
    return Preview(file.getvalue(), float(high - low))
