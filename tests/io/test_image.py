import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from stm_experiments.core.images import ImageError
from stm_experiments.core.normalisation import denormalise, normalise_minmax
from stm_experiments.io.image import read_image

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
GREY = np.arange(12 * 15).reshape(12, 15)


def error_of(path):
    with pytest.raises(ImageError) as info:
        read_image(path)
    message = str(info.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith(".")
    assert "\n" not in message
    return message


def png(path, array, mode=None):
    Image.fromarray(array, mode).save(path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png(tmp_path, dtype):
    array = (GREY * np.iinfo(dtype).max // GREY.max()).astype(dtype)
    got = read_image(png(tmp_path / "a.png", array))
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float16, np.float32, np.float64]
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff(tmp_path, dtype, compression):
    tifffile.imwrite(tmp_path / "a.TIF", GREY.astype(dtype), compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.TIF"), GREY)


def test_tiff_with_a_compression_that_tifffile_lacks(tmp_path):
    Image.fromarray(GREY.astype(np.uint8)).save(tmp_path / "a.tiff", compression="tiff_lzw")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tiff"), GREY)


def test_tiff_white_is_zero_and_palette(tmp_path):
    eight = GREY.astype(np.uint8)
    tifffile.imwrite(tmp_path / "w.tif", eight, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "w.tif"), 255 - GREY)
    reverse = np.tile(np.arange(256, dtype=np.uint16)[::-1] * 257, (3, 1))
    tifffile.imwrite(tmp_path / "p.tif", eight, photometric="palette", colormap=reverse)
    np.testing.assert_array_equal(read_image(tmp_path / "p.tif"), (255 - GREY) * 257.0)
    colour = reverse.copy()
    colour[0] = 0
    tifffile.imwrite(tmp_path / "c.tif", eight, photometric="palette", colormap=colour)
    assert "channels differ" in error_of(tmp_path / "c.tif")


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, ">f4", np.float64, np.longdouble])
def test_npy(tmp_path, dtype):
    array = (GREY > 50 if dtype is bool else GREY % 100).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy"), array.astype(float))
    np.save(tmp_path / "a.npy", np.asfortranarray(array))
    np.testing.assert_array_equal(read_image(str(tmp_path / "a.npy")), array.astype(float))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_any_file_name(tmp_path, suffix):
    path = tmp_path / ("Si(111) 7x7, a=b [1]*? {x} 'Kupferfläche' 表面" + suffix)
    array = GREY.astype(np.uint8)
    if suffix == ".npy":
        np.save(path, array)
    else:
        png(path, array)
    np.testing.assert_array_equal(read_image(path), GREY)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("scans/stem/Si110_5nmX25us_03_none_none.png", None),
        ("scans/stem/Grain_boundry_gold_512px.png", (512, 512)),
        ("scans/stm/Si111_7x7_step_atoms_spiepy.npy", (512, 512)),
    ],
)
def test_real_images(name, shape):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the development data set is not here: {path}")
    image = read_image(path)
    assert shape is None or image.shape == shape
    x, affine = normalise_minmax(image)
    np.testing.assert_allclose(denormalise(x, affine), image, rtol=0, atol=affine.scale * 1e-7)


def test_grey_in_colour_clothes(tmp_path):
    eight = GREY.astype(np.uint8)
    opaque = np.full_like(eight, 255)
    rgb, rgba = np.stack([eight] * 3, -1), np.stack([eight] * 3 + [opaque], -1)
    for name, array in [("rgb", rgb), ("rgba", rgba), ("la", np.stack([eight, opaque], -1))]:
        path = png(tmp_path / f"{name}.png", array, "LA" if name == "la" else None)
        np.testing.assert_array_equal(read_image(path), GREY)
    Image.fromarray(rgb).quantize(256).save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), GREY)
    for planar in ("contig", "separate"):
        array = rgb if planar == "contig" else np.moveaxis(rgb, -1, 0)
        tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", planarconfig=planar)
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), GREY)
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), GREY)


def test_colour_and_transparency_are_errors(tmp_path):
    eight = GREY.astype(np.uint8)
    colour = np.stack([eight, eight, eight[::-1]], -1)
    assert "channels differ" in error_of(png(tmp_path / "rgb.png", colour))
    tifffile.imwrite(tmp_path / "rgb.tif", colour, photometric="rgb")
    assert "channels differ" in error_of(tmp_path / "rgb.tif")
    translucent = np.stack([eight] * 4, -1)
    assert "transparent" in error_of(png(tmp_path / "rgba.png", translucent))
    Image.fromarray(eight).save(tmp_path / "key.png", transparency=7)
    assert "transparent" in error_of(tmp_path / "key.png")


