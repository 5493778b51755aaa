"""The networks of the quality benchmark, their measures on its images, and the tables of these."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from rich.box import SIMPLE_HEAD
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from stm_experiments import models
from stm_experiments.benchmarks.quality.cases import Case
from stm_experiments.core.intervals import Interval, mean_and_interval, psnr_of_interval
from stm_experiments.core.normalisation import NORMALISATIONS, denormalise, normalise_minmax
from stm_experiments.lattice import atoms
from stm_experiments.metrics import whole_image
from stm_experiments.models import checkpoint, tiling
from stm_experiments.reporting.result_table import NO_VALUE, Cell, ResultTable, embolden, number
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
# measure: heading, digits, whether small (True) or large (False) is better, None: neither
MEASURES: dict[str, tuple[str, int, bool | None]] = {
    "mse": ("MSE", 5, True),
    "psnr": ("PSNR dB", 2, False),
    "ssim": ("SSIM", 3, False),
    "mse_fitted": ("MSE fitted", 5, True),
    "bragg": ("Bragg", 3, None),
    "atom_rmse": ("atoms px", 3, True),
    "over_bound": ("/ bound", 2, True),
    "atoms_missed": ("missed", 3, True),
    "vacancy": ("vacancy h", 3, None),
    "seam": ("seam", 2, None),
    "seconds": ("s", 2, None),
}
WITH_INTERVAL = ("mse", "psnr", "atom_rmse", "vacancy")  # in the terminal; the CSV has all
LEGEND = """\
n images, ± half the 95 % interval over them. MSE fitted: the clean image affinely fitted to the
noisy one first (published pairs: always so). Bragg: |F_out|/|F_clean| at the clean image's peaks, 1
is right. atoms: RMSE per coordinate against the true (displaced) positions, also over the least
possible for a lone atom in white noise, (sigma/A) sqrt(2/pi); missed: share of the atoms. vacancy
h: 0 kept, 1 invented away. seam: gradients on the window grid over those off it. s: seconds per
image. The clean image's row says what the measures of atoms make of the truth itself."""


class Network(NamedTuple):
    """A denoiser and how it is run."""

    net: Callable[[Tensor], Tensor]
    window: int | None = None
    stride: int = 1
    normalisation: str | None = None  # None: whatever the image has

    def __call__(self, image: Tensor, normalisation: str) -> Tensor:
        """A whole image [H, W] on [-1, 1] -> denoised, in the same scale."""
        if self.normalisation in (None, normalisation):
            return tiling.apply_network(self.net, image, self.window, self.stride)
        x, affine = NORMALISATIONS[self.normalisation](image.numpy())
        output = tiling.apply_network(self.net, torch.from_numpy(x), self.window, self.stride)
        return torch.from_numpy(denormalise(output.numpy(), affine)).float()


def load_networks(
    paths: Sequence[str], stride: int, say: Callable[[str], None]
) -> dict[str, Network]:
    """The baselines that can be had, and the given model files or shipped models.

    Raises:
        ValueError: If a model cannot be loaded.
    """
    networks = {NOISY: Network(nn.Identity())}
    for name in BASELINES:
        try:
            net = getattr(models, name)()
            networks[net.label] = Network(net)
        except ValueError as error:
            say(f"left out: {name}: {error}")
    for path in paths:
        net = checkpoint.load(path)
        label = net.label
        run = Path(path).resolve().parent.parent.name if Path(path).is_file() else f"({path})"
        name = label if label not in networks else f"{label} {run}"
        name = name if name not in networks else path
        step = min(stride, net.window or stride)
        kind = net.card.normalisation if net.card else None
        networks[name] = Network(whole_image_network(net), net.window, step, kind)
    return networks


def measures(network: Network, case: Case) -> dict[str, float]:
    """All measures of one network on one image; NaN where the image cannot tell.

    Raises:
        ValueError: If the network cannot take the image.
    """
    start = time.perf_counter()
    output = network(case.noisy, case.normalisation)
    values = {"seconds": time.perf_counter() - start, **scores(output, case)}
    if network.window is not None and network.stride > 1:
        values["seam"] = tiling.seam_energy(output, network.window, network.stride)
    if case.vacancies is not None:
        noisy, full, vacant, sites = case.vacancies
        output = network(noisy, case.normalisation)
        values["vacancy"] = atoms.vacancy_preservation(output, full, vacant, sites)
    return values


