"""Omicron Matrix data files (``..._mtrx``), with the session's parameter files in their folder."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stm_experiments.core.files import check_regular
from stm_experiments.io.metadata import Metadata, quantity, texts
from stm_experiments.io.trace import (
    NoImage,
    Trace,
    Unreadable,
    check_size,
    early_end,
    library,
    pixel_size_nm,
)
from stm_experiments.io.units import to_si

MOST_PARAMETERS = 2**26  # bytes of parameter files that are read; real sessions have some MB
DEEPEST = 4  # nested blocks; real files have two


def traces(path: Path) -> list[Trace]:
    """List the images of a Matrix data file: forward, backward, and both again on the way down.

    access2theMatrix unmirrors backward lines and makes the first line, at the bottom, row 0; here
    the top is row 0. Lines that an unfinished scan lacks are NaN.
    """
    module = library("access2thematrix", "reading _mtrx files needs access2theMatrix")
    if path.suffix.lower() == ".mtrx":
        raise NoImage("a session's parameter file, give one of its data files (*_mtrx)")
    _check_parameters(path)
    matrix = _matrix(module)
    names, message = matrix.open(str(path))
    if matrix.param["BREF"] != path.name:
        raise Unreadable("not named in its session's parameter files (renamed or damaged)")
    if not matrix.axis:
        raise NoImage(f"holds no image ({message.rstrip('.')})")
    lines, points = matrix.axis[2][2], matrix.scan.shape[2]
    check_size(lines, points, path.stat().st_size)
    factor, unit = to_si(matrix.channel_name_and_unit[1])
    size = pixel_size_nm(matrix.axis[1][1], matrix.axis[0][1], (lines, points))

    metadata = _metadata(matrix.param)
    doubts = early_end(matrix.data_item_count, (matrix.stated // points, points))

    def decode(name: str) -> NDArray[np.float64]:
        image = matrix.select_image(name)[0].data
        data = np.full((lines, points), np.nan)
        if name.endswith("/up"):
            data[: len(image)] = image
        else:
            data[lines - len(image) :] = image
        return data[::-1] * factor

    traces = []
    for name in map(str, names.values()):
        direction = name.removesuffix("/up")
        traces.append(
            Trace(
                matrix.channel_name,
                direction,
                unit,
                size,
                partial(decode, name),
                metadata=metadata,
                doubts=doubts,
            )
        )
    return traces


def _metadata(parameters: Mapping[str, Any]) -> Metadata:
    """Return what the session's parameters say; each is a value and a unit."""
    found: dict[str, Any] = {}
    for name, key in (
        ("bias", "GapVoltageControl.Voltage"),
        ("setpoint", "Regulator.Setpoint_1"),
        ("angle", "XYScanner.Angle"),
    ):
        entry = parameters.get(f"EEPA::{key}")
        if isinstance(entry, list) and len(entry) == 2:
            unit = "deg" if entry[1] == "Degree" else str(entry[1])
            found |= quantity(name, entry[0], unit)
    return {**found, **texts(instrument="Omicron Matrix")}


def _check_parameters(path: Path) -> None:
    """Refuse a data file whose parameter files are missing or too large to be true."""
    session, dashes, _ = path.name.rpartition("--")
    if not dashes:
        raise Unreadable(
            "not named as Matrix names its files (<session>--<run>_<cycle>.<channel>_mtrx)"
        )
    total, number = 0, 1
    while (link := path.with_name(f"{session}_{number:04d}.mtrx")).exists():
        check_regular(link, MOST_PARAMETERS)
        total += link.stat().st_size
        number += 1
    if number == 1:
        raise Unreadable(f"its session's parameter file {session}_0001.mtrx is not in its folder")
    if total > MOST_PARAMETERS:
        raise Unreadable(f"its session's parameter files have {total} bytes, too many to be true")


def _matrix(module: Any) -> Any:
    """Return access2theMatrix's reader, without its slow or fragile parts."""

    class Matrix(module.MtrxData):  # type: ignore[misc]
        depth = 0  # of nested blocks, each a copy of its part of the file
        stated = 0  # values

        def _scan_raw_param(self, position: int, data: bytes) -> Any:
            if data[position : position + 4] == b"KRAM":  # remarks, matched with slow patterns
                return position + 16 + int.from_bytes(data[position + 4 : position + 8], "little")
            return self._nested(super()._scan_raw_param, position, data)

        def _scan_raw_data(self, position: int, data: bytes) -> Any:
            if data[position : position + 4] != b"ATAD":
                return self._nested(super()._scan_raw_data, position, data)
            length = int.from_bytes(data[position + 4 : position + 8], "little")
            values = data[position + 8 : position + 8 + length]
            # A file that ends early holds fewer values than it states, and is still useful.
            self.stated = int(self.data_item_count)
            count = min(self.stated, len(values) // 4)
            self.data = np.frombuffer(values, "<i4", count)
            self.data_item_count: int = count
            return position + 8 + length

        def _nested(self, scan: Callable[[int, bytes], Any], position: int, data: bytes) -> Any:
            if self.depth > DEEPEST:
                raise ValueError("blocks within blocks")
            self.depth += 1
            after = scan(position, data)
            self.depth -= 1
            return after

    return Matrix()
