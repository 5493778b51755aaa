"""Plain image files: PNG, TIFF, JPEG, BMP and .npy."""

import math
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from stm_experiments.core.arrays import AnyArray
from stm_experiments.core.files import SCAN_BYTES, FileRefused, open_regular
from stm_experiments.core.images import ImageError, check_image
from stm_experiments.io.trace import Unreadable, check_size, why_not_read

# TIFF's numbers for compressions and for the meaning of values.
DEFLATE = (8, 32946)
UNBOUNDED = (34925, 34926, 50000)  # LZMA and Zstandard, which tifffile decodes to any length
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = range(4)
MOST_DEFLATED = 1032  # bytes that one byte of a deflated stream can become


def read_image(path: str | Path) -> NDArray[np.float64]:
    """Read one grey image in its own units.

    Formats: ``.png`` (1 to 16 bit), ``.tif`` and ``.tiff`` (integer or float, any compression that
    tifffile or Pillow decodes except LZMA and Zstandard), ``.jpg`` and ``.bmp`` (8 bit), ``.npy``
    (boolean, integer or float). A colour image whose channels are equal is grey, and an opaque
    alpha channel is dropped. Pillow's limit on the pixel count (``PIL.Image.MAX_IMAGE_PIXELS``,
    error above twice that) holds for all but ``.npy``.

    Args:
        path: The file. The name is taken literally: brackets, commas, ``*`` and so on are plain
            characters.

    Returns:
        [H, W] float64, unscaled: grey levels, or the unit of the file.

    Raises:
        ImageError: If the file is missing, unreadable, of another format, truncated, too large, in
            colour, translucent, a stack, not real numbers, empty, constant, or has NaN or infinite
            pixels.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in DECODERS:
        raise ImageError(f"{path}: unknown image format '{suffix}', use {', '.join(DECODERS)}.")
    try:
        with open_regular(path, SCAN_BYTES) as file:
            array = DECODERS[suffix](file)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file.") from None
    except FileRefused as error:
        raise ImageError(f"{error}.") from None
    except Unreadable as error:
        raise ImageError(f"{path}: {error}.") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: too large to be an image.") from error
    except Exception as error:  # damaged files make decoders raise anything
        raise ImageError(f"{path}: {why_not_read(error, path)}.") from error
    return check_image(array, str(path))


def _decode_png(file: BinaryIO) -> AnyArray:
    header = file.read(26)
    size = file.seek(0, 2)
    file.seek(0)
    width, height = struct.unpack(">II", header[16:24].ljust(8, b"\0"))
    if header.startswith(b"\x89PNG") and height * width > 0:
        check_size(height, width, size * MOST_DEFLATED)
    if header[24:26] in (b"\x10\x02", b"\x10\x04", b"\x10\x06"):  # 16 bit; RGB, grey + alpha, RGBA
        raise Unreadable("16-bit PNG in colour or with alpha would lose its depth, save it as grey")
    with Image.open(file, formats=["PNG"]) as image:
        image.verify()  # checksums of all chunks
    file.seek(0)
    with Image.open(file, formats=["PNG"]) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise Unreadable("a stack of images, expected one")
        if image.mode == "P" or image.has_transparency_data:
            return _grey(np.asarray(image.convert("RGBA")))
        return _grey(np.asarray(image))


def _decode_lossy(file: BinaryIO) -> AnyArray:
    """Decode a JPEG or BMP image, whose size Pillow's limit bounds."""
    with Image.open(file, formats=["JPEG", "BMP"]) as image:
        check_size(image.height, image.width, 2**28)
        return _grey(np.asarray(image.convert("RGB") if image.mode == "P" else image))


def _decode_tiff(file: BinaryIO) -> AnyArray:
    with tifffile.TiffFile(file) as tiff:
        series = tiff_series(tiff)
        if count_frames(series) > 1:
            raise Unreadable("a stack of images, expected one")
        return decode_frame(tiff, series, 0)


def tiff_series(tiff: tifffile.TiffFile) -> Any:
    """Return the images of a TIFF that are no thumbnails: one, or frames of one shape.

    Raises:
        Unreadable: If there are none, or some of several shapes.
    """
    if len(tiff.pages) == 0:
        raise Unreadable("holds no image")
    series = [each for each in tiff.series if not each.keyframe.is_reduced]
    if not series:
        raise Unreadable("holds a thumbnail alone")
    if len(series) > 1:
        raise Unreadable(f"holds {len(series)} kinds of images, expected one")
    return series[0]