def scores(output: Tensor, case: Case) -> dict[str, float]:
    """The measures that an output alone gives."""
    values = whole_image.errors(output, case.clean)
    fitted = whole_image.fitted(case.clean, case.noisy)
    values["mse_fitted"] = whole_image.errors(output, fitted)["mse"]
    values |= whole_image.bragg_fidelity(output, case.clean)
    if case.true is not None:
        values |= atoms.position_errors(output, case.true)
        values["over_bound"] = values["atom_rmse"] / case.bound if case.bound > 1e-6 else math.nan
    return values


Results = dict[tuple[str, str], dict[str, list[dict[str, float]]]]  # (lattice, noise) -> network


def score_all(
    networks: Mapping[str, Network], cases: Iterator[Case], total: int, say: Callable[[str], None]
) -> Results:
    """Every network on every image, under a progress bar."""
    results: Results = {}
    refused = set()
    for case in track(cases, "images", total):
        rows = results.setdefault((case.lattice, case.noise), {})
        for name, network in networks.items():
            try:
                rows.setdefault(name, []).append(measures(network, case))
            except ValueError as error:
                if (name, str(error)) not in refused:
                    say(f"left out: {name} on {case.lattice}, {case.noise}: {error}")
                refused.add((name, str(error)))
        # What the measures of atoms make of the truth itself.
        if case.true is not None:
            truth = scores(case.clean, case)
            kept = ("atom_rmse", "over_bound", "atoms_missed")
            rows.setdefault(CLEAN, []).append({measure: truth[measure] for measure in kept})
    return results


def summary(rows: list[dict[str, float]], measure: str) -> tuple[float, float | None]:
    """Mean over images and half its 95 % interval; PSNR is that of the mean MSE."""
    mean, half = mean_and_interval(
        [row.get("mse" if measure == "psnr" else measure, math.nan) for row in rows]
    )
    return psnr_of_interval(Interval(mean, half)) if measure == "psnr" else Interval(mean, half)


def table_of(results: Results) -> ResultTable:
    """One row for each lattice, noise and network; the best of each lattice and noise are bold."""
    columns = ("lattice", "noise", "", "n", *(heading for heading, *_ in MEASURES.values()))
    table = ResultTable("quality", columns, [])
    for (lattice, noise), networks in results.items():
        block = []
        for name, rows in networks.items():
            cells = [Cell(lattice), Cell(noise), Cell(name), number(len(rows), 0)]
            for measure, (_, digits, _) in MEASURES.items():
                mean, half = summary(rows, measure)
                cell = number(mean, digits, half)
                if measure not in WITH_INTERVAL:
                    cell = cell._replace(text=number(mean, digits).text)
                cells.append(cell)
            block.append(cells)
        competing = [cells for cells in block if cells[2].text != CLEAN]
        for column, (_, _, smallest) in enumerate(MEASURES.values(), 4):
            if smallest is not None:
                embolden(competing, column, smallest=smallest)
        table.rows.extend(block)
    return table


def printed(table: ResultTable, title: str, caption: str = "", block: int = 0) -> Table:
    """A table for the terminal; columns without a single number are left out.

    Args:
        table: The whole table.
        title: What it is.
        caption: How to read it.
        block: Rows that agree in so many first columns belong together.
    """
    texts = [i for i, _ in enumerate(table.columns) if all(r[i].value is None for r in table.rows)]
    names = [i for i in texts if any(row[i].text != NO_VALUE for row in table.rows)]
    shown = [i for i, _ in enumerate(table.columns) if i in names or i not in texts]
    rich = Table(title=title, caption=caption, caption_justify="left", box=SIMPLE_HEAD)
    for i in shown:
        rich.add_column(table.columns[i], justify="left" if i in names else "right", no_wrap=True)
    last = None
    for row in table.rows:
        here = [cell.text for cell in row[:block]]
        if here != last:
            rich.add_section()
        rich.add_row(*(f"[bold]{row[i].text}[/]" if row[i].bold else row[i].text for i in shown))
        last = here
    return rich


def invention_table(networks: Mapping[str, Network], size: int, draws: int) -> ResultTable:
    """What each network makes of white noise alone, scaled as an image would be."""
    table = ResultTable("invention", ("", "strongest peak out / in"), [])
    for name, network in networks.items():
        values = []
        for draw in range(draws):
            noise = torch.randn(size, size, generator=torch.Generator().manual_seed(draw))
            x = torch.from_numpy(normalise_minmax(noise.numpy())[0])
            try:
                values.append(whole_image.invention(network(x, "minmax"), x))
            except ValueError:
                break
        mean, half = mean_and_interval(values)
        table.rows.append([Cell(name), number(mean, 3, half)])
    return table
