"""Files of further vendors that are written here: values, units, orientation, gaps, metadata."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from stm_experiments.io import Scan, ScanError, list_channels, read_scan
from stm_experiments.io.scan import NotAScanError

# No two pixels are equal, so that any flip, shift or transposition is seen.
P = np.arange(35.0).reshape(5, 7)
Q = 1 + 2 * P[::-1, ::-1] + P % 4
PIXEL = (0.6, 4 / 7)  # nm


def seen(scan, picture, unit="m", pixel=PIXEL, **facts):
    np.testing.assert_allclose(scan.data, picture, rtol=3e-7, atol=0)
    assert scan.mask.all()
    assert scan.unit == unit
    assert scan.pixel_size == (pixel and pytest.approx(pixel))
    for name, fact in facts.items():
        assert getattr(scan, name) == fact


@pytest.mark.parametrize("magic", [b"[Paramco32]", b"[Paramet32]", b"[Parameter]"])
def test_createc(tmp_path, write, magic):
    path = write.createc(tmp_path / "A250320.191933.dat", [P, Q, 2 * P, 2 * Q], magic=magic)
    z = 20 / 2**20 * 10 * 19.2 * 1e-10  # m of a count: volts, gain, Angstrom per volt
    scan = read_scan(path)
    seen(scan, P * z, channels=("Z", "Current"), direction="forward")
    seen(read_scan(path, direction="backward"), 2 * P * z, direction="backward")
    seen(read_scan(path, "Current", "backward"), 2 * Q * 20 / 2**20 * 1e-9, "A")
    assert scan.metadata == {
        "size_nm": pytest.approx((3, 4)),
        "bias_V": pytest.approx(-0.55),
        "setpoint_A": pytest.approx(3e-10),
        "angle_deg": 30,
        "date": "2025-03-20T19:19:33",
        "instrument": "Createc",
        "comment": "dark µ molecule",
    }


def test_createc_unfinished(tmp_path, write):
    scan = read_scan(write.createc(tmp_path / "a.dat", [P + 1, Q], rows=3))
    np.testing.assert_array_equal(scan.mask.all(axis=1), [True, True, True, False, False])
    assert not scan.mask[3:].any()
    path = tmp_path / "spectrum.dat"
    path.write_text("Experiment\tbias spectroscopy\n[DATA]\n1\t2\n")
    with pytest.raises(NotAScanError, match="not a Createc image"):
        read_scan(path)


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("name", ["a.spm", "a.000", "A.017"])
def test_bruker(tmp_path, write, itemsize, name):
    images = [("Height Sensor", "Retrace", P), ("Height Sensor", "Trace", Q)]
    path = write.bruker(tmp_path / name, images, itemsize=itemsize)
    scan, factor = read_scan(path), 100 * 2e-9 / 256**itemsize
    seen(scan, Q * factor, channel="Height Sensor", direction="forward")
    seen(read_scan(path, direction="backward"), P * factor, direction="backward")
    assert scan.metadata["date"] == "2005-03-29T14:43:50"
    assert scan.metadata["angle_deg"] == 90


def test_bruker_sizes_and_gaps(tmp_path, write):
    images = [("Height", "Trace", P)]
    path = write.bruker(tmp_path / "a.000", images, size="0.004 ~m")  # one number, a tilde for µ
    assert read_scan(path).pixel_size == pytest.approx((0.8, 4 / 7))
    scan = read_scan(write.bruker(tmp_path / "b.000", images, cut=14 * 2))
    np.testing.assert_array_equal(scan.mask.all(axis=1), [False, False, True, True, True])
    (tmp_path / "c.spm").write_bytes(b"\\*Force file list\r\n\\Version: 0x04440102\r\n")
    with pytest.raises(NotAScanError, match="a force curve"):
        read_scan(tmp_path / "c.spm")


@pytest.mark.parametrize("kind", ["double", "float", "integer", "short"])
@pytest.mark.parametrize("suffix", [".stp", ".top"])
def test_wsxm(tmp_path, write, kind, suffix):
    scan = read_scan(write.wsxm(tmp_path / f"a{suffix}", P, kind))
    seen(scan, P * 2e-9 / 34, channel="Topography", direction="backward")
    assert scan.metadata["bias_V"] == pytest.approx(-0.55)
    assert scan.metadata["setpoint_A"] == pytest.approx(5e-10)
    assert (scan.metadata["instrument"], scan.metadata["comment"]) == ("STM", "cold µ")


def test_nanonis_grid(tmp_path, write):
    points = np.arange(3) - 1
    curves = {
        "Current (A)": 1e-10 * P[..., None] + 1e-8 * points,
        "Current [bwd] (A)": 1e-10 * Q[..., None] + 1e-8 * points,
    }
    path = write.grid(tmp_path / "a.3ds", 1e-9 * P, curves)
    assert list_channels(path) == {
        "Z": ["forward"],
        "Current at -0.5 V": ["forward", "backward"],
        "Current at 0 V": ["forward", "backward"],
        "Current at 0.5 V": ["forward", "backward"],
    }
    scan = read_scan(path)
    seen(scan, 1e-9 * P, channel="Z")
    seen(read_scan(path, "Current at 0.5 V"), 1e-10 * P + 1e-8, "A")
    seen(read_scan(path, "Current at 0 V", "backward"), 1e-10 * Q, "A")
    assert (scan.metadata["angle_deg"], scan.metadata["date"]) == (30, "2025-03-20T19:19:33")
    unfinished = read_scan(write.grid(tmp_path / "b.3ds", 1e-9 * P, curves, pixels=17))
    assert unfinished.mask.sum() == 17
    assert unfinished.mask[-2:].all()


def test_scala(tmp_path, write):
    path = write.scala(tmp_path, [("Z", "Forward", P), ("Z", "Backward", Q)])
    scan = read_scan(path)
    seen(scan, 5e-12 * P, channel="Z", direction="forward")
    seen(read_scan(path, direction="backward"), 5e-12 * Q, direction="backward")
    assert (scan.metadata["bias_V"], scan.metadata["angle_deg"]) == (-0.55, 30)
    assert scan.metadata["date"] == "2025-03-20T19:19:00"
    (tmp_path / "m1.tf0").unlink()
    with pytest.raises(ScanError, match=r"its data file M1\.TF0 is not in its folder"):
        read_scan(path)
    path.write_text(path.read_text().replace("M1.TF0", "../M1.TF0"))
    with pytest.raises(ScanError, match="in another folder"):
        read_scan(path)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_8_bit_pictures_say_so(tmp_path, caplog, suffix):
    Image.fromarray(np.full((16, 16), 7, np.uint8) + 8 * np.eye(16, dtype=np.uint8)).save(
        tmp_path / f"a{suffix}", quality=100
    )
    scan = read_scan(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(scan.data, 7 + 8 * np.eye(16), atol=2)
    assert (scan.unit, scan.pixel_size) == ("", None)
    assert "8-bit grey levels" in caplog.text


@pytest.mark.parametrize("imagej", [False, True])
def test_movies(tmp_path, imagej):
    stack = np.stack([P, Q, 3 * P]).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=imagej, photometric="minisblack")
    for number, picture in enumerate(stack):
        np.testing.assert_array_equal(read_scan(tmp_path / "a.tif", frame=number).data, picture)
    with pytest.raises(ScanError, match="a stack of 3 images: choose frame=0 to frame=2"):
        read_scan(tmp_path / "a.tif")
    with pytest.raises(ScanError, match="choose frame=0 to frame=2"):
        read_scan(tmp_path / "a.tif", frame=3)
    tifffile.imwrite(tmp_path / "b.tif", stack[0])
    assert read_scan(tmp_path / "b.tif", frame=0).data.shape == (5, 7)
    with pytest.raises(ScanError, match="no movie"):
        read_scan(tmp_path / "b.tif", frame=1)


def scan(**changes):
    facts = {
        "data": 1e-10 * P + 3e-9,
        "mask": P != 9,
        "unit": "m",
        "pixel_size": (0.1, 0.05),
        "channel": "Z µ",
        "direction": "backward",
        "history": ("levelled", "denoised"),
        "name": "a.sxm",
        "metadata": {
            "bias_V": -0.55,
            "setpoint_A": 1e-10,
            "angle_deg": 30.0,
            "date": "2025-03-20T19:19:33",
            "instrument": "Createc µ",
            "comment": "cold = fine",
        },
    }
    return Scan(**(facts | changes))


@pytest.mark.parametrize("suffix", [".gwy", ".gsf", ".tif", ".nxs"])
@pytest.mark.parametrize("direction", ["forward", "backward", "backward/down"])
def test_round_trip_with_metadata(tmp_path, suffix, direction):
    if suffix == ".nxs":
        pytest.importorskip("h5py")
    before = scan(direction=direction)
    before.save(tmp_path / f"a{suffix}")
    after = read_scan(tmp_path / f"a{suffix}", direction=direction)
    exact = 0 if suffix in (".gwy", ".nxs") else 6e-8
    np.testing.assert_array_equal(after.mask, before.mask)
    np.testing.assert_allclose(after.data[after.mask], before.data[before.mask], rtol=exact)
    assert after.pixel_size == pytest.approx(before.pixel_size)
    assert after.metadata == {**before.metadata, "size_nm": pytest.approx((0.5, 0.35))}
    for name in ("unit", "channel", "direction", "history"):
        assert getattr(after, name) == getattr(before, name)


def test_nexus_is_as_the_definition_says(tmp_path):
    h5py = pytest.importorskip("h5py")
    scan().save(tmp_path / "a.nxs")
    with h5py.File(tmp_path / "a.nxs") as file:
        entry = file[file.attrs["default"]]
        assert entry.attrs["NX_class"] == "NXentry"
        assert entry["definition"][()] == b"NXstm"
        assert entry["start_time"][()] == b"2025-03-20T19:19:33"
        instrument = entry["experiment_instrument"]
        bias = instrument["sample_bias_votage/bias_voltage"]  # as the definition spells it
        assert (bias[()], bias.attrs["units"]) == (-0.55, "V")
        region = instrument["scan_environment/scan_control/scan_region"]
        np.testing.assert_allclose(region["scan_range"][()], [0.35e-9, 0.5e-9])
        setpoint = instrument["piezo_sensor/positioner_spm/z_controller/set_point"]
        assert (setpoint[()], setpoint.attrs["units"]) == (1e-10, "A")
        image = entry[entry.attrs["default"]]
        assert image.attrs["NX_class"] == "NXdata"
        assert list(image.attrs["axes"]) == ["y", "x"]
        assert image["y"][0] > image["y"][-1]  # row 0 is at the top
        assert image[image.attrs["signal"]].attrs["units"] == "m"


def test_nexus_follows_no_link_into_another_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = P
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        for name, link in (
            ("linked", h5py.ExternalLink("secret.h5", "data")),
            ("virtual", h5py.VirtualSource(str(tmp_path / "secret.h5"), "data", P.shape)),
        ):
            group = file.create_group(name)
            group.attrs["NX_class"], group.attrs["signal"] = "NXdata", "data"
            if name == "linked":
                group["data"] = link
            else:
                layout = h5py.VirtualLayout(P.shape, P.dtype)
                layout[:] = link
                group.create_virtual_dataset("data", layout)
        raw = file.create_group("raw")
        raw.attrs["NX_class"], raw.attrs["signal"] = "NXdata", "data"
        raw.create_dataset("data", P.shape, external=[(str(tmp_path / "secret.h5"), 0, 280)])
    with pytest.raises(NotAScanError, match="holds no image"):
        read_scan(tmp_path / "a.nxs")
