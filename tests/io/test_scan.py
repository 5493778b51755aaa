"""Choosing a channel, plain images, units, saving."""

import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

import stm_experiments
from stm_experiments.core.images import ImageError
from stm_experiments.io import Scan, ScanError, list_channels, read_scan
from stm_experiments.io.read import read_scans
from stm_experiments.io.units import length_nm, to_si

P = np.arange(35.0).reshape(5, 7)


def scan(**changes):
    facts = {
        "data": 1e-10 * P + 3e-9,
        "mask": np.ones(P.shape, bool),
        "unit": "m",
        "pixel_size": (0.1, 0.05),
        "channel": "Z",
        "name": "a.sxm",
    }
    return Scan(**(facts | changes))


def test_the_public_function_is_this_one():
    assert stm_experiments.read_scan is read_scan
    assert issubclass(ScanError, ImageError)


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".gwy", ".npy"])
@pytest.mark.parametrize("pixel_size", [(0.1, 0.05), (1 / 3, 2e-4), None])
def test_saved_scans_are_read_again(tmp_path, suffix, pixel_size):
    before = scan(pixel_size=pixel_size, direction="backward").with_data(P * 1e-9, "levelled (µ)")
    before.save(tmp_path / f"a{suffix}")
    after = read_scan(tmp_path / f"a{suffix}")
    exact = 6e-8 if "tif" in suffix else 0
    np.testing.assert_allclose(after.data, before.data, rtol=exact)
    assert after.mask.all()
    assert after.history == (() if suffix == ".npy" else ("levelled (µ)",))
    if suffix == ".npy":
        assert (after.unit, after.pixel_size, after.channel) == ("", None, "image")
    else:
        assert (after.unit, after.channel, after.direction) == ("m", "Z", "backward")
        assert after.pixel_size == (pixel_size and pytest.approx(pixel_size, rel=1e-12))


