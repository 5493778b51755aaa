"""The networks of the quality benchmark, their measures on its images, and the tables of these."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from rich.progress import track
from torch import Tensor, nn

from stm_experiments import models
from stm_experiments.benchmarks.quality.images import KnownImage
from stm_experiments.core.intervals import Interval, mean_and_interval, psnr_of_interval
from stm_experiments.core.normalisation import NORMALISATIONS, denormalise, normalise_minmax
from stm_experiments.lattice.atom_errors import position_errors, vacancy_preservation
from stm_experiments.metrics import whole_image
from stm_experiments.models import checkpoint, tiling
from stm_experiments.reporting.result_table import Cell, ResultTable, embolden, number
from stm_experiments.restoration.whole_network import whole_image_network

BASELINES = (
    "Gaussian",
    "Median",
    "NonLocalMeans",
    "Wavelet",
    "TotalVariation",
    "PatchPCA",
    "BraggFilter",
    "BM3D",
    "RowMedian",
    "MedianOfDifferences",
    "DetectAndInterpolate",
)
NOISY, CLEAN = "noisy input", "clean image"


class Measure(NamedTuple):
    """How a measure is shown.

    Attributes:
        heading: Of its column.
        digits: After the point.
        smallest: Whether the smallest (True) or the largest (False) value is best; None: neither.
    """

    heading: str
    digits: int
    smallest: bool | None


MEASURES = {
    "mse": Measure("MSE", 5, smallest=True),
    "psnr": Measure("PSNR dB", 2, smallest=False),
    "ssim": Measure("SSIM", 3, smallest=False),
    "mse_fitted": Measure("MSE fitted", 5, smallest=True),
    "bragg": Measure("Bragg", 3, smallest=None),
    "atom_rmse": Measure("atoms px", 3, smallest=True),
    "over_bound": Measure("/ bound", 2, smallest=True),
    "atoms_missed": Measure("missed", 3, smallest=True),
    "vacancy": Measure("vacancy h", 3, smallest=None),
    "seam": Measure("seam", 2, smallest=None),
    "seconds": Measure("s", 2, smallest=None),
}
WITH_INTERVAL = ("mse", "psnr", "atom_rmse", "vacancy")  # in the terminal; the CSV has all
LEGEND = """\
n images, ± half the 95 % interval over them. MSE fitted: the clean image affinely fitted to the
noisy one first (published pairs: always so). Bragg: |F_out|/|F_clean| at the clean image's peaks, 1
is right. atoms: RMSE per coordinate against the true (displaced) positions, also over the least
possible for a lone atom in white noise, (sigma/A) sqrt(2/pi); missed: share of the atoms. vacancy
h: 0 kept, 1 invented away. seam: gradients on the window grid over those off it. s: seconds per
image. The clean image's row has the measures of atoms of the truth itself."""


Results = dict[tuple[str, str], dict[str, list[dict[str, float]]]]  # (lattice, noise) -> network


class DenoisingMethod(NamedTuple):
    """A network and how it is applied to whole images.

    Attributes:
        net: [B, 1, h, w] to the same shape.
        window: Its patch size, px; None: any.
        stride: Step between windows, px.
        normalisation: The map to [-1, 1] that it expects; None: any.
    """

    net: Callable[[Tensor], Tensor]
    window: int | None = None
    stride: int = 1
    normalisation: str | None = None

    def __call__(self, image: Tensor, normalisation: str) -> Tensor:
        """Denoise a whole image [H, W] on [-1, 1]; the result is on the same scale."""
        if self.normalisation in (None, normalisation):
            return tiling.apply_network(self.net, image, self.window, self.stride)
        x, affine = NORMALISATIONS[self.normalisation](image.numpy())
        output = tiling.apply_network(self.net, torch.from_numpy(x), self.window, self.stride)
        return torch.from_numpy(denormalise(output.numpy(), affine)).float()


def denoising_methods(
    paths: Sequence[str], stride: int, say: Callable[[str], None]
) -> dict[str, DenoisingMethod]:
    """Return the available baselines, and the given model files or shipped models, by name.

    Raises:
        ValueError: If a model cannot be loaded.
    """
    methods = {NOISY: DenoisingMethod(nn.Identity())}
    for name in BASELINES:
        try:
            baseline = getattr(models, name)()
            methods[baseline.label] = DenoisingMethod(baseline)
        except ValueError as error:
            say(f"left out: {name}: {error}")
    for path in paths:
        net = checkpoint.load(path)
        run = Path(path).resolve().parent.parent.name if Path(path).is_file() else f"({path})"
        name = net.label if net.label not in methods else f"{net.label} {run}"
        name = name if name not in methods else path
        step = min(stride, net.window or stride)
        kind = net.card.normalisation if net.card else None
        methods[name] = DenoisingMethod(whole_image_network(net), net.window, step, kind)
    return methods