def count_frames(series: Any) -> int:
    """Return the number of images of a series of a TIFF."""
    return math.prod(
        side for axis, side in zip(series.axes, series.shape, strict=True) if axis not in "YXS"
    )


def decode_frame(tiff: tifffile.TiffFile, series: Any, frame: int) -> AnyArray:
    """Decode one grey image of a series of a TIFF, [H, W].

    Raises:
        Unreadable: If it is cut short, in colour, or of a compression without bound.
    """
    page = series.pages[frame] if len(series.pages) > 1 else series.keyframe
    if page is None:
        raise Unreadable("damaged: a frame is missing")
    _check_tiff(tiff, page)
    try:
        if len(series.pages) > 1:
            array = page.asarray()
        else:  # of ImageJ's large stacks, the one page stands for all
            array = series.asarray().reshape(-1, *page.shape)[frame]
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        tiff.filehandle.seek(0)
        file = cast(BinaryIO, tiff.filehandle)
        with Image.open(file, formats=["TIFF"]) as image:  # of a compression that tifffile lacks
            image.seek(frame)
            return _grey(np.asarray(image.convert("RGBA") if image.mode == "P" else image))
    if page.colormap is not None and page.photometric == PALETTE:
        return _grey(np.moveaxis(page.colormap[:, array], 0, -1))
    if page.photometric == WHITE_IS_ZERO and array.dtype.kind in "bu":
        return np.asarray((2**page.bitspersample - 1) - array.astype(np.float64))
    if "S" in page.axes:
        return _grey(np.moveaxis(array, page.axes.index("S"), -1))
    return np.asarray(array)


def _check_tiff(tiff: tifffile.TiffFile, page: Any) -> None:
    """Refuse what is no single grey or RGB image, is cut short, or inflates without bound."""
    if page.samplesperpixel == 1 and len(page.shape) != 2:
        raise Unreadable("a stack of images, expected one")
    if Image.MAX_IMAGE_PIXELS and math.prod(page.shape) > 2 * Image.MAX_IMAGE_PIXELS:
        raise Unreadable("too large to be an image")
    size = tiff.filehandle.size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    missing = len(segments) != math.prod(page.chunked) or any(n == 0 for _, n in segments)
    if missing or any(offset + n > size for offset, n in segments):
        raise Unreadable("truncated file")  # tifffile would fill the gap with zeros
    if page.compression in UNBOUNDED:
        raise Unreadable("compressed with LZMA or Zstandard, save it with another compression")
    if page.compression in DEFLATE:
        _check_deflated(tiff, page)
    if page.photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE):
        raise Unreadable("neither grey nor RGB")


def _check_deflated(tiff: tifffile.TiffFile, page: Any) -> None:
    """Refuse a deflated segment that exceeds its tile or strip: tifffile would inflate it all."""
    largest = math.prod(page.chunks) * page.dtype.itemsize
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        tiff.filehandle.seek(offset)
        inflate = zlib.decompressobj()
        inflate.decompress(tiff.filehandle.read(count), largest)
        if inflate.unconsumed_tail and inflate.decompress(inflate.unconsumed_tail, 1):
            raise Unreadable("damaged: a segment holds more than it should")


def _decode_npy(file: BinaryIO) -> AnyArray:
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read_header = np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise Unreadable("cannot be read: Object arrays could run code, save plain numbers")
    start = file.tell()
    if math.prod(shape) * dtype.itemsize > file.seek(0, 2) - start:  # else numpy would allocate it
        raise Unreadable("truncated, or its header says more than it holds")
    file.seek(0)
    array: AnyArray = np.lib.format.read_array(file, allow_pickle=False)
    return array


DECODERS = {
    ".png": _decode_png,
    ".tif": _decode_tiff,
    ".tiff": _decode_tiff,
    ".npy": _decode_npy,
    ".jpg": _decode_lossy,
    ".jpeg": _decode_lossy,
    ".bmp": _decode_lossy,
}


def _grey(array: AnyArray) -> AnyArray:
    """Return [H, W] of [H, W], or of [H, W, 1 to 4] with equal channels and opaque alpha."""
    if array.ndim == 2:
        return array
    if array.ndim != 3 or array.shape[2] > 4:
        raise Unreadable("a stack of images, expected one")
    if array.shape[2] in (2, 4):
        alpha, array = array[..., -1], array[..., :-1]
        opaque = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1.0
        if (alpha != opaque).any():
            raise Unreadable("partly transparent, expected an opaque image")
    if (array != array[..., :1]).any():
        raise Unreadable("a colour image whose channels differ, expected grey")
    return array[..., 0]
