"""Values, unit, pixel size, orientation and gaps of files that are written here."""

import struct
import sys
import time

import numpy as np
import pytest

from stm_experiments.io import ScanError, list_channels, read_scan

# No two pixels are equal, so that any flip, shift or transposition is seen.
P = np.arange(35.0).reshape(5, 7)
Q = 1 + 2 * P[::-1, ::-1] + P % 4
FRAME = (3e-9, 4e-9)  # m: height and width of 5 x 7 px
PIXEL = (0.6, 4 / 7)  # nm


def seen(scan, picture, unit="m", pixel=PIXEL, **facts):
    np.testing.assert_allclose(scan.data, picture, rtol=2e-7, atol=0)
    assert scan.data.dtype == np.float64
    assert scan.mask.all()
    assert scan.unit == unit
    assert scan.pixel_size == pytest.approx(pixel)
    for name, fact in facts.items():
        assert getattr(scan, name) == fact


def gaps(scan, picture, rows):
    """The last ``rows`` rows of the picture are gaps; from the front if negative."""
    there = np.ones(picture.shape, bool)
    there[-rows:] = False
    there = there if rows > 0 else ~there
    np.testing.assert_array_equal(scan.mask, there)
    np.testing.assert_allclose(scan.data[there], picture[there], rtol=2e-7)
    np.testing.assert_allclose(scan.data[~there], np.median(picture[there]), rtol=2e-7)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("kind", ["FLOAT            MSBFIRST", "FLOAT LSBFIRST"])
def test_nanonis(tmp_path, write, up, kind):
    images = {
        ("Current", "A"): {"forward": 1e-10 * P, "backward": 1e-10 * Q},
        ("Z", "m"): {"forward": 1e-12 * P, "backward": 1e-12 * Q},
        ("LI Demod 1 X", "V"): {"backward": 1e-3 * P},
    }
    path = write.sxm(tmp_path / "a.sxm", images, up, FRAME, kind=kind)
    channels = ("Current", "Z", "LI Demod 1 X")
    seen(read_scan(path), 1e-12 * P, channel="Z", channels=channels, name="a.sxm")
    seen(read_scan(path, direction="backward"), 1e-12 * Q, direction="backward")
    seen(read_scan(path, "current", "Backward"), 1e-10 * Q, "A", channel="Current")
    seen(read_scan(path, "LI", "backward"), 1e-3 * P, "V", channel="LI Demod 1 X")
    with pytest.raises(ScanError, match=r"LI Demod 1 X has no direction 'forward', there is Curr"):
        read_scan(path, "LI")
    assert list_channels(path.rename(tmp_path / "A.SXM")) == {
        "Current": ["forward", "backward"],
        "Z": ["forward", "backward"],
        "LI Demod 1 X": ["backward"],
    }


@pytest.mark.parametrize("up", [False, True])
def test_nanonis_unfinished(tmp_path, write, up):
    forward, rows = 1e-12 * P, -2 if up else 2
    forward[-2:] = np.nan  # as stored: what was to be scanned last
    images = {("Z", "m"): {"forward": forward[:: -1 if up else 1], "backward": np.nan * P}}
    path = write.sxm(tmp_path / "a.sxm", images, up)
    gaps(read_scan(path), 1e-12 * (P[::-1] if up else P), rows)
    with pytest.raises(ScanError, match=r"no pixel of Z \(backward\) was measured"):
        read_scan(path, direction="backward")
    short = {("Z", "m"): {"forward": 1e-12 * P}}
    gaps(read_scan(write.sxm(tmp_path / "b.sxm", short, cut=14 * 4)), 1e-12 * P, 2)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [2, 4, 16])
def test_igor(tmp_path, write, kind, order):
    path = write.ibw(tmp_path / "a.ibw", [P], kind=kind, order=order, unit="nm")
    seen(read_scan(path), 1e-9 * P, pixel=(0.5, 0.2), channel="Z", direction="forward")


def test_igor_layers_and_names(tmp_path, write):
    labels = ["HeightTrace", "HeightRetrace", "CurrentTrace"]
    path = write.ibw(tmp_path / "a.ibw", [P, Q, 3 * P], labels=labels, unit="")
    seen(read_scan(path), P, pixel=(0.5, 0.2), channels=("Height", "Current"))
    seen(read_scan(path, direction="backward"), Q, pixel=(0.5, 0.2), direction="backward")
    seen(read_scan(path, "current"), 3 * P, "A", pixel=(0.5, 0.2))
    path = write.ibw(tmp_path / "b.ibw", [P], name="I 3 Backward Up", unit="A")
    seen(read_scan(path), P, "A", pixel=(0.5, 0.2), direction="backward")


def test_igor_gaps(tmp_path, write):
    unfinished = P.copy()
    unfinished[-1] = np.nan
    gaps(read_scan(write.ibw(tmp_path / "a.ibw", [unfinished])), P, 1)