def method_measures(method: DenoisingMethod, image: KnownImage) -> dict[str, float]:
    """Return all measures of one method on one image; NaN where they are not defined.

    Raises:
        ValueError: If the network cannot take the image.
    """
    start = time.perf_counter()
    output = method(image.noisy, image.normalisation)
    values = {"seconds": time.perf_counter() - start, **output_measures(output, image)}
    if method.window is not None and method.stride > 1:
        values["seam"] = tiling.seam_energy(output, method.window, method.stride)
    if image.vacancies is not None:
        noisy, full, vacant, sites = image.vacancies
        output = method(noisy, image.normalisation)
        values["vacancy"] = vacancy_preservation(output, full, vacant, sites)
    return values


def output_measures(output: Tensor, image: KnownImage) -> dict[str, float]:
    """Return the measures that follow from the output [H, W] alone."""
    values = whole_image.image_errors(output, image.clean)
    fitted = whole_image.match_scale(image.clean, image.noisy)
    values["mse_fitted"] = whole_image.image_errors(output, fitted)["mse"]
    values |= whole_image.bragg_fidelity(output, image.clean)
    if image.positions is not None:
        values |= position_errors(output, image.positions)
        bounded = image.bound > 1e-6
        values["over_bound"] = values["atom_rmse"] / image.bound if bounded else math.nan
    return values


def score_all(
    methods: Mapping[str, DenoisingMethod],
    images: Iterator[KnownImage],
    total: int,
    say: Callable[[str], None],
) -> Results:
    """Score every method on every image, under a progress bar."""
    results: Results = {}
    refused = set()
    for image in track(images, "images", total):
        rows = results.setdefault((image.lattice, image.noise), {})
        for name, method in methods.items():
            try:
                rows.setdefault(name, []).append(method_measures(method, image))
            except ValueError as error:
                if (name, str(error)) not in refused:
                    say(f"left out: {name} on {image.lattice}, {image.noise}: {error}")
                refused.add((name, str(error)))
        if image.positions is not None:  # the measures of atoms of the truth itself
            truth = output_measures(image.clean, image)
            of_atoms = ("atom_rmse", "over_bound", "atoms_missed")
            rows.setdefault(CLEAN, []).append({measure: truth[measure] for measure in of_atoms})
    return results


def measure_interval(rows: list[dict[str, float]], measure: str) -> Interval:
    """Return the mean over images and half its 95 % interval; PSNR is that of the mean MSE."""
    values = [row.get("mse" if measure == "psnr" else measure, math.nan) for row in rows]
    interval = mean_and_interval(values)
    return psnr_of_interval(interval) if measure == "psnr" else interval


def quality_table(results: Results) -> ResultTable:
    """Tabulate one row for each lattice, noise and method; the best of each block are bold."""
    columns = ("lattice", "noise", "", "n", *(measure.heading for measure in MEASURES.values()))
    table = ResultTable("quality", columns, [])
    for (lattice, noise), methods in results.items():
        block = []
        for name, rows in methods.items():
            cells = [Cell(lattice), Cell(noise), Cell(name), number(len(rows), 0)]
            for key, measure in MEASURES.items():
                mean, half = measure_interval(rows, key)
                cell = number(mean, measure.digits, half)
                if key not in WITH_INTERVAL:
                    cell = cell._replace(text=number(mean, measure.digits).text)
                cells.append(cell)
            block.append(cells)
        competing = [cells for cells in block if cells[2].text != CLEAN]
        for column, measure in enumerate(MEASURES.values(), 4):
            if measure.smallest is not None:
                embolden(competing, column, smallest=measure.smallest)
        table.rows.extend(block)
    return table


def invention_table(methods: Mapping[str, DenoisingMethod], size: int, draws: int) -> ResultTable:
    """Tabulate the output of each method for white noise alone, scaled as an image would be."""
    table = ResultTable("invention", ("", "strongest peak out / in"), [])
    for name, method in methods.items():
        values = []
        for draw in range(draws):
            noise = torch.randn(size, size, generator=torch.Generator().manual_seed(draw))
            x = torch.from_numpy(normalise_minmax(noise.numpy())[0])
            try:
                values.append(whole_image.invented_power(method(x, "minmax"), x))
            except ValueError:
                break
        mean, half = mean_and_interval(values)
        table.rows.append([Cell(name), number(mean, 3, half)])
    return table
