"""Scans in plain image files: PNG, JPEG, BMP, .npy, and TIFF with its calibrations and frames."""

import json
import math
import re
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from stm_experiments.io.image import DECODERS, count_frames, decode_frame, tiff_series
from stm_experiments.io.metadata import NOTHING, Metadata
from stm_experiments.io.trace import Trace, Unreadable, decode_text
from stm_experiments.io.units import to_si

UNITS_PER_METRE = {2: 1 / 0.0254, 3: 100.0}  # of TIFF's ResolutionUnit: inches, centimetres
LARGEST = 1e4  # nm per px; a coarser value is the printing resolution that programs write
MOST_FRAMES = 2**16
DOUBTS = {
    ".jpg": "8-bit grey levels that JPEG has changed, without a unit or a size",
    ".jpeg": "8-bit grey levels that JPEG has changed, without a unit or a size",
    ".bmp": "8-bit grey levels, without a unit or a size",
}
# Tags of TIFFs from DigitalMicrograph.
DM_UNITS, DM_SCALES = (65004, 65003), (65010, 65009)  # along axes 0 and 1
DM_VALUE_UNIT, DM_ORIGIN, DM_GAIN = 65022, 65024, 65025


class _Values(NamedTuple):
    """A linear calibration: a value is gain times the number in the file, plus offset.

    Attributes:
        gain: In the unit.
        offset: In the unit.
        unit: SI.
    """

    gain: float = 1.0
    offset: float = 0.0
    unit: str = ""


class _About(NamedTuple):
    """What a TIFF says of its images.

    Attributes:
        values: Their calibration.
        size: nm per px along axes 0 and 1; None: not stated.
        channel: As in ``Scan``.
        direction: As in ``Scan``.
        history: As in ``Scan``.
        metadata: As in ``Scan``.
        doubts: As in ``Trace``.
    """

    values: _Values
    size: tuple[float, float] | None
    channel: str = "image"
    direction: str = "forward"
    history: tuple[str, ...] = ()
    metadata: Metadata = NOTHING
    doubts: tuple[str, ...] = ()


def traces(path: Path) -> list[Trace]:
    """List the images of a plain file: grey levels, or what a TIFF says that they are."""
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        return _tiff_traces(path)
    with path.open("rb") as file:
        array = DECODERS[suffix](file)
    if array.dtype.kind not in "biuf" or array.ndim != 2 or array.size == 0:
        raise Unreadable(f"holds {array.dtype} values of shape {array.shape}, expected one image")
    doubts = (DOUBTS[suffix],) if suffix in DOUBTS else ()
    return [Trace("image", "forward", "", None, lambda: array.astype(np.float64), doubts=doubts)]


def _tiff_traces(path: Path) -> list[Trace]:
    with tifffile.TiffFile(path) as tiff:
        series = tiff_series(tiff)
        count = count_frames(series)
        if not 0 < count <= MOST_FRAMES:
            raise Unreadable(f"damaged, or a stack of {count} images")
        about = _about(tiff, series.keyframe)
        if count == 1:
            _decode(path, _Values(), 0)  # damage shows before anything is promised
    frames = [None] if count == 1 else range(count)
    return [
        Trace(
            about.channel,
            about.direction,
            about.values.unit,
            about.size,
            partial(_decode, path, about.values, frame or 0),
            about.history,
            about.metadata,
            about.doubts,
            frame,
        )
        for frame in frames
    ]


def _decode(path: Path, values: _Values, frame: int) -> NDArray[np.float64]:
    with tifffile.TiffFile(path) as tiff:
        array = decode_frame(tiff, tiff_series(tiff), frame)
    if array.dtype.kind not in "biuf" or array.ndim != 2 or array.size == 0:
        raise Unreadable(f"holds {array.dtype} values of shape {array.shape}, expected one image")
    return array.astype(np.float64) * values.gain + values.offset


def _about(tiff: tifffile.TiffFile, page: Any) -> _About:
    """Read ImageJ's, OME's and DigitalMicrograph's descriptions, or that of ``Scan.save``."""
    doubts: tuple[str, ...] = ()
    if len(tiff.series) > 1:
        doubts = ("a thumbnail in the file was passed over",)
    imagej = tiff.imagej_metadata or {}
    ours = dict(json.loads(imagej.get("scan", "{}")))
    if ours:  # its tags are rounded to 32 bits
        height, width = map(float, json.loads(imagej.get("pixel_size_nm", "[0, 0]")))
        return _About(
            _Values(unit=str(ours.get("value_unit") or "")),
            _plausible(height, width),
            str(ours.get("channel") or "image"),
            str(ours.get("direction") or "forward"),
            tuple(map(str, ours.get("history", ()))),
            dict(ours.get("metadata", {})),
            doubts,
        )
    if DM_SCALES[1] in page.tags:
        return _About(*_digital_micrograph(page.tags), doubts=doubts)
    size = _ome_size(tiff.ome_metadata or "") or _tagged_size(page.tags, imagej)
    kind = int(imagej.get("cf", 0))
    if kind:
        doubts += (f"ImageJ's value calibration of kind {kind} was not used",)
    linear = "c1" in imagej and not kind
    factor, unit = to_si(_unless_grey(str(imagej.get("vunit", "")))) if linear else (1.0, "")
    gain, offset = (float(imagej[key]) if linear else 0.0 for key in ("c1", "c0"))
    values = _Values(gain * factor, offset * factor, unit) if linear else _Values()
    return _About(values, size, doubts=doubts)


def _unless_grey(unit: str) -> str:
    """Return a unit, "" for ImageJ's "Gray Value"."""
    return "" if unit.lower() == "gray value" else unit


def _tagged_size(tags: Any, imagej: dict[str, Any]) -> tuple[float, float] | None:
    """Return the pixel size of the resolution tags, in ImageJ's unit if there is one."""
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
    return _plausible(height, width)


def _ome_size(text: str) -> tuple[float, float] | None:
    """Return the pixel size of an OME description, whose default unit is the micrometre."""
    sides = []
    for axis in "YX":
        size = re.search(rf'\bPhysicalSize{axis}="([^"]{{1,40}})"', text)
        unit = re.search(rf'\bPhysicalSize{axis}Unit="([^"]{{1,20}})"', text)
        factor, si = to_si(unit[1] if unit else "um")
        sides.append(float(size[1]) * factor * 1e9 if size and si == "m" else math.nan)
    return _plausible(*sides)


def _digital_micrograph(tags: Any) -> tuple[_Values, tuple[float, float] | None]:
    """Return the calibrations of DigitalMicrograph's tags."""
    sides = []
    for scale, unit_tag in zip(DM_SCALES, DM_UNITS, strict=True):
        factor, si = to_si(_tag_text(tags.valueof(unit_tag)))
        sides.append(float(tags.valueof(scale, math.nan)) * factor * 1e9 if si == "m" else math.nan)
    factor, unit = to_si(_tag_text(tags.valueof(DM_VALUE_UNIT)))
    gain = float(tags.valueof(DM_GAIN, 1.0)) * factor
    values = _Values(gain, -gain * float(tags.valueof(DM_ORIGIN, 0.0)), unit)
    return values, _plausible(*sides)


def _tag_text(value: Any) -> str:
    return decode_text(value).strip("\0 ") if isinstance(value, bytes) else str(value or "")


def _plausible(height: float, width: float) -> tuple[float, float] | None:
    return (height, width) if 0 < height < LARGEST and 0 < width < LARGEST else None


def _ratio(value: Any) -> float:
    """Return a resolution tag as a number; NaN if there is none."""
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return float(value[0]) / float(value[1])
    return math.nan