def test_sixteen_bit_colour_png_is_not_quantised_in_silence(tmp_path):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes(range(12)) for _ in range(2))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    assert "16-bit PNG in colour" in error_of(tmp_path / "a.png")


def test_missing_unknown_and_folder(tmp_path):
    assert "no such file" in error_of(tmp_path / "a.png")
    assert "unknown image format '.webp'" in error_of(tmp_path / "a.webp")
    assert "unknown image format ''" in error_of(tmp_path)
    (tmp_path / "folder.png").mkdir()
    assert "not a regular file" in error_of(tmp_path / "folder.png")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_truncated_at_any_length(tmp_path, suffix):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    if suffix == ".npy":
        np.save(buffer, noise)
    elif suffix == ".png":
        Image.fromarray(noise).save(buffer, "PNG")
    else:
        tifffile.imwrite(buffer, noise)
    whole = buffer.getvalue()
    path = tmp_path / ("a" + suffix)
    tail = 20 if suffix == ".png" else 1  # a PNG's last 12 bytes only say that it ends
    for length in [0, 1, 9, 40, 200, len(whole) // 2, len(whole) - tail]:
        path.write_bytes(whole[:length])
        error_of(path)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_text_in_disguise(tmp_path, suffix):
    (tmp_path / ("a" + suffix)).write_text("This is not an image.\n" * 20)
    message = error_of(tmp_path / ("a" + suffix))
    assert "not a PNG file" in message if suffix == ".png" else "cannot be read" in message


def test_missing_tiles_are_not_invented(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY.astype(np.uint8), tile=(16, 16))
    np.testing.assert_array_equal(read_image(path), GREY)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["ImageLength"].overwrite(200)
    assert "truncated" in error_of(path)


def test_a_flipped_byte_in_a_png_is_noticed(tmp_path):
    path = png(tmp_path / "a.png", GREY.astype(np.uint8))
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    assert "cannot be read" in error_of(path)


def test_stacks(tmp_path):
    stack = np.stack([GREY, GREY + 1]).astype(np.uint8)
    np.save(tmp_path / "a.npy", stack)
    assert "expected one image" in error_of(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.arange(5.0))
    assert "expected one image" in error_of(tmp_path / "a.npy")
    for photometric in ("minisblack", None):
        tifffile.imwrite(tmp_path / "a.tif", stack, photometric=photometric)
        assert "stack" in error_of(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True)
    assert "stack" in error_of(tmp_path / "a.tif")
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(GREY.astype(np.uint8))
        writer.write(GREY[:5].astype(np.float32))
    assert "stack" in error_of(tmp_path / "a.tif")
    frames = [Image.fromarray(frame) for frame in stack]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert "stack" in error_of(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[1, "a"]], dtype=object), "Object arrays"),
        (np.array([["1", "2"]]), "expected real numbers"),
        (GREY + 1j, "holds complex128 values, expected real numbers"),
        (np.zeros((3, 3), "datetime64[s]"), "expected real numbers"),
        (np.zeros((3, 3), [("x", "f4")]), "expected real numbers"),
        (np.where(GREY == 7, math.nan, GREY), "1 of 180 pixels are NaN"),
        (np.where(GREY == 7, -math.inf, GREY), "1 of 180 pixels are NaN or infinite"),
        (np.full((4, 4), 3.5), "constant, every pixel is 3.5"),
        (np.ones((1, 1)), "constant"),
        (np.array([[-1e308, 1e308]]), "beyond the range"),
        (np.zeros((0, 5)), "empty"),
    ],
)
def test_useless_arrays(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=array.dtype == object)
    assert message in error_of(tmp_path / "a.npy")


def test_float_tiff_with_nan(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.where(GREY == 7, np.nan, GREY).astype(np.float32))
    assert "1 of 180 pixels are NaN" in error_of(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_decompression_bomb(tmp_path, suffix, monkeypatch):
    path = png(tmp_path / ("a" + suffix), GREY.astype(np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", GREY.size // 2 - 1)
    assert "too large" in error_of(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    read_image(path)
