"""Plain image files (PNG, TIFF, .npy) and the affine map to [-1, 1]."""

import math
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from stm_experiments.io.scan import ScanError
from stm_experiments.io.trace import Unreadable, check_size

Array = NDArray[Any]


ImageError = ScanError

DEFLATE = (8, 32946)  # TIFF's numbers for it
UNBOUNDED = (34925, 34926, 50000)  # LZMA and Zstandard, which tifffile decodes to any length
MOST_DEFLATED = 1032  # bytes that one byte of a deflated stream can stand for


class AffineMap(NamedTuple):
    """The map image = scale * x + shift + plane, in the image's units.

    Attributes:
        scale: Units per unit of x.
        shift: Units at x = 0.
        row_slope: Tilt of the plane along axis 0, units per px.
        column_slope: Tilt of the plane along axis 1, units per px.
    """

    scale: float
    shift: float
    row_slope: float = 0.0
    column_slope: float = 0.0


def read_image(path: str | Path) -> NDArray[np.float64]:
    """Read one grey image in its own units.

    Formats: ``.png`` (1 to 16 bit), ``.tif`` and ``.tiff`` (integer or float, any compression that
    tifffile or Pillow decodes but LZMA and Zstandard), ``.npy`` (boolean, integer or float). A
    colour image whose channels are equal is grey, and an opaque alpha channel is dropped. Pillow's
    limit on the pixel count (``PIL.Image.MAX_IMAGE_PIXELS``, error above twice that) holds for PNG
    and TIFF.

    Args:
        path: The file. The name is taken literally: brackets, commas, ``*`` and so on are plain
            characters.

    Returns:
        ``[H,W]`` float64, unscaled: grey levels, or whatever unit the file is in.

    Raises:
        ImageError: If the file is missing, unreadable, of another format, truncated, too large, in
            colour, translucent, a stack, not real numbers, empty, constant, or has NaN or infinite
            pixels.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise ImageError(f"{path}: unknown image format '{suffix}', use {', '.join(READERS)}.")
    try:
        with path.open("rb") as file:
            array = READERS[suffix](file)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file.") from None
    except Unreadable as error:
        raise ImageError(f"{path}: {error}.") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not a {suffix[1:].upper()} file, or a damaged one.") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: too large to be an image ({_clause(error)}).") from error
    except Exception as error:  # decoders of damaged files raise whatever they like
        raise ImageError(f"{path}: cannot be read ({_clause(error)}).") from error
    return _checked(array, str(path))


def normalise(image: Array, name: str = "image") -> tuple[NDArray[np.float32], AffineMap]:
    """Map an image to [-1, 1]: x = 2 (I - min) / (max - min) - 1.

    Equation 1 of Binev et al., "STM image analysis using autoencoders", computed in float64.

    Args:
        image: ``[H,W]`` real numbers, any unit.
        name: What error messages call the image.

    Returns:
        ``[H,W]`` float32 with minimum -1 and maximum 1, and the map (scale, shift) back.

    Raises:
        ImageError: If the image is constant, empty, not finite, not real or not two-dimensional.
    """
    image = _checked(image, name)
    low, high = image.min(), image.max()
    x = 2 * ((image - low) / (high - low)) - 1
    scale = float(high - low) / 2
    return x.astype(np.float32), AffineMap(scale, float(low) + scale)


def normalise_scan(image: Array, name: str = "image") -> tuple[NDArray[np.float32], AffineMap]:
    """Map a scan's corrugation to about [-1, 1], whatever its tilt and scars.

    The least-squares plane of all but outlying pixels is taken off, then the 1st and 99th
    percentile become -1 and 1; pixels beyond them lie outside of [-1, 1]. Outlying is what lies
    more than that range away from its middle.

    Args:
        image: ``[H,W]`` real numbers, any unit.
        name: What error messages call the image.

    Returns:
        ``[H,W]`` float32, and the map back.

    Raises:
        ImageError: As ``normalise``, or if nothing but a plane is left.
    """
    image = _checked(image, name).astype(np.float64)
    rows, columns = (np.broadcast_to(axis, image.shape) for axis in _centred_axes(image))
    kept = np.ones(image.shape, dtype=bool)
    for _ in range(2):  # the second time without scars and spikes, which tilt a least-squares plane
        terms = np.stack([rows[kept], columns[kept], np.ones(kept.sum())], axis=1)
        (row_slope, column_slope, _), *_ = np.linalg.lstsq(terms, image[kept], rcond=None)
        flat = image - row_slope * rows - column_slope * columns
        low, high = np.percentile(flat, (1, 99))
        kept = np.abs(flat - (low + high) / 2) <= high - low
    if high - low <= 1e-12 * max(np.ptp(image), abs(high)):
        raise ImageError(f"{name}: nothing but a plane.")
    scale = float(high - low) / 2
    x = (flat - low) / scale - 1
    affine = AffineMap(scale, float(low) + scale, float(row_slope), float(column_slope))
    return x.astype(np.float32), affine


def denormalise(x: Array, affine: AffineMap) -> NDArray[np.float64]:
    """Invert ``normalise`` and ``normalise_scan``, in float64 and the image's units."""
    image = np.asarray(x, np.float64) * affine.scale + affine.shift
    if affine.row_slope == affine.column_slope == 0.0:
        return image
    rows, columns = _centred_axes(image)
    return image + affine.row_slope * rows + affine.column_slope * columns


