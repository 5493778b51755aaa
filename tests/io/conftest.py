"""Writers of minimal microscope files, from the picture as it should be seen."""

import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "scans"


@pytest.fixture(scope="session")
def scans():
    """Real microscope files, which users do not have."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the microscope files in {SHARED}")
    return SHARED


def sxm(path, images, up=False, frame=(3e-9, 4e-9), cut=0, kind="FLOAT            MSBFIRST"):
    """Nanonis: ``images`` is {(name, unit): {direction: picture}}, ``frame`` height, width in m."""
    rows, blocks = [], []
    for (name, unit), pictures in images.items():
        directions = "both" if len(pictures) == 2 else next(iter(pictures))
        rows.append(f"\t14\t{name}\t{unit}\t{directions}\t1.000E+0\t0.000E+0")
        for direction in ("forward", "backward"):
            if direction in pictures:
                stored = pictures[direction][:: -1 if up else 1]
                stored = stored[:, :: -1 if direction == "backward" else 1]
                blocks.append(stored.astype(">f4" if "MSB" in kind else "<f4").tobytes())
    height, width = stored.shape
    header = (
        f":NANONIS_VERSION:\n2\n:SCANIT_TYPE:\n              {kind}\n"
        f":SCAN_PIXELS:\n       {width}       {height}\n"
        f":SCAN_RANGE:\n           {frame[1]:E}           {frame[0]:E}\n"
        f":SCAN_DIR:\n{'up' if up else 'down'}\n"
        ":DATA_INFO:\n\tChannel\tName\tUnit\tDirection\tCalibration\tOffset\n"
        + "\n".join(rows)
        + "\n\n:SCANIT_END:\n\n\n"
    )
    content = header.encode() + b"\x1a\x04" + b"".join(blocks)
    path.write_bytes(content[: len(content) - cut])
    return path


def ibw(path, layers, name="Z", labels=(), unit="m", steps=(2e-10, 5e-10), kind=4, order="<"):
    """Igor: ``layers`` are pictures, ``steps`` along x and y in m; row 0 is the largest y."""
    dtype = {2: "f4", 4: "f8", 16: "i2"}[kind]
    data = np.stack([picture[::-1].T for picture in layers], axis=2).astype(order + dtype)
    shape = [*data.shape[:2], len(layers) if len(layers) > 1 else 0, 0]
    text = b"".join(label.encode().ljust(32, b"\0") for label in ("", *labels)) if labels else b""
    wave = struct.pack(
        order + "3Iihh6xh32s8x4i4d4d4s16s",
        *(0, 0, 0, data.size, kind, 0, 1, name.encode()),
        *(*shape, *steps, 0, 0, 0, 0, 0, 0, unit.encode(), b"m\0\0\0m"),
    ).ljust(320, b"\0")
    sizes = [320 + data.nbytes, 0, 0, 0, *[0] * 4, *[0, 0, len(text), 0], 0, 0, 0]
    head = struct.pack(order + "hh15i", 5, 0, *sizes)
    path.write_bytes(head + wave + data.tobytes(order="F") + text)
    return path


def _string(text):
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _block(name, data, time=True):
    return name + struct.pack("<I", len(data)) + (bytes(8) if time else b"") + data


def mtrx(folder, passes, values=None, lines=None, frame=(3e-9, 4e-9), channel="Z", unit="m"):
    """Matrix: ``passes`` is a list of (forward, backward) raw pictures: up, or up and down.

    A raw value of 1 is half a picounit and 10 is zero. Only the first ``values`` are written.
    """
    stored = []
    for number, pictures in enumerate(passes):
        for row in range(len(pictures[0]))[:: 1 if number else -1]:
            stored += [picture[row, :: -1 if i else 1] for i, picture in enumerate(pictures)]
    data = np.concatenate(stored).astype("<i4")[:values]
    height, width = passes[0][0].shape
    name = f"session--1_1.{channel}_mtrx"
    numbers = {
        "Points": (b"GNOL", struct.pack("<i", width)),
        "Lines": (b"GNOL", struct.pack("<i", lines or height)),
        "X_Retrace": (b"LOOB", struct.pack("<I", len(passes[0]) > 1)),
        "Y_Retrace": (b"LOOB", struct.pack("<I", len(passes) > 1)),
        "Height": (b"BUOD", struct.pack("<d", frame[0])),
        "Width": (b"BUOD", struct.pack("<d", frame[1])),
        "X_Offset": (b"BUOD", bytes(8)),
        "Y_Offset": (b"BUOD", bytes(8)),
        "Angle": (b"GNOL", bytes(4)),
    }
    scanner = b"".join(
        _string(key) + _string("--") + bytes(4) + kind + value
        for key, (kind, value) in numbers.items()
    )
    scanner = _string("XYScanner") + struct.pack("<I", len(numbers)) + scanner
    scanner = bytes(4) + struct.pack("<I", 1) + scanner
    names = bytes(4) + struct.pack("<I", 7) + bytes(8) + _string(channel) + _string(unit)
    ids = bytes(12) + struct.pack("<I", 7) + _string("data")
    one = struct.pack("<I", 1)
    factors = _string("Factor") + b"BUOD" + struct.pack("<d", 2e12)
    factors += _string("Offset") + b"BUOD" + struct.pack("<d", 10.0)
    transfer = bytes(4) + struct.pack("<I", 7) + _string("TFF_Linear1D") + _string(unit)
    channels = _block(b"TCID", bytes(12) + one + names + one + ids, time=False)
    channels += _block(b"REFX", transfer + struct.pack("<I", 2) + factors, time=False)
    mark = _string("MTRX$SAMPLE_NAME-Cu(111)")
    parameters = b"ONTMATRX0101" + _block(b"APEE", scanner) + _block(b"KRAM", mark)
    parameters += _block(b"YSCC", bytes(4) + channels) + _block(b"FERB", bytes(4) + _string(name))
    (folder / "session_0001.mtrx").write_bytes(parameters)
    total = height * width * len(passes) * len(passes[0])
    inner = bytes(4) + _block(b"CSED", bytes(20) + struct.pack("<ii", total, len(data)), time=False)
    inner += _block(b"ATAD", data.tobytes(), time=False)
    path = folder / name
    path.write_bytes(b"ONTMATRX0101" + b"TLKB" + struct.pack("<I", len(inner)) + bytes(8) + inner)
    return path


def sm4(path, pages, signs=(-1, -1), steps=(2e-10, 5e-10), done=None, cut=0):
    """RHK: ``pages`` are (label, unit, direction number, raw picture); z = 2e-12 raw + 1e-9."""
    content, entries = bytearray(b"\0" * (58 + 12 + 16 + 12 + len(pages) * (32 + 24))), []
    for label, unit, direction, picture in pages:
        x, y = steps[0] * signs[0], steps[1] * signs[1]
        stored = picture[:: -1 if y > 0 else 1, :: -1 if x < 0 else 1].astype("<i4").tobytes()
        height, width = picture.shape
        lines = height if done is None else done
        texts = [label, "", "", "", "", "", "", "m", "m", unit, "", "", "", f"{lines:04d}"]
        strings = b"".join(struct.pack("<H", len(t)) + t.encode("utf-16-le") for t in texts)
        at = len(content)
        head = struct.pack("<HH3I4i", 180, len(texts), 0, 0, 0, 0, 0, width, height)
        head += struct.pack("<3I3i", 0, direction, 0, len(stored), 0, 0)
        head += struct.pack("<11f", x, y, 2e-12, 0, 0, 0, 1e-9, 0, 0.1, 1e-10, 0)
        head += struct.pack("<I2iI", 0, 0, 0, 1).ljust(80, b"\0")
        assert len(head) == 180
        head += struct.pack("<III", 10, at + 192, len(strings))
        content += head + strings
        entries.append((at, len(content), len(stored)))
        content += stored
    struct.pack_into("<H", content, 0, 56)
    content[2:38] = "STiMage 005.004 1\0".encode("utf-16-le")
    struct.pack_into("<III", content, 38, len(pages), 1, 12)
    struct.pack_into("<III", content, 58, 1, 70, 16)
    struct.pack_into("<II", content, 70, len(pages), 1)
    struct.pack_into("<III", content, 86, 2, 98, 32)
    for i, (head, start, size) in enumerate(entries):
        struct.pack_into("<4I", content, 98 + 56 * i + 16, 0, 0, 2, 0)
        struct.pack_into("<6I", content, 98 + 56 * i + 32, 3, head, 192, 4, start, size)
    path.write_bytes(content[: len(content) - cut])
    return path


def gwy(path, fields):
    """Gwyddion: ``fields`` is {title: (picture, unit, frame height and width in m or None)}."""
    gwyfile = pytest.importorskip("gwyfile.objects")
    parts = {}
    for number, (title, (picture, unit, frame)) in enumerate(fields.items()):
        height, width = frame or picture.shape
        parts[f"/{number}/data"] = gwyfile.GwyDataField(
            picture.astype(float),
            xreal=width,
            yreal=height,
            si_unit_xy="m" if frame else "",
            si_unit_z=unit,
        )
        parts[f"/{number}/data/title"] = title
    titles = {key: "s" for key in parts if key.endswith("title")}
    path.write_bytes(b"GWYP" + gwyfile.GwyContainer(parts, titles).serialize())
    return path


def iso(path, columns, shape, header):
    """ISO 28600: ``columns`` are pictures, ``header`` is {line number: text}."""
    lines = [""] * 128
    head = {1: "ISO/TC 201 SPM data transfer format", 17: "REGULAR MAPPING", 128: "end of header"}
    head |= {
        24: str(shape[1]),
        25: str(shape[0]),
        21: "left to right",
        23: "top to bottom",
    } | header
    for number, text in head.items():
        lines[number - 1] = text
    rows = zip(*(picture.ravel() for picture in columns), strict=True)
    lines += [", ".join(f"{value:.9g}" for value in row) for row in rows] + ["end of experiment"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def write():
    """Functions that write one microscope file each."""
    return SimpleNamespace(sxm=sxm, ibw=ibw, mtrx=mtrx, sm4=sm4, gwy=gwy, iso=iso)
