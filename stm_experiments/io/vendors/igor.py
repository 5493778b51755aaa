"""Igor binary waves (.ibw): one array in (x, y, layer) order, with a scale for each axis."""

import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stm_experiments.io.directions import split_direction
from stm_experiments.io.trace import (
    Trace,
    Unreadable,
    check_size,
    decode_text,
    library,
    pixel_size_nm,
)
from stm_experiments.io.units import to_si

HEADER, WAVE = 64, 320  # bytes of the two headers of version 5
MOST_TEXT = 2**22  # bytes of notes and labels; igor2 makes one object of each byte
MOST_LAYERS = 256
# Asylum's instruments leave the unit out and name the layer after the quantity.
LAYER_UNITS = {
    "height": "m",
    "zsensor": "m",
    "deflection": "m",
    "amplitude": "m",
    "current": "A",
    "potential": "V",
}


def traces(path: Path) -> list[Trace]:
    """List the layers of an Igor wave.

    Rows of the picture are the wave's axis 1; row 0 is at the top, so they are reversed if y grows
    with the index. The name of the wave or layer says whether it is a backward scan ("Backward",
    "Retrace"): its scale is already that of an unmirrored one.
    """
    igor = library("igor2.binarywave", "reading .ibw files needs igor2")
    _check(path)
    wave: dict[str, Any] = igor.load(str(path))["wave"]
    header, data = wave["wave_header"], wave["wData"]
    if data.ndim not in (2, 3) or data.dtype.kind not in "iuf":
        raise Unreadable(f"holds a wave of shape {data.shape} and type {data.dtype}, no image")
    width, height = data.shape[:2]
    layers = data.reshape(width, height, -1)
    names = [_text(label) for label in wave["labels"][2]][-layers.shape[2] :]
    if data.ndim == 2 or len(names) < layers.shape[2]:
        wave_name = _text(header["bname"])
        names = (
            [wave_name] if data.ndim == 2 else [f"{wave_name} {i}" for i in range(len(layers.T))]
        )
    (x_step, y_step), axis_unit = header["sfA"][:2], _text(header["dimUnits"][0])
    unit_text = _text(wave["data_units"]) or _text(header["dataUnits"])
    x_factor, x_unit = to_si(axis_unit)
    size = None
    if x_unit == "m":
        size = pixel_size_nm(y_step * x_factor * height, x_step * x_factor * width, (height, width))

    def decode(layer: int, factor: float) -> NDArray[np.float64]:
        picture: NDArray[np.float64] = layers[:, :, layer].T.astype(np.float64) * factor
        return picture[:: -1 if y_step > 0 else 1, :: -1 if x_step < 0 else 1]

    traces = []
    for i, name in enumerate(names):
        channel, direction = split_direction(name)
        layer_unit = next((u for q, u in LAYER_UNITS.items() if channel.lower().startswith(q)), "")
        factor, unit = to_si(unit_text or layer_unit)
        traces.append(Trace(channel, direction, unit, size, partial(decode, i, factor)))
    return traces


def _check(path: Path) -> None:
    """Refuse headers that would make igor2 allocate more than the file holds."""
    with path.open("rb") as file:
        header = file.read(HEADER + WAVE)
    size = path.stat().st_size
    if len(header) < HEADER + WAVE:
        raise Unreadable("truncated, or no Igor binary wave")
    order = "<" if header[0] else ">"
    (version,) = struct.unpack_from(order + "h", header)
    if version != 5:
        raise Unreadable(f"an Igor binary wave of version {version}, images have version 5")
    wave_size, *texts = struct.unpack_from(order + "i11i", header, 4)
    if (
        wave_size < WAVE
        or min(texts) < 0
        or sum(texts) > MOST_TEXT
        or HEADER + wave_size + sum(texts) > size
    ):
        raise Unreadable("truncated or damaged: the sizes in its header are more than it has")
    width, height, layers, more = struct.unpack_from(order + "4i", header, HEADER + 68)
    check_size(height, width, size)
    if more > 1 or not 0 <= layers <= MOST_LAYERS or width * height * max(layers, 1) > size:
        raise Unreadable(f"damaged, or no image: {width} x {height} x {layers} x {more} values")


def _text(value: Any) -> str:
    joined = value if isinstance(value, bytes) else b"".join(np.asarray(value).ravel().tolist())
    return decode_text(joined.split(b"\0")[0]).strip()