def test_omicron(tmp_path, write):
    path = write.mtrx(tmp_path, [(P, Q)], frame=FRAME)
    seen(read_scan(path), (P - 10) / 2e12, channel="Z", direction="forward")
    seen(read_scan(path, direction="backward"), (Q - 10) / 2e12, direction="backward")
    with pytest.raises(ScanError, match=r"there is Z \(forward, backward\)\.$"):
        read_scan(path, direction="forward/down")
    path = write.mtrx(tmp_path, [(P,)], frame=FRAME, channel="I", unit="A")
    seen(read_scan(path), (P - 10) / 2e12, "A", channels=("I",))


def test_omicron_up_and_down(tmp_path, write):
    path = write.mtrx(tmp_path, [(P, Q), (2 * Q, 2 * P)], frame=FRAME)
    for direction, picture in (
        ("forward/up", P),
        ("backward", Q),
        ("forward/down", 2 * Q),
        ("backward/down", 2 * P),
    ):
        got = read_scan(path, direction=direction)
        seen(got, (picture - 10) / 2e12, direction=direction.removesuffix("/up"))
    path = write.mtrx(tmp_path, [(P,), (Q,)], frame=FRAME)
    seen(read_scan(path, direction="forward/down"), (Q - 10) / 2e12)


def test_omicron_unfinished(tmp_path, write):
    path = write.mtrx(tmp_path, [(P, Q)], values=3 * 14 + 5, frame=FRAME)  # up: the top is missing
    scan = read_scan(path)
    gaps(scan, (P - 10) / 2e12, -2)
    assert scan.pixel_size == pytest.approx(PIXEL)
    path = write.mtrx(tmp_path, [(P, Q), (Q, P)], values=8 * 14, frame=FRAME)
    assert read_scan(path).mask.all()
    gaps(read_scan(path, direction="forward/down"), (Q - 10) / 2e12, 2)
    path = write.mtrx(tmp_path, [(P, Q)], frame=FRAME)
    path.write_bytes(path.read_bytes()[: -14 * 4])  # says that all is there
    gaps(read_scan(path), (P - 10) / 2e12, -1)


def test_omicron_needs_its_parameter_file(tmp_path, write):
    path = write.mtrx(tmp_path, [(P, Q)])
    with pytest.raises(ScanError, match="give one of its data files"):
        read_scan(tmp_path / "session_0001.mtrx")
    renamed = path.rename(tmp_path / "session--1_2.Z_mtrx")
    with pytest.raises(ScanError, match="renamed or damaged"):
        read_scan(renamed)
    (tmp_path / "session_0001.mtrx").unlink()
    with pytest.raises(ScanError, match=r"session_0001\.mtrx is not in its folder"):
        read_scan(renamed)


