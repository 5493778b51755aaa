"""Writers of minimal microscope files, from the picture as it should be seen."""

import struct
import zlib
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


def createc(path, images, frame=(30.0, 40.0), magic=b"[Paramco32]", rows=None, chosen=3):
    """Createc: ``images`` are raw pictures, all forward ones first; ``frame`` in Angstrom."""
    height, width = images[0].shape
    stored = np.stack(images).astype("<f4")
    if rows is not None:
        stored[:, rows:] = 0
    lines = [
        "DAC-Type=20bit",
        f"Num.X / Num.X={width}",
        f"Num.Y / Num.Y={height}",
        "GainX / GainX=10",
        "GainZ / GainZ=10",
        "Rotation / Rotation=30.00",
        "BiasVoltage / BiasVolt.[mV]=-550.00",
        "Gainpreamp / GainPre 10^=9",
        f"Channels / Channels={len(images)}",
        f"Channelselectval / Channelselectval={chosen}",
        "ZPiezoconst / ZPiezoconst= 19.20",
        "FBLogIset=300.0",
        "Titel(File) / Titel=dark µ molecule",
        f"Length x[A]={frame[1]}",
        f"Length y[A]={frame[0]}",
    ]
    header = magic + "\r\n".join(["", *lines, ""]).encode("latin-1")
    values = np.concatenate([[0], stored.ravel()]).astype("<f4")
    if magic == b"[Paramco32]":
        content = header + b"DATA" + zlib.compress(values.tobytes())
    elif magic == b"[Paramet32]":
        content = header.ljust(16384, b"\0") + values.tobytes()
    else:
        content = header.ljust(16384, b"\0") + values.astype("<i2").tobytes()
    path.write_bytes(content)
    return path


def bruker(path, images, size="4 3 nm", itemsize=2, version="0x09300201", cut=0):
    """Nanoscope: ``images`` are (name, line direction, raw picture); 100 V and 2 nm/V."""
    height, width = images[0][2].shape
    length = height * width * itemsize
    head = [
        "\\*File list",
        f"\\Version: {version}",
        "\\Date: 02:43:50 PM Tue Mar 29 2005",
        "\\*Scanner list",
        "\\@Sens. Zsens: V 2.000000 nm/V",
        "\\*Ciao scan list",
        f"\\Scan Size: {size}",
        "\\Rotate Ang.: 90",
    ]
    offset = 8192
    for name, direction, _ in images:
        head += [
            "\\*Ciao image list",
            f"\\Data offset: {offset}",
            f"\\Data length: {length}",
            "\\Bytes/pixel: 2",
            f"\\Samps/line: {width}",
            f"\\Number of lines: {height}",
            f"\\Line Direction: {direction}",
            f'\\@2:Image Data: S [{name}] "{name}"',
            "\\@2:Z scale: V [Sens. Zsens] (0.006713867 V/LSB) 100.0000 V",
        ]
        offset += length
    head += ["\\*File list end", "\x1a"]
    data = b"".join(p[::-1].astype(f"<i{itemsize}").tobytes() for _, _, p in images)
    content = "\r\n".join(head).encode("latin-1").ljust(8192, b"\0") + data
    path.write_bytes(content[: len(content) - cut])
    return path


def wsxm(path, picture, kind="double", amplitude="2 nm", frame=("3 nm", "4 nm"), cut=0):
    """WSxM: turned by half a turn."""
    lines = [
        "[Control]",
        "    Set Point: 0.5 nA",
        "    Topography Bias: -550 mV",
        f"    X Amplitude: {frame[1]}",
        f"    Y Amplitude: {frame[0]}",
        "[General Info]",
        "    Acquisition channel: Topography",
        "    Head type: STM",
        f"    Image Data Type: {kind}",
        f"    Number of columns: {picture.shape[1]}",
        f"    Number of rows: {picture.shape[0]}",
        f"    Z Amplitude: {amplitude}",
        "    X scanning direction: Backward",
        "[Miscellaneous]",
        "    Comments: cold µ",
        "[Header end]",
        "",
    ]
    rest = "\r\n".join(lines)
    start = "WSxM file copyright UAM\r\nSxM Image file\r\nImage header size: {:05d}\r\n"
    header = start.format(len(start.format(0)) + len(rest)) + rest
    dtype = {"double": "<f8", "float": "<f4", "integer": "<i4", "short": "<i2"}[kind]
    content = header.encode("latin-1") + picture[::-1, ::-1].astype(dtype).tobytes()
    path.write_bytes(content[: len(content) - cut])
    return path


