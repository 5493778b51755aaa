"""Scans as napari layers, and layers as scans."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from stm_experiments.core.arrays import Points
from stm_experiments.core.units import amount, fitting_unit
from stm_experiments.figures.canvas import quantity_label
from stm_experiments.io.preview import TOPOGRAPH_COLOURS
from stm_experiments.io.scan import Scan, ScanError

DIFFERENCE_COLOURS = "RdBu_r"  # diverging, white at zero
CLIPPED = (0.5, 99.5)  # percentiles of the values that get colours of their own
OFFSET = 10.0  # median over range from which the median is taken off
LayerData = tuple[Any, dict[str, Any], str]  # as napari's plugins return layers


class Drawn(NamedTuple):
    """What napari shows of a scan.

    Attributes:
        values: (data - offset) / factor, NaN where not measured, [H, W].
        offset: The median where it is far larger than the range; else 0.
        factor: Of ``unit``, in the scan's unit.
        unit: With a prefix.
        limits: Of the colours, in ``unit``.
    """

    values: NDArray[np.float32]
    offset: float
    factor: float
    unit: str
    limits: tuple[float, float]


def drawn(scan: Scan) -> Drawn:
    """Return the values of a scan in a unit with a prefix, and the limits of their colours."""
    low, middle, high = np.percentile(scan.data[scan.mask], (CLIPPED[0], 50, CLIPPED[1]))
    offset = float(middle) if abs(middle) > OFFSET * (high - low) else 0.0
    low, high = low - offset, high - offset
    factor, unit = fitting_unit(max(abs(low), abs(high)), scan.unit)
    values = np.where(scan.mask, (scan.data - offset) / factor, np.nan).astype(np.float32)
    last = high if high > low else low + factor
    return Drawn(values, offset, factor, unit, (low / factor, last / factor))


def image_layer(scan: Scan, name: str, **options: Any) -> LayerData:
    """Return a scan as an image layer; options are those of the layer."""
    shown = drawn(scan)
    limits = shown.limits
    if options.get("colormap") == DIFFERENCE_COLOURS:
        largest = max(map(abs, limits))
        limits = (-largest, largest)
    attributes = {
        "name": name,
        "colormap": TOPOGRAPH_COLOURS,
        "contrast_limits": limits,
        "metadata": {"scan": scan, "value_unit": shown.unit, "value_offset": shown.offset},
        **geometry(scan),
    }
    return shown.values, attributes | options, "image"


def difference_layer(scan: Scan, other: Scan, name: str, step: str) -> LayerData:
    """Return a scan less another one as a hidden layer, 0 where not measured.

    Args:
        scan: Gives size of the pixels and history too.
        other: Of the same shape.
        name: Of the layer.
        step: Says in its history what it is.
    """
    values = np.where(scan.mask & other.mask, scan.data - other.data, 0.0)
    change = scan.with_data(values, step)
    return image_layer(change, name, colormap=DIFFERENCE_COLOURS, visible=False)


def labels_layer(labels: NDArray[Any], scan: Scan, name: str, **options: Any) -> LayerData:
    """Return marked pixels [H, W] of a scan, 0 unmarked, as labels; options are of the layer."""
    return labels.astype(np.uint8), {"name": name, **geometry(scan), **options}, "labels"


def points_layer(
    places: Points, scan: Scan, name: str, rows: Sequence[Mapping[str, Any]] = (), **options: Any
) -> LayerData:
    """Return places in a scan as points.

    Args:
        places: Rows and columns, [P, 2] px.
        scan: In which they are.
        name: Of the layer.
        rows: Of their table.
        options: Of the layer; the size is in px.
    """
    import pandas as pd

    attributes = {
        "name": name,
        "features": pd.DataFrame(list(rows)),
        "face_color": "transparent",
        "border_width": 0.15,
        **geometry(scan),
    }
    return np.asarray(places, float).reshape(-1, 2), attributes | options, "points"


def geometry(scan: Scan) -> dict[str, Any]:
    """Return size and unit of the pixels of a scan, as layers have them."""
    unit = "pixel" if scan.pixel_size is None else "nm"
    return {
        "scale": scan.pixel_size or (1.0, 1.0),
        "units": (unit, unit),
        "axis_labels": ("y", "x"),
    }


def as_scan(values: Any, attributes: Mapping[str, Any]) -> Scan:
    """Return an image layer as a scan: its own one, or one of what the layer shows.

    Args:
        values: Data of the layer.
        attributes: ``name``, ``metadata``, ``scale``, ``units`` and ``rgb`` of the layer.

    Raises:
        ScanError: If it is no image of one value for each pixel.
    """
    scan = attributes["metadata"].get("scan")
    if isinstance(scan, Scan):
        shown = drawn(scan)
        if np.array_equal(values, shown.values, equal_nan=True):
            return scan
        changed = np.asarray(values, float) * shown.factor + shown.offset
        data = np.where(np.isfinite(changed), changed, scan.data)
        return scan.with_data(data, "changed in napari")
    name = attributes["name"]
    if attributes.get("rgb") or np.ndim(values) != 2:
        raise ScanError(f"{name}: choose a layer with one value for each pixel, [H, W].")
    from stm_experiments.restoration.measured import as_scan as scan_of_array

    pixels = [
        float((size * unit).to("nm").magnitude) if unit.is_compatible_with("nm") else None
        for size, unit in zip(attributes["scale"], attributes["units"], strict=True)
    ]
    height, width = pixels
    known = None if height is None or width is None else (height, width)
    return replace(scan_of_array(np.asarray(values)), name=name, channel=name, pixel_size=known)


def scan_of(layer: Layer) -> Scan:
    """Return what an image layer shows as a scan; see ``as_scan``."""
    names = ("name", "metadata", "scale", "units", "rgb")
    return as_scan(layer.data, {key: getattr(layer, key, None) for key in names})


def show(viewer: Any, *layers: LayerData) -> list[Layer]:
    """Add layers to a viewer; a layer of the same name is replaced in its place.

    Returns:
        The layers in the viewer.
    """
    shown = []
    for data, attributes, kind in layers:
        name = attributes["name"]
        old = next((layer for layer in viewer.layers if layer.name == name), None)
        if isinstance(old, Image) and kind == "image" and old.data.shape == data.shape:
            old.data = data
            old.metadata = attributes["metadata"]
            old.contrast_limits = attributes["contrast_limits"]
            shown.append(old)
            continue
        if old is not None:
            viewer.layers.remove(old)
        shown.append(getattr(viewer, f"add_{kind}")(data, **attributes))
    show_unit(viewer)
    return shown


def show_unit(viewer: Any) -> None:
    """Show the colour bar of the selected image, and what its numbers are, on the canvas."""
    active = viewer.layers.selection.active
    for layer in viewer.layers:
        if isinstance(layer, Image):
            layer.colorbar.visible = layer is active
    text = viewer.canvas.overlays.text
    scan = active.metadata.get("scan") if isinstance(active, Image) else None
    text.visible = isinstance(scan, Scan)
    if isinstance(scan, Scan):
        unit, offset = (active.metadata[key] for key in ("value_unit", "value_offset"))
        above = f" above {amount(offset, scan.unit)}" if offset else ""
        text.text = f"{quantity_label(scan.unit, unit)}{above}"