def test_omicron_parameters_that_would_take_for_ever(tmp_path, write):
    path, parameters = write.mtrx(tmp_path, [(P, Q)], frame=FRAME), tmp_path / "session_0001.mtrx"
    whole, start = parameters.read_bytes(), time.process_time()
    remark = ("MTRX$STS_LOCATION-" + "1,1;" * 4000).encode("utf-16-le")
    remark = struct.pack("<I", len(remark) // 2) + remark
    remark = b"KRAM" + struct.pack("<I", len(remark)) + bytes(8) + remark
    parameters.write_bytes(whole[:12] + remark + whole[12:])
    seen(read_scan(path), (P - 10) / 2e12)
    nested = bytes(10**6)
    for _ in range(300):
        nested = b"YSCC" + struct.pack("<I", len(nested) + 4) + bytes(12) + nested
    parameters.write_bytes(whole[:12] + nested + whole[12:])
    with pytest.raises(ScanError, match="renamed or damaged"):
        read_scan(path)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("signs", [(-1, -1), (1, 1), (-1, 1), (1, -1)])
def test_rhk(tmp_path, write, signs):
    pages = [
        ("Current", "A", 1, P),
        ("Topography", "m", 0, P),
        ("Topography", "m", 1, Q),
        ("Topography", "m", 0, 3 * P),
    ]
    path = write.sm4(tmp_path / "a.sm4", pages, signs, steps=(4e-9 / 7, 0.6e-9))
    z = 2e-12 * P + 1e-9
    seen(read_scan(path), z, channels=("Current", "Topography", "Topography #2"))
    seen(read_scan(path, "topography", "backward"), 2e-12 * Q + 1e-9, direction="backward")
    seen(read_scan(path, "Curr", "backward"), z, "A", direction="backward")
    with pytest.raises(ScanError, match=r"Current \(backward\); Topography \(forward, backward\)"):
        read_scan(path, "Current")


def test_rhk_metadata(tmp_path, write):
    path = write.sm4(tmp_path / "a.sm4", [("Topography", "m", 0, P)])
    metadata = read_scan(path).metadata
    assert metadata["bias_V"] == pytest.approx(0.1)
    assert metadata["setpoint_A"] == pytest.approx(1e-10)
    assert (metadata["angle_deg"], metadata["instrument"]) == (0, "RHK")


def test_rhk_unfinished(tmp_path, write):
    pages, z = [("Topography", "m", 0, P)], 2e-12 * P + 1e-9
    gaps(read_scan(write.sm4(tmp_path / "a.sm4", pages, done=3)), z, 2)
    gaps(read_scan(write.sm4(tmp_path / "a.sm4", pages, signs=(-1, 1), done=3)), z, -2)
    gaps(read_scan(write.sm4(tmp_path / "a.sm4", pages, cut=7 * 4)), z, 1)


def test_gwyddion(tmp_path, write):
    fields = {
        "Current": (P, "pA", FRAME),
        "Z (Forward)": (1e-9 * P, "m", FRAME),
        "Z (Backward)": (1e-9 * Q, "m", FRAME),
        "Mask of Z": (P, "", None),
    }
    path = write.gwy(tmp_path / "a.gwy", fields)
    seen(read_scan(path), 1e-9 * P, channel="Z", channels=("Current", "Z", "Mask of Z"))
    seen(read_scan(path, direction="backward"), 1e-9 * Q, channel="Z", direction="backward")
    seen(read_scan(path, "current"), 1e-12 * P, "A")
    assert read_scan(path, "mask").pixel_size is None


def text(values, separator="\t"):
    return "\n".join(separator.join(f"{value:.9g}" for value in row) for row in values) + "\n"


@pytest.mark.parametrize("suffix", [".txt", ".spm", ".asc"])
@pytest.mark.parametrize("width", ["4.000 nm", "0.004 µm", "40 Å", "4e-9 m"])
def test_gwyddion_text(tmp_path, suffix, width):
    path = tmp_path / f"a{suffix}"
    header = f"# Channel: Z (1)\n# Width: {width}\n# Height: 3.000 nm\n# Value units: pm\n"
    path.write_text(header + text(P), encoding="utf-8")
    seen(read_scan(path), 1e-12 * P, channel="Z (1)", channels=("Z (1)",))
    if "Å" not in width:
        path.write_text(header + text(P), encoding="latin-1")
        seen(read_scan(path), 1e-12 * P)


@pytest.mark.parametrize("separator", ["\t", " ", ",", ";", ", "])
def test_plain_text(tmp_path, separator):
    (tmp_path / "a.txt").write_text(text(P, separator))
    scan = read_scan(tmp_path / "a.txt")
    np.testing.assert_array_equal(scan.data, P)
    assert (scan.unit, scan.pixel_size, scan.channel) == ("", None, "image")


def test_points_as_text(tmp_path):
    y, x = np.mgrid[:5, :7]
    points = np.stack([x * 4e-9 / 7, y * 0.6e-9, P], -1).reshape(-1, 3)  # y runs down
    points = np.random.default_rng(0).permutation(points)
    header = "# Channel: Topo\n# Lateral units: m\n# Value units: m\n"
    (tmp_path / "a.xyz").write_text(header + text(points))
    seen(read_scan(tmp_path / "a.xyz"), P, channel="Topo")
    (tmp_path / "b.xyz").write_text(text(points))  # without a header y runs up
    np.testing.assert_array_equal(read_scan(tmp_path / "b.xyz").data, P[::-1])
    (tmp_path / "a.xyz").write_text(header + text(points[:-1]))
    with pytest.raises(ScanError, match="no complete grid"):
        read_scan(tmp_path / "a.xyz")


def test_iso_28600(tmp_path, write):
    lateral = {26: "nm", 27: "nm", 28: "4", 29: "3"}
    one = lateral | {8: "MAP_SC", 69: "Height", 70: "nm"}
    seen(read_scan(write.iso(tmp_path / "a.spm", [P], P.shape, one)), 1e-9 * P, channel="Height")
    two = lateral | {8: "MAP_MC", 94: "2", 95: "Height", 96: "nm", 98: "Current", 99: "pA"}
    path = write.iso(tmp_path / "b.spm", [P, Q], P.shape, two)
    seen(read_scan(path), 1e-9 * P, channels=("Height", "Current"))
    seen(read_scan(path, "Current"), 1e-12 * Q, "A")
    path.write_text("\n".join(path.read_text().splitlines()[: 128 + 3 * 7]))
    gaps(read_scan(path), 1e-9 * P, 2)


@pytest.mark.parametrize(
    ("module", "name", "package"),
    [
        ("nanonispy2", "a.sxm", "nanonispy2"),
        ("h5py", "a.nxs", "h5py"),
        ("igor2", "a.ibw", "igor2"),
        ("access2thematrix", "session--1_1.Z_mtrx", "access2theMatrix"),
    ],
)
def test_an_absent_library_is_named(tmp_path, write, monkeypatch, module, name, package):
    for loaded in [m for m in sys.modules if m.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(
        ScanError, match=f'needs {package}: pip install "stm_experiments\\[scans\\]"'
    ):
        read_scan(tmp_path / name)
