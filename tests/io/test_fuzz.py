"""Damaged files of each format: a valid scan or our own error, in bounded time and memory."""

import os
import resource
import time

import numpy as np
import pytest
import tifffile
from PIL import Image

from stm_experiments.io import Scan, ScanError, list_channels, read_scan

CASES = int(os.environ.get("FUZZ_CASES", "500"))  # of each format
SLOWEST = 10.0  # s a case; they take milliseconds, but the machine may be busy
MOST_MEMORY = 2**30  # bytes above what the process has used before
HUGE = (0, 1, -1, 2**31 - 1, -(2**31), 2**30, 2**24, 65535, 100_000, 4097)

P = np.arange(12.0 * 17).reshape(12, 17)
Q = P[::-1] + 0.5


def as_image(path):
    if path.suffix in (".png", ".jpg", ".bmp"):
        Image.fromarray(P.astype(np.uint8)).save(path)
    elif path.suffix == ".npy":
        np.save(path, P)
    else:
        tifffile.imwrite(path, P.astype(np.float32), compression="zlib")
    return path


def as_text(path):
    header = "# Channel: Z\n# Width: 4.0 nm\n# Height: 3.0 nm\n# Value units: m\n"
    path.write_text(header + "\n".join("\t".join(f"{v:g}" for v in row) for row in P))
    return path


def as_points(path):
    y, x = np.mgrid[:12, :17]
    points = np.stack([x, y, P], -1).reshape(-1, 3)
    header = "# Channel: Z\n# Lateral units: nm\n# Value units: m\n"
    path.write_text(header + "\n".join("\t".join(f"{v:g}" for v in row) for row in points))
    return path


def as_movie(path):
    stack = np.stack([P, Q]).astype(np.float32)
    tifffile.imwrite(path, stack, photometric="minisblack", compression="zlib")
    return path


def as_saved(path):
    if path.suffix == ".nxs":
        pytest.importorskip("h5py")
    mask = P > 20
    metadata = {"bias_V": 0.5, "date": "2025-03-20", "comment": "cold"}
    Scan(P, mask, "m", (0.1, 0.2), "Z", name="a", metadata=metadata).save(path)
    return path


FORMATS = {
    "sxm": lambda folder, write: write.sxm(
        folder / "a.sxm", {("Z", "m"): {"forward": P, "backward": Q}, ("I", "A"): {"forward": P}}
    ),
    "gwy": lambda folder, write: write.gwy(
        folder / "a.gwy", {"Z": (P, "m", (3e-9, 4e-9)), "I": (Q, "A", None)}
    ),
    "gwy with a mask": lambda folder, write: as_saved(folder / "a.gwy"),
    "ibw": lambda folder, write: write.ibw(
        folder / "a.ibw", [P, Q], labels=["HeightTrace", "HeightRetrace"]
    ),
    "mtrx": lambda folder, write: write.mtrx(folder, [(P, Q), (Q, P)]),
    "sm4": lambda folder, write: write.sm4(
        folder / "a.sm4", [("Topography", "m", 0, P), ("Topography", "m", 1, Q)]
    ),
    "iso": lambda folder, write: write.iso(
        folder / "a.spm",
        [P, Q],
        P.shape,
        {8: "MAP_MC", 26: "nm", 27: "nm", 28: "4", 29: "3", 94: "2", 95: "Z", 96: "nm", 98: "I"},
    ),
    "createc": lambda folder, write: write.createc(folder / "a.dat", [P, Q, P, Q]),
    "bruker": lambda folder, write: write.bruker(
        folder / "a.000", [("Height", "Trace", P), ("Height", "Retrace", Q)]
    ),
    "wsxm": lambda folder, write: write.wsxm(folder / "a.stp", P),
    "3ds": lambda folder, write: write.grid(folder / "a.3ds", P, {"I (A)": P[..., None] + [0, 1]}),
    "scala": lambda folder, write: write.scala(folder, [("Z", "Forward", P), ("I", "Forward", Q)]),
    "gsf": lambda folder, _: as_saved(folder / "a.gsf"),
    "nexus": lambda folder, _: as_saved(folder / "a.nxs"),
    "xyz": lambda folder, _: as_points(folder / "a.xyz"),
    "movie": lambda folder, _: as_movie(folder / "b.tif"),
    "jpg": lambda folder, _: as_image(folder / "a.jpg"),
    "bmp": lambda folder, _: as_image(folder / "a.bmp"),
    "txt": lambda folder, write: as_text(folder / "a.txt"),
    "tif": lambda folder, write: as_image(folder / "a.tif"),
    "tif of ours": lambda folder, write: as_saved(folder / "a.tif"),
    "png": lambda folder, write: as_image(folder / "a.png"),
    "npy": lambda folder, write: as_image(folder / "a.npy"),
}