# The maps to [-1, 1] by the names that configs and model cards call them.
NORMALISATIONS = {"minmax": normalise, "plane": normalise_scan}


def _centred_axes(image: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows ``[H,1]`` and columns ``[1,W]`` counted from the image's centre, px."""
    height, width = image.shape
    rows = np.arange(height, dtype=np.float64)[:, None] - (height - 1) / 2
    columns = np.arange(width, dtype=np.float64)[None, :] - (width - 1) / 2
    return rows, columns


def _read_png(file: BinaryIO) -> Array:
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


def _read_tiff(file: BinaryIO) -> Array:
    with tifffile.TiffFile(file) as tiff:
        if len(tiff.pages) == 0:
            raise Unreadable("holds no image")
        page, series = tiff.pages.first, tiff.series[0]
        if len(tiff.pages) > 1 or (page.samplesperpixel == 1 and len(series.shape) != 2):
            raise Unreadable("a stack of images, expected one")
        if Image.MAX_IMAGE_PIXELS and math.prod(series.shape) > 2 * Image.MAX_IMAGE_PIXELS:
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
        if page.photometric not in (0, 1, 2, 3):  # white is zero, black is zero, RGB, palette
            raise Unreadable("neither grey nor RGB")
        try:
            array = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            file.seek(0)
            with Image.open(file, formats=["TIFF"]) as image:  # a compression tifffile lacks
                return _grey(np.asarray(image.convert("RGBA") if image.mode == "P" else image))
        if page.colormap is not None and page.photometric == 3:
            return _grey(np.moveaxis(page.colormap[:, array], 0, -1))
        if page.photometric == 0 and array.dtype.kind in "bu":
            return (2**page.bitspersample - 1) - array.astype(np.float64)
        if "S" in series.axes:
            return _grey(np.moveaxis(array, series.axes.index("S"), -1))
        return array


def _check_deflated(tiff: tifffile.TiffFile, page: Any) -> None:
    """Refuse a deflated segment that is larger than its tile or strip; tifffile inflates it all."""
    largest = math.prod(page.chunks) * page.dtype.itemsize
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        tiff.filehandle.seek(offset)
        inflate = zlib.decompressobj()
        inflate.decompress(tiff.filehandle.read(count), largest)
        if inflate.unconsumed_tail and inflate.decompress(inflate.unconsumed_tail, 1):
            raise Unreadable("damaged: a segment holds more than it should")


def _read_npy(file: BinaryIO) -> Array:
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read_header = np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    start = file.tell()
    if math.prod(shape) * dtype.itemsize > file.seek(0, 2) - start:  # else numpy would allocate it
        raise Unreadable("truncated, or its header says more than it holds")
    file.seek(0)
    array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array


READERS = {".png": _read_png, ".tif": _read_tiff, ".tiff": _read_tiff, ".npy": _read_npy}


def _grey(array: Array) -> Array:
    """``[H,W]`` from ``[H,W]``, or from ``[H,W,1..4]`` with equal channels and opaque alpha."""
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


def _checked(array: Array, name: str) -> NDArray[np.float64]:
    """``[H,W]`` float64 with at least two finite values, or an ImageError that names the image."""
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise ImageError(f"{name}: holds {array.dtype} values, expected real numbers.")
    if array.size == 0:
        raise ImageError(f"{name}: empty, shape {array.shape}.")
    if array.ndim != 2:
        raise ImageError(f"{name}: has shape {array.shape}, expected one image (height, width).")
    with np.errstate(over="ignore"):
        image = array.astype(np.float64)
        span = image.max() - image.min()
    bad = image.size - np.count_nonzero(np.isfinite(image))
    if bad:
        raise ImageError(f"{name}: {bad} of {image.size} pixels are NaN or infinite.")
    if not 0.0 < span / 2 < math.inf:
        kind = "constant, every pixel is" if span < 1 else "beyond the range of float64 around"
        raise ImageError(f"{name}: {kind} {image.flat[0]:g}.")
    return image


def _clause(error: Exception) -> str:
    """The first line of another library's message, without its full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
