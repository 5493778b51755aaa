"""From a scan to the same scan without its noise: what ``reconstruct`` does, for Python."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.metrics import structural_similarity
from torch import Tensor

from stm_experiments.core.gaps import fill_nearest
from stm_experiments.core.intervals import psnr_of_mse
from stm_experiments.core.normalisation import NORMALISATIONS, AffineMap, denormalise
from stm_experiments.core.units import amount
from stm_experiments.io import read_scan
from stm_experiments.io.scan import Scan, ScanError
from stm_experiments.models import tiling
from stm_experiments.models.checkpoint import load
from stm_experiments.models.interfaces import Network, Uncertain
from stm_experiments.restoration import preparation
from stm_experiments.restoration.wave_report import wave_report
from stm_experiments.restoration.whole_network import whole_image_network

Array = NDArray[np.float64]

DEFAULT = "denoiser"  # the shipped model that is used where none is named


@dataclass(frozen=True, kw_only=True)
class Denoised(Scan):
    """A scan after a network; ``data``, ``mask``, ``save`` and so on as of any scan.

    Attributes:
        before: The scan that was given to the network, after its preparation.
        level: ``[H,W]`` in ``unit``: what the network saw as 0, its tilt included.
        scale: What the network saw as 1, in ``unit`` above the level.
        model: What it went through, in words.
        prepared: The steps of its preparation.
        uncertainty: ``[H,W]`` in ``unit``, or None; see ``denoise``.
        seams: Seam energy of the result and of the scan before (``tiling.seam_energy``); None for
            networks without window, and where it is not defined.
    """

    before: Scan
    level: Array
    scale: float
    model: str
    prepared: tuple[str, ...] = ()
    uncertainty: Array | None = None
    seams: tuple[float, float] | None = None

    def flat(self, data: Array) -> Array:
        """Data ``[H,W]`` to look at: without the tilt that the network did not see, NaN in gaps."""
        return np.where(self.mask, data - (self.level - np.nanmean(self.level)), np.nan)

    def title(self) -> str:
        """What a picture of it shows."""
        steps = [f"through {self.model}"]
        if self.prepared:
            steps.insert(0, f"prepared by {', '.join(self.prepared)}")
        if np.ptp(self.level[self.mask]) > 0:
            steps.append("shown without its tilt")
        where = f" ({self.channel}, {self.direction})" if self.channel else ""
        return f"{self.name or 'image'}{where}\n{', '.join(steps)}"


def denoise(
    scan: Scan | str | Path | ArrayLike,
    checkpoint: str | Path | Network | None = None,
    stride: int = 4,
    uncertainty: bool = False,
    *,
    prepare: Sequence[str] = (),
    normalisation: str | None = None,
    progress: tiling.Progress | None = None,
) -> Denoised:
    """Pass a scan through a network, and say in its history what was done.

    The network sees the measured part of the scan on [-1, 1]; its output is mapped back with the
    same map, so that units, tilt and absolute height return. Missing pixels inside of that part are
    lent their nearest neighbour's value. What was not measured stays masked.

    The uncertainty is the standard deviation of the results for the 4 symmetries that keep rows
    rows (``tiling.spread``), times the factor ``calibration`` of the model's card, which makes it
    as large as the true error is on simulated images (root mean square; 1 if the card has none). It
    shows where the network is undecided: noise that it half keeps, defects, borders. It is *not* a
    confidence interval of a pixel, it does not contain what the network always gets wrong in the
    same way, such as an atom that it likes to invent, and it was calibrated on simulated noise. The
    result itself does not depend on ``uncertainty``.

    Args:
        scan: A scan, a file that ``read_scan`` knows, or an array [H,W] (NaN: not measured).
        checkpoint: A model file, the name of a shipped model, or a network; None: the shipped
            ``denoiser``.
        stride: Step between windows, px, for networks that have one.
        uncertainty: Whether to return the pixelwise uncertainty (4 passes instead of one).
        prepare: Steps to apply before, of ``stm_experiments.restoration.preparation.STEPS``.
        normalisation: The map to [-1, 1], ``minmax`` or ``plane``; None: as in the training of the
            network.
        progress: Called as ``progress(done, in_all)``.

    Returns:
        The denoised scan.

    Raises:
        ValueError: If the scan, the model or a setting cannot be used.
    """
    net = checkpoint if isinstance(checkpoint, Network) else load(checkpoint or DEFAULT)
    net = whole_image_network(net)
    check(net, stride, prepare, normalisation)
    card = net.card
    # A filter was not trained with anything: it gets the map that suits scans.
    kind = normalisation or (card.normalisation if card else "plane")
    before = preparation.prepare(as_scan(scan), prepare)
    part = _measured(before)
    recorded = _without_gaps(before, part)
    x, affine = NORMALISATIONS[kind](recorded, before.name or "image")
    window = net.window
    image = torch.from_numpy(x).to(_device(net))
    if uncertainty:
        output, deviation = tiling.spread(net, image, window, stride, progress)
        deviation *= affine.scale * (card.calibration if card else 1.0)
    else:
        output = tiling.reconstruct(net, image, window, stride, progress=progress)
    made = denormalise(output.cpu().numpy(), affine)
    # What the network left alone stays as it was recorded, to the last digit.
    after = _whole(before, part, np.where((output == image).cpu().numpy(), recorded, made))
    change = float(np.sqrt(np.nanmean((after - before.data) ** 2)))
    seams = _seams(output, image, window, stride)
    spread = _whole(before, part, deviation.cpu().numpy()) if uncertainty else None

    same = float(np.mean((after == before.data)[before.mask]))
    share = f", {1 - same:.1%} of the pixels" if same > 0.001 else ""
    model = net.label
    if window is not None:
        model += f" in windows of {window} px every {stride} px"
    history = [
        _map_sentence(kind, affine, before.unit),
        f"through {model}: changed by {amount(change, before.unit)} rms{share}",
    ]
    history += wave_report(image, output, affine.scale, before.unit, before.pixel_size)
    if seams:
        history.append(f"seam energy {seams[0]:.3g}, before {seams[1]:.3g} (1: no seams)")
    if spread is not None:
        typical = amount(float(np.nanmedian(spread)), before.unit)
        source = "as the network sees it" if isinstance(net, Uncertain) else "from 4 mirror images"
        history.append(f"uncertainty {source}: median {typical}")
    known = {field.name: getattr(before, field.name) for field in fields(Scan)}
    known["data"] = np.where(before.mask, after, np.nanmedian(after))
    known["history"] = (*before.history, *history)
    return Denoised(
        **known,
        before=before,
        level=_whole(before, part, denormalise(np.zeros(x.shape), affine)),
        scale=affine.scale,
        uncertainty=spread,
        seams=seams,
        model=model,
        prepared=tuple(prepare),
    )


def check(net: Network, stride: int, prepare: Sequence[str], normalisation: str | None) -> None:
    """Finds wrong settings of ``denoise`` before there is a scan.

    Raises:
        ValueError: In one sentence.
    """
    if normalisation not in (None, *NORMALISATIONS):
        raise ValueError(f"normalisation is {' or '.join(NORMALISATIONS)}, not {normalisation!r}")
    if not isinstance(stride, int) or isinstance(stride, bool):
        raise ValueError(f"stride is a whole number of px, not {stride!r}")
    window = net.window
    if window is not None:
        tiling.window_starts(window, window, stride)
    preparation.check(prepare)


def compare(result: Denoised, clean: Scan) -> tuple[dict[str, float], Array]:
    """Measure a denoised scan, and the scan before, against a partner without noise.

    The partner is first fitted to the scan before by an affine map and a plane (least squares over
    the measured pixels), as it is rarely scaled or levelled alike. All measures are those of the
    network's scale [-1, 1]: mean squared error per measured pixel; PSNR, 10 log10(4 / MSE) [dB];
    SSIM as scikit-image defines it (7x7 uniform window, data range 2), averaged over the windows
    in which all is measured.

    Args:
        result: What ``denoise`` returned.
        clean: ``[H,W]`` of the same shape, any unit.

    Returns:
        ``mse_before``, ``mse_after``, ``psnr_before`` and so on, and the fitted partner ``[H,W]``
        in the scan's unit.

    Raises:
        ValueError: If the shapes differ.
    """
    if clean.data.shape != result.data.shape:
        raise ValueError(
            f"the clean image has {clean.data.shape[0]} x {clean.data.shape[1]} px, the scan "
            f"{result.data.shape[0]} x {result.data.shape[1]} px"
        )
    mask = result.mask & clean.mask
    level = np.where(mask, result.level, 0.0)
    before, after = ((data - level) / result.scale for data in (result.before.data, result.data))
    rows, columns = np.indices(mask.shape)
    terms = np.stack([clean.data, np.ones(mask.shape), rows, columns], axis=-1)
    terms /= np.abs(terms[mask]).max(axis=0) + np.finfo(float).tiny
    fitted = terms @ np.linalg.lstsq(terms[mask], before[mask], rcond=None)[0]
    whole_windows = ndimage.minimum_filter(mask, 7, mode="constant", cval=False)
    measures: dict[str, float] = {}
    for name, image in (("before", before), ("after", after)):
        mse = float(np.mean((image - fitted)[mask] ** 2))
        _, similarity = structural_similarity(image, fitted, data_range=2, full=True)
        measures |= {
            f"mse_{name}": mse,
            f"psnr_{name}": psnr_of_mse(mse),
            f"ssim_{name}": float(similarity[whole_windows].mean()),
        }
    return measures, fitted * result.scale + level


def as_scan(scan: Scan | str | Path | ArrayLike) -> Scan:
    """A scan, read from a file, or made of an array [H,W]; NaN and infinity: not measured.

    Raises:
        ScanError: If it is none of them.
    """
    if isinstance(scan, Scan):
        known = scan.mask & np.isfinite(scan.data)
        return scan if known.all() or not known.any() else replace(scan, mask=known)
    if isinstance(scan, str | Path):
        return read_scan(scan)
    data = scan.detach().cpu().numpy() if isinstance(scan, Tensor) else np.asarray(scan)
    if data.ndim != 2 or data.dtype.kind not in "biuf":
        raise ScanError(
            f"image: expected real numbers [H,W], not {data.dtype} of shape {list(data.shape)}."
        )
    mask = np.isfinite(data)
    if not mask.any():
        raise ScanError("image: no pixel is a finite number.")
    return Scan(np.where(mask, data, np.median(data[mask])).astype(np.float64), mask, "", None, "")


def _measured(scan: Scan) -> tuple[slice, slice]:
    """The smallest rectangle that holds all measured pixels: an unfinished scan's rows."""
    lines = [np.flatnonzero(scan.mask.any(axis=axis)) for axis in (1, 0)]
    if lines[0].size == 0:
        raise ScanError(f"{scan.name or 'image'}: no pixel was measured.")
    rows, columns = (slice(int(line[0]), int(line[-1]) + 1) for line in lines)
    return rows, columns