def grid(path, z, curves, sweep=(-0.5, 0.5), frame=(3e-9, 4e-9), pixels=None):
    """Nanonis grid: ``z`` [H, W] in m, ``curves`` {title: [H, W, points]}; the lowest row first."""
    height, width = z.shape
    points = next(iter(curves.values())).shape[2]
    header = [
        f'Grid dim="{width} x {height}"',
        f"Grid settings=0E+0;0E+0;{frame[1]:E};{frame[0]:E};30.0E+0",
        "Filetype=Linear",
        'Sweep Signal="Bias (V)"',
        'Fixed parameters="Sweep Start;Sweep End"',
        'Experiment parameters="X (m);Y (m);Z (m);Z offset (m)"',
        "# Parameters (4 byte)=6",
        f"Experiment size (bytes)={4 * points * len(curves)}",
        f"Points={points}",
        f'Channels="{";".join(curves)}"',
        'Start time="20.03.2025 19:19:33"',
        ":HEADER_END:",
        "",
    ]
    rows = []
    for row in range(height)[::-1]:
        for column in range(width):
            fixed = [*sweep, 0, 0, z[row, column], 0]
            rows.append(np.concatenate([fixed, *(c[row, column] for c in curves.values())]))
    data = np.stack(rows).astype(">f4")[:pixels].tobytes()
    path.write_bytes("\r\n".join(header).encode() + data)
    return path


def scala(folder, channels, frame=(3.0, 4.0)):
    """SCALA: ``channels`` are (kind, direction, raw picture); 0.5 nm for 100 counts."""
    height, width = channels[0][2].shape
    lines = [
        ";",
        "; Omicron SPM Control.",
        ";",
        "Format                    : 1",
        "Date                      : 20.03.2025 19:19",
        f"Image Size in X           : {width}",
        f"Image Size in Y           : {height}",
        f"Field X Size in nm        : {frame[1]}            ;[nm]",
        f"Field Y Size in nm        : {frame[0]}            ;[nm]",
        "Scan Angle                : 30.0",
        "Gap Voltage               : -0.55",
        "Comment                   : cold",
    ]
    for number, (kind, direction, picture) in enumerate(channels):
        lines += [
            "",
            f"Topographic Channel       : {kind}     ;Channel",
            f"                            {direction}           ;Direction",
            "                            -100            ;Minimum raw value",
            "                            100             ;Maximum raw value",
            "                            -0.5            ;Minimum value in physical unit",
            "                            0.5             ;Maximum value in physical unit",
            "                            0.005           ;Resolution",
            "                            nm              ;Physical unit",
            f"                            M1.TF{number}         ;Filename",
            "                            Z_Out           ;Display Name",
        ]
        columns = -1 if direction == "Backward" else 1
        (folder / f"m1.tf{number}").write_bytes(picture[::-1, ::columns].astype(">i2").tobytes())
    (folder / "m1.par").write_text("\n".join([*lines, ""]))
    return folder / "m1.par"


@pytest.fixture
def write():
    """Functions that write one microscope file each."""
    writers = (sxm, ibw, mtrx, sm4, gwy, iso, createc, bruker, wsxm, grid, scala)
    return SimpleNamespace(**{writer.__name__: writer for writer in writers})
