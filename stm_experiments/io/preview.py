"""A scan as a small picture with its facts, for notebooks."""

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from stm_experiments.core.arrays import Array, Mask
from stm_experiments.core.planes import subtract_plane

TOPOGRAPH_COLOURS = "inferno"  # perceptually uniform, similar to the usual "afmhot"
LONGEST = 256  # px, side of the picture
_CLIPPED = (1, 99)  # percentiles of the heights that are drawn
_GAP = (128, 128, 128)  # colour of what was not measured


def preview(data: Array, mask: Mask, pixel_size: tuple[float, float]) -> bytes:
    """Return a PNG file of a scan without its tilt, in the shape of the sample.

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
    return file.getvalue()


def as_html(title: str, picture: bytes, lines: Sequence[str]) -> str:
    """Return a picture with a title and lines beside it, in the colours of the page.

    Args:
        title: Plain text.
        picture: A PNG file.
        lines: Plain text.
    """
    encoded = base64.b64encode(picture).decode("ascii")
    text = "<br>".join(html.escape(line) for line in lines)
    return (
        f'<div style="display:flex;gap:1em"><img src="data:image/png;base64,{encoded}">'
        f"<div><b>{html.escape(title)}</b><br>{text}</div></div>"
    )