@pytest.mark.parametrize("suffix", [".tif", ".gwy", ".npy"])
def test_gaps_are_saved_as_gaps(tmp_path, suffix):
    mask = P < 25
    scan(mask=mask).save(tmp_path / f"a{suffix}")
    after = read_scan(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(after.mask, mask)
    np.testing.assert_allclose(after.data[~mask], np.median(after.data[mask]))


def test_other_programs_find_unit_and_pixel_size(tmp_path):
    scan().save(tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.imagej_metadata["unit"] == "nm"
        tags = tiff.pages[0].tags
        assert np.divide(*tags["XResolution"].value) == pytest.approx(20)
        assert np.divide(*tags["YResolution"].value) == pytest.approx(10)
        assert tiff.asarray().dtype == np.float32
    scan().save(tmp_path / "a.gwy")
    gwyfile = pytest.importorskip("gwyfile.objects")
    container = gwyfile.GwyObject.fromfile(str(tmp_path / "a.gwy"))
    field = container["/0/data"]
    assert container["/0/data/title"] == "Z"
    assert (field.si_unit_xy.unitstr, field.si_unit_z.unitstr) == ("m", "m")
    assert (field.xreal, field.yreal) == pytest.approx((7 * 0.05e-9, 5 * 0.1e-9))
    np.testing.assert_array_equal(field.data, scan().data)


def test_png_to_look_at(tmp_path):
    mask = P > 1
    scan(mask=mask).save(tmp_path / "a.png")
    grey = np.asarray(Image.open(tmp_path / "a.png")).astype(int)
    assert grey.max() == 2**16 - 1
    assert (grey[~mask] == 0).all()
    assert (np.diff(grey[mask]) > 0).all()
    scan(data=np.ones(P.shape)).save(tmp_path / "b.png")


def test_saving_never_writes_over_a_file(tmp_path):
    (tmp_path / "a.npy").write_text("precious")
    with pytest.raises(ScanError, match="exists already"):
        scan().save(tmp_path / "a.npy")
    assert (tmp_path / "a.npy").read_text() == "precious"
    with pytest.raises(ScanError, match=r"cannot write '\.sxm', use \.npy"):
        scan().save(tmp_path / "a.sxm")
    with pytest.raises(ScanError, match="cannot be written"):
        scan().save(tmp_path / "absent" / "a.npy")


def test_with_data():
    changed = scan().with_data(2 * P, "doubled").with_data(np.float32(P), "halved", "rounded")
    assert changed.history == ("doubled", "halved", "rounded")
    assert changed.data.dtype == np.float64
    assert changed.unit == "m"
    with pytest.raises(ValueError, match="shape"):
        scan().with_data(P.T)


@pytest.mark.parametrize(
    ("tags", "pixel"),
    [
        ({"resolution": (2e8, 1e8), "resolutionunit": 3}, (0.1, 0.05)),
        ({"resolution": (2.54e8, 2.54e8), "resolutionunit": 2}, (0.1, 0.1)),
        ({"imagej": True, "resolution": (20, 10), "metadata": {"unit": "nm"}}, (0.1, 0.05)),
        ({"imagej": True, "resolution": (2, 1), "metadata": {"unit": "\\u00B5m"}}, (1000, 500)),
        ({"imagej": True, "resolution": (2, 1), "metadata": {"unit": "pixel"}}, None),
        ({"resolution": (72, 72), "resolutionunit": 2}, None),  # as for printing
        ({}, None),
    ],
)
def test_pixel_size_of_a_tiff(tmp_path, tags, pixel):
    tifffile.imwrite(tmp_path / "a.tif", P.astype(np.float32), **tags)
    got = read_scan(tmp_path / "a.tif")
    np.testing.assert_array_equal(got.data, P)
    assert got.pixel_size == (pixel and pytest.approx(pixel))


def test_plain_images(tmp_path):
    Image.fromarray(P.astype(np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_scan(tmp_path / "a.png").data, P)
    np.save(tmp_path / "a.npy", np.where(P == 3, np.inf, P))
    got = read_scan(tmp_path / "a.npy")
    np.testing.assert_array_equal(got.mask, P != 3)
    assert got.data[0, 3] == np.median(P[P != 3])
    np.save(tmp_path / "b.npy", np.full((3, 3), np.nan))
    with pytest.raises(ScanError, match="was measured"):
        read_scan(tmp_path / "b.npy")
    for number, array in enumerate([P.astype(complex), P[None], P[:0]]):
        np.save(tmp_path / f"{number}.npy", array)
        with pytest.raises(ScanError, match="expected one image"):
            read_scan(tmp_path / f"{number}.npy")


def test_pickles_and_claims_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[print]], object), allow_pickle=True)
    with pytest.raises(ScanError):
        read_scan(tmp_path / "a.npy")
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 100000), }".ljust(117)
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + header + b"\n" + bytes(64))
    with pytest.raises(ScanError, match="says more than it holds"):
        read_scan(tmp_path / "b.npy")
    Image.fromarray(P.astype(np.uint8)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = bytes([0, 0, 0x30, 0, 0, 0, 0x30, 0])
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ScanError, match="12288 x 12288 px"):
        read_scan(tmp_path / "a.png")


def test_a_deflated_bomb_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", P.astype(np.float32), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        start, tag = tiff.pages[0].dataoffsets[0], tiff.pages[0].tags["StripByteCounts"].valueoffset
    bomb = zlib.compress(bytes(10**6))
    content = bytearray((tmp_path / "a.tif").read_bytes())[:start] + bomb
    content[tag : tag + 4] = len(bomb).to_bytes(4, "little")
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ScanError, match="more than it should"):
        read_scan(tmp_path / "a.tif")


