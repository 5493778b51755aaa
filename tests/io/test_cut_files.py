"""Files that end early, hold nothing or something else: said in our own words, in any format."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from stm_experiments.io import Scan, ScanError, read_scan
from stm_experiments.io.scan_files import describe_channels

P = np.arange(12.0 * 17).reshape(12, 17)
PLACES = {  # of a cut file: its name, and the bytes of a value
    "sxm": ("a.sxm", 4),
    "sm4": ("a.sm4", 4),
    "createc": ("a.dat", 4),
    "bruker": ("a.000", 2),
    "wsxm": ("a.stp", 8),
    "grid": ("a.3ds", 4 * 8),  # the parameters and the curve of a pixel
    "gsf": ("a.gsf", 4),
    "scala": ("m1.tf0", 2),
    "iso": ("a.spm", None),
}


def one_image(folder, write, kind):
    """Write a file with one image that ends with its last value; return what to read."""
    if kind == "gsf":
        Scan(P, P >= 0, "m", (0.1, 0.2), "Z").save(folder / "a.gsf")
        return folder / "a.gsf"
    return {
        "sxm": lambda: write.sxm(folder / "a.sxm", {("Z", "m"): {"forward": P}}),
        "sm4": lambda: write.sm4(folder / "a.sm4", [("Topography", "m", 0, P)]),
        "createc": lambda: write.createc(folder / "a.dat", [P + 1], magic=b"[Paramet32]", chosen=1),
        "bruker": lambda: write.bruker(folder / "a.000", [("Height", "Trace", P)]),
        "wsxm": lambda: write.wsxm(folder / "a.stp", P),
        "grid": lambda: write.grid(folder / "a.3ds", P, {"I (A)": P[..., None] + [0, 1]}),
        "scala": lambda: write.scala(folder, [("Z", "Forward", P)]),
        "iso": lambda: write.iso(
            folder / "a.spm",
            [P],
            P.shape,
            {8: "MAP_SC", 26: "nm", 27: "nm", 28: "4", 29: "3", 69: "Z", 70: "nm"},
        ),
    }[kind]()


@pytest.mark.parametrize("kind", PLACES)
def test_the_lines_that_a_cut_file_lacks_are_counted(tmp_path, write, kind, caplog):
    path = one_image(tmp_path, write, kind)
    assert read_scan(path).mask.all()
    assert caplog.text == ""
    name, itemsize = PLACES[kind]
    cut = tmp_path / name
    content = cut.read_bytes()
    if itemsize:
        cut.write_bytes(content[: len(content) - 4 * 17 * itemsize])
    else:
        cut.write_bytes(b"\n".join(content.split(b"\n")[: 128 + 8 * 17]))
    scan = read_scan(path)
    assert scan.mask.all(axis=1).sum() == scan.mask.any(axis=1).sum() == 8
    assert "the file ends early: 8 of 12 lines are there" in caplog.text
    assert "67 % measured; the file ends early: 8 of 12 lines" in describe_channels(path)


def test_half_a_compressed_createc_file_keeps_what_is_there(tmp_path, write):
    noisy = np.random.default_rng(0).normal(size=(40, 50))
    path = write.createc(tmp_path / "a.dat", [noisy, noisy])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    text = describe_channels(path)
    assert text.count("the file ends early: ") == 2
    assert "the file ends early: 0 of 40 lines" in text
    whole = read_scan(path).mask.all(axis=1)
    assert 10 < whole.sum() < 40
    with pytest.raises(ScanError, match="was measured; the file ends early: 0 of 40 lines"):
        read_scan(path, "Current")


def test_half_a_matrix_file(tmp_path, write, caplog):
    path = write.mtrx(tmp_path, [(P, P), (P, P)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 4 * 17 * 24])
    assert read_scan(path).mask.all()
    assert "the file ends early: 24 of 48 lines are there" in caplog.text


def contents_that_are_no_scan(path):
    """Files whose libraries would say what they miss in words of their own."""
    grey = (P % 256).astype(np.uint8)
    if path.suffix == ".nxs":
        pytest.importorskip("h5py")
        Scan(P, P >= 0, "m", None, "Z").save(path)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, grey)
    else:
        Image.fromarray(grey).save(path)
    whole = path.read_bytes()
    return [whole[: len(whole) * 3 // 4], b"no scan " * 9, whole[:8]]


@pytest.mark.parametrize("suffix", ["nxs", "tif", "png", "jpg", "bmp"])
def test_no_library_speaks_for_us(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    for content in contents_that_are_no_scan(path):
        path.write_bytes(content)
        with pytest.raises(
            ScanError, match=rf"truncated|holds no image|damaged, or not a {suffix.upper()} file"
        ):
            read_scan(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n4 5\n", "line 2 of its numbers holds 2, the first 3"),
        ("1 2 3\n4 x5 6\n", "line 2 of its numbers holds 'x5'"),
        ("1;2\n3;;4", "line 2 of its numbers holds 3, the first 2"),
        ("", "empty: it has no bytes"),
    ],
)
def test_text_that_is_no_matrix(tmp_path, text, message):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ScanError, match=f"a.txt: {message}.$"):
        read_scan(tmp_path / "a.txt")


def test_a_cut_movie_is_listed_up_to_its_end(tmp_path):
    stack = np.random.default_rng(0).random((3, 12, 17)).astype(np.float32)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", compression="zlib")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 200])
    lines = describe_channels(path).splitlines()
    assert "17 x 12 px, " in lines[1]
    assert lines[3].endswith("cannot be read: damaged, or not a TIF file")


def test_a_long_comment_is_told_in_part(tmp_path):
    mask = P >= 0
    Scan(P, mask, "m", None, "Z", metadata={"comment": "word " * 900 + "."}).save(
        tmp_path / "a.gwy"
    )
    assert len(read_scan(tmp_path / "a.gwy").metadata["comment"]) == 4501
    told = describe_channels(tmp_path / "a.gwy")
    assert "word word... (4501 characters)" in told
    assert len(told) < 400