def damage(content, random):
    """Truncate, flip bits, put huge integers in, cut out or repeat a part; mostly in the header."""
    content = bytearray(content)
    kind = random.integers(6)
    if kind == 0:
        return bytes(content[: random.integers(len(content))])
    for _ in range(random.choice([1, 1, 2, 4, 16])):
        if not content:
            break
        header = random.random() < 0.7
        at = int(random.integers(min(len(content), 2048) if header else len(content)))
        if kind == 1:
            content[at] ^= 1 << random.integers(8)
        elif kind == 2:
            content[at] = random.integers(256)
        elif kind == 3:
            value = int(random.choice(HUGE)) % 2**32
            content[at : at + 4] = value.to_bytes(4, random.choice(["little", "big"]))
        elif kind == 4:
            del content[at : at + int(random.integers(1, 64))]
        else:
            content[at:at] = content[at : at + int(random.integers(1, 64))]
    return bytes(content)


def attempt(path, random):
    """Read a damaged file as a user would; say whether it gave a scan."""
    began = time.monotonic()
    try:
        if random.random() < 0.1:
            return bool(list_channels(path))
        frame = 0 if path.name == "b.tif" else None
        scan = read_scan(path, None, random.choice(["forward"] * 4 + ["backward"]), frame)
    except ScanError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return False
    finally:
        assert time.monotonic() - began < SLOWEST
    assert scan.data.shape == scan.mask.shape
    assert scan.data.dtype == np.float64
    assert scan.mask.any()
    assert np.isfinite(scan.data).all()
    assert scan.pixel_size is None or all(0 < size < np.inf for size in scan.pixel_size)
    return True


def write_anew(path, content):
    """Write a file in the place of another; over the old one, it would wait for the disk."""
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files(tmp_path, write, capfd, caplog, recwarn, name):
    path = FORMATS[name](tmp_path, write)
    targets = [path]
    if name == "mtrx":  # half of the cases damage the parameters beside the data
        targets.append(tmp_path / "session_0001.mtrx")
    if name == "scala":
        targets.append(tmp_path / "m1.tf0")
    whole = {target: target.read_bytes() for target in targets}
    frame = 0 if name == "movie" else None
    assert read_scan(path, frame=frame).data.shape == P.shape
    caplog.clear()
    random = np.random.default_rng(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read = 0
    for case in range(CASES):
        target = targets[case % len(targets)]
        write_anew(target, damage(whole[target], random))
        read += attempt(path, random)
        write_anew(target, whole[target])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < MOST_MEMORY
    assert 0 < read < CASES  # the damage is neither all harmless nor all fatal
    assert capfd.readouterr() == ("", "")
    # Libraries keep quiet; the reader itself says what it does not understand.
    assert {record.name for record in caplog.records} <= {"stm_experiments.io.read"}
    assert not recwarn.list


def test_damaged_real_files(tmp_path, scans):
    random = np.random.default_rng(0)
    for file in sorted(scans.glob("*/*")):
        if file.suffix == ".mtrx":
            continue
        content = file.read_bytes()
        for link in scans.glob("*/*.mtrx"):
            (tmp_path / link.name).write_bytes(link.read_bytes())
        for _ in range(CASES // 50):
            (tmp_path / file.name).write_bytes(damage(content, random))
            attempt(tmp_path / file.name, random)
