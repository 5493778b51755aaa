"""Scans in plain image files: PNG, TIFF with a pixel size, .npy."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from stm_experiments.io.image import DECODERS
from stm_experiments.io.trace import Trace, Unreadable
from stm_experiments.io.units import to_si

UNITS_PER_METRE = {2: 1 / 0.0254, 3: 100.0}  # of TIFF's ResolutionUnit: inches, centimetres
LARGEST = 1e4  # nm per px; a coarser value is the printing resolution that programs write


def traces(path: Path) -> list[Trace]:
    """List the one image of a plain file: grey levels, or what a TIFF of ``Scan.save`` holds."""
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        array = DECODERS[suffix](file)
    if array.dtype.kind not in "biuf" or array.ndim != 2 or array.size == 0:
        raise Unreadable(f"holds {array.dtype} values of shape {array.shape}, expected one image")
    about, size = _about_tiff(path) if suffix in (".tif", ".tiff") else ({}, None)
    return [
        Trace(
            str(about.get("channel") or "image"),
            str(about.get("direction") or "forward"),
            str(about.get("value_unit") or ""),
            size,
            lambda: array.astype(np.float64),
            tuple(map(str, about.get("history", ()))),
        )
    ]


def _about_tiff(path: Path) -> tuple[dict[str, Any], tuple[float, float] | None]:
    """Return the description in a TIFF of ``Scan.save``, and the pixel size of any TIFF, nm."""
    with tifffile.TiffFile(path) as tiff:
        imagej = tiff.imagej_metadata or {}
        tags = tiff.pages.first.tags
        resolution = [_ratio(tags.valueof(name)) for name in ("YResolution", "XResolution")]
        kind = int(tags.valueof("ResolutionUnit", 2))
    factor, unit = to_si(str(imagej.get("unit", "")).replace("\\u00B5", "u"))
    if unit == "m":
        per_metre = 1 / factor
    elif imagej or kind not in UNITS_PER_METRE:
        per_metre = math.nan
    else:
        per_metre = UNITS_PER_METRE[kind]
    height, width = (1e9 / (r * per_metre) if r > 0 else math.nan for r in resolution)
    about = dict(json.loads(imagej.get("scan", "{}")))
    if about:  # in a TIFF of ours the tags are rounded to 32 bits
        height, width = map(float, json.loads(imagej.get("pixel_size_nm", "[0, 0]")))
    plausible = 0 < height < LARGEST and 0 < width < LARGEST
    return about, (height, width) if plausible else None


def _ratio(value: Any) -> float:
    """Return a resolution tag as a number; NaN if there is none."""
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return float(value[0]) / float(value[1])
    return math.nan