def test_channels_by_name(tmp_path, write):
    pictures = {"forward": P, "backward": P + 1}
    names = ("Current", "Zeta", "z", "Z", "Z sensor")
    path = write.sxm(tmp_path / "a.sxm", {(name, "A"): pictures for name in names})
    assert list_channels(path) == {name: ["forward", "backward"] for name in names}
    for asked, found in (("Z", "Z"), ("z", "z"), ("zet", "Zeta"), ("Z S", "Z sensor")):
        assert read_scan(path, asked).channel == found
    everything = "; ".join(f"{name} (forward, backward)" for name in names)
    for asked in ("Phase", "Zs", "ze s", ""):
        with pytest.raises(ScanError) as error:
            read_scan(path, asked)
        assert str(error.value) == f"{path}: no channel '{asked}', there is {everything}."
    with pytest.raises(ScanError, match="Current has no direction 'sideways'"):
        read_scan(path, "Current", "sideways")


def test_topography_comes_first(tmp_path, write):
    pictures = {"forward": P}
    for names, first in (
        ([("Bias", "V"), ("Phase", "deg")], "Bias"),
        ([("Current", "A"), ("Amplitude", "m"), ("Height", "m")], "Height"),
        ([("Current", "A"), ("OC M1", "m")], "OC M1"),
        ([("Current", "A"), ("Topography", "")], "Topography"),
    ):
        path = write.sxm(tmp_path / "a.sxm", {key: pictures for key in names})
        assert read_scan(path).channel == first


def test_errors_name_the_file(tmp_path):
    for path, reason in (
        (tmp_path / "absent.sxm", "no such file"),
        (tmp_path / "a.docx", "unknown format '.docx', use .sxm"),
        (tmp_path, "unknown format"),
    ):
        for read in (read_scan, list_channels):
            with pytest.raises(ScanError) as error:
                read(path)
            assert str(error.value).startswith(f"{path}: {reason}")
            assert str(error.value).endswith(".")
    (tmp_path / "folder.sxm").mkdir()
    with pytest.raises(ScanError, match="a folder, expected a file"):
        read_scan(tmp_path / "folder.sxm")
    with pytest.raises(ScanError, match=r"absent--1_1\.Z_mtrx: "):
        read_scan(tmp_path / "absent--1_1.Z_mtrx")


@pytest.mark.parametrize(
    ("text", "factor", "unit"),
    [
        ("m", 1, "m"),
        ("nm", 1e-9, "m"),
        (" [pA] ", 1e-12, "A"),
        ("µV", 1e-6, "V"),
        ("μm", 1e-6, "m"),
        ("Å", 1e-10, "m"),
        ("\u212b", 1e-10, "m"),
        ("Angstrom", 1e-10, "m"),
        ("mV", 1e-3, "V"),
        ("kHz", 1e3, "Hz"),
        ("deg", 1, "deg"),
        ("m/s", 1, "m/s"),
        ("a.u.", 1, ""),
        ("", 1, ""),
    ],
)
def test_units(text, factor, unit):
    assert to_si(text) == (pytest.approx(factor), unit)


def test_lengths():
    assert length_nm("2.5 µm") == pytest.approx(2500)
    assert length_nm("4e-9m") == pytest.approx(4)
    for text in ("", "4", "4 V", "nm", "1.2.3 nm", "4 nm x"):
        assert np.isnan(length_nm(text))


def test_all_images_of_a_file_are_read_but_those_without_data(tmp_path, caplog):
    stack = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    stack[1] = np.nan
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, stack, photometric="minisblack")
    scans = read_scans(path, most=3)
    np.testing.assert_array_equal([scan.data for scan in scans], stack[[0, 2]])
    texts = [record.getMessage() for record in caplog.records]
    assert "no pixel of" in texts[0]
    assert texts[1] == "movie.tif: 1 more image is not shown."
    tifffile.imwrite(tmp_path / "empty.tif", np.full_like(stack, np.nan), photometric="minisblack")
    with pytest.raises(ScanError, match=r"empty\.tif: no pixel of"):
        read_scans(tmp_path / "empty.tif", most=3)