def _without_gaps(scan: Scan, part: tuple[slice, slice]) -> Array:
    """The measured rectangle, its missing pixels filled with the nearest measured ones."""
    data, mask = scan.data[part], scan.mask[part]
    return fill_nearest(data, mask)


def _whole(scan: Scan, part: tuple[slice, slice], values: Array) -> Array:
    """``[H,W]``: the values where the scan was measured, NaN elsewhere."""
    whole = np.full(scan.data.shape, np.nan)
    whole[part] = values
    return np.where(scan.mask, whole, np.nan)


def _device(net: Network) -> torch.device:
    """Where the network's numbers are; filters have none."""
    tensor = next(chain(net.parameters(), net.buffers()), torch.zeros(0))
    return tensor.device


def _seams(
    output: Tensor, image: Tensor, window: int | None, stride: int
) -> tuple[float, float] | None:
    """Seam energy of output and image; None where every pixel is on the grid, as at stride 1."""
    if window is None:
        return None
    try:
        after, before = (tiling.seam_energy(x, window, stride) for x in (output, image))
    except ValueError:
        return None
    return after, before


def _map_sentence(kind: str, affine: AffineMap, unit: str) -> str:
    """What the map to [-1, 1] was."""
    span = amount(2 * affine.scale, unit)
    if kind == "minmax":
        return f"mapped to [-1, 1] by its lowest and highest pixel ({span} apart), and back after"
    fast, slow = amount(affine.column_slope, unit), amount(affine.row_slope, unit)
    return (
        f"mapped to [-1, 1] without its plane ({fast}/px along the fast axis, {slow}/px along the "
        f"slow axis) and by its 1st to 99th percentile ({span} apart), and back after"
    )
