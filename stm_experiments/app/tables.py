"""The tables that commands print."""

from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from stm_experiments.core.intervals import Interval
from stm_experiments.core.results.measures import MEASURES
from stm_experiments.core.results.names import FLOOR, read_name
from stm_experiments.core.texts import printable
from stm_experiments.evaluation.assess import Assessment
from stm_experiments.evaluation.error_matrix import ErrorMatrix
from stm_experiments.evaluation.held_out import HeldOutScores
from stm_experiments.latent.factors import FACTORS
from stm_experiments.latent.invariance import SHIFTS
from stm_experiments.latent.report import FEW_IMAGES, POOL_SIZES
from stm_experiments.metrics.measures import METRICS
from stm_experiments.metrics.scores import NOISY_INPUT, Scores

LEAST_NAME = 24  # characters of a line of names, in a table that is too wide


def print_scores(scores: HeldOutScores) -> None:
    """Print the scores of a run's network and its baselines."""
    title = scores.title
    if scores.split == "validation":
        title += " (there are no test images: last weights, not the best)"
    print_table(score_table(scores.overall, title), "metrics.json")


def print_assessment(assessment: Assessment) -> None:
    """Print what an assessment adds to the scores: the floor, and the table of latent codes."""
    for text, floor in assessment.numbers.items():
        name = read_name(text)
        if name and name.network == FLOOR:
            print(
                f"The least mse clean that this noise allows is {floor:.5f}, for an unbiased "
                "estimate of the 8 parameters of a lattice."
            )
    if assessment.latent:
        print_table(latent_table(assessment.latent), "latent.json")


def print_table(table: Table, file: str = "") -> None:
    """Print a table to the terminal, without the last columns where it is too narrow for all.

    Args:
        table: The table; names stand in its first column.
        file: Where all numbers are.
    """
    console = Console()
    console.print(fitted(table, console.width, file))


def fitted(table: Table, width: int, file: str = "") -> Table:
    """Return a table of a limited width, from which columns are left out, and never digits.

    The first column, of names, is folded. The caption says which columns were left out.

    Args:
        table: The table.
        width: Of the terminal, characters.
        file: Where all numbers are, for the caption.
    """
    first, *others = table.columns
    names = _widest(first, whole=True)
    room = width - min(names, LEAST_NAME) - 4  # a column costs three characters, and one at the end
    words = [_widest(column, whole=False) for column in others]
    ends = list(accumulate(words, lambda total, word: total + word + 3, initial=0))[1:]
    kept = max(1, sum(end <= room for end in ends))
    cells = [_widest(column, whole=True) for column in others[:kept]]
    if sum(cells) + 3 * kept > width - names - 4:
        cells = words[:kept]
    for column, size in zip(others, cells, strict=False):
        column.width, column.no_wrap = size, False
    first.width = max(1, min(names, width - 4 - sum(cells) - 3 * kept))
    first.no_wrap, first.overflow = False, "fold"
    left_out = [" ".join(_plain(column.header).split()) for column in others[kept:]]
    if left_out:
        note = f"not shown for want of room: {', '.join(left_out)}"
        note += f" (in {file})" if file else ""
        table.caption = Text("; ".join(filter(None, [_plain(table.caption or ""), note])))
    table.columns = [first, *others[:kept]]
    return table


def _plain(content: RenderableType) -> str:
    """Return the text of a heading, a cell or a caption without its markup."""
    return content.plain if isinstance(content, Text) else Text.from_markup(str(content)).plain


def _widest(column: Column, *, whole: bool) -> int:
    """Return the width of the widest line of a column's cells, or of their widest word.

    A heading is broken between words.
    """
    cells = [_plain(cell) for cell in column.cells]
    parts = [line for cell in cells for line in (cell.splitlines() if whole else cell.split())]
    return max(map(cell_len, [*parts, *_plain(column.header).split()]), default=1)


def score_table(scores: Scores, title: str = "") -> Table:
    """Return a table of networks (rows) and measures (columns), with half the 95 % interval.

    The best mean of each column is bold. Compared with the noisy image, the noisy input itself is
    perfect and does not compete.

    Args:
        scores: Network -> measure -> mean and interval.
        title: What was scored: the split and the lattice.
    """
    has_interval = any(each.half is not None for row in scores.values() for each in row.values())
    caption = "± half the 95 % interval by image" if has_interval else None  # one image has none
    table = Table(title=escape(title), caption=caption)
    table.add_column("")
    metrics = [name for name in METRICS if any(name in row for row in scores.values())]
    for name in metrics:
        unit = MEASURES[name].unit
        heading = name.replace("_", " ") + (f", {unit}" if unit else "")
        table.add_column(heading, justify="right")
    best = {name: _best_network(scores, name) for name in metrics}
    for network, row in scores.items():
        cells = [_score_cell(row, name, is_best=network in best[name]) for name in metrics]
        table.add_row(Text(network), *cells)
    return table


def _best_network(scores: Scores, name: str) -> list[str]:
    """Return the networks with the best mean of a measure."""
    means = {
        network: row[name].mean
        for network, row in scores.items()
        if name in row and (network != NOISY_INPUT or name.endswith("clean"))
    }
    best = (max if MEASURES[name].highest_is_best else min)(means.values(), default=None)
    return [network for network, mean in means.items() if mean == best]


def _score_cell(row: dict[str, Interval], name: str, *, is_best: bool) -> Text:
    """Return a mean and half its interval; a dash where the network has no such measure."""
    if name not in row:
        return Text("-")
    digits = MEASURES[name].digits
    mean, half = row[name]
    text = f"{mean:.{digits}f}" + ("" if half is None else f" ±{half:.{digits}f}")
    return Text(text, "bold" if is_best else "")


def matrix_table(matrix: ErrorMatrix, measure: str = "mse noisy") -> Table:
    """Return a table of trained-on (row) and tested-on (column); the best of a column is bold."""
    table = Table(title=f"{measure}, trained on (row) and tested on (column)", box=box.SIMPLE)
    table.add_column("", overflow="fold")
    lattices = list(next(iter(matrix.values())))
    for lattice in lattices:
        table.add_column(escape(lattice), justify="right")
    best = {name: min(row[name] for row in matrix.values() if row[name] > 0) for name in lattices}
    for model, row in matrix.items():
        cells = [
            f"[bold]{error:.5f}[/bold]" if error == best[name] else f"{error:.5f}"
            for name, error in row.items()
        ]
        table.add_row(escape(printable(model)), *cells)
    return table


class _LatentRow(NamedTuple):
    """A row of the table of latent codes.

    Attributes:
        label: What is measured.
        key: The measure's key in the report.
        uninformed: Its value for codes that hold no information; empty where there is none.
    """

    label: str
    key: str
    uninformed: str


def _latent_rows(chance: str) -> list[_LatentRow]:
    """Return the rows of the table of latent codes, from a chance of guessing the lattice."""
    rows = []
    kinds = (("single", "one patch"), ("pooled", "all of an image"))
    for kind, words in kinds:
        rows += [
            _LatentRow(f"lattice: linear probe, {words}", f"{kind}/probe", chance),
            _LatentRow(f"lattice: nearest codes, {words}", f"{kind}/knn", chance),
            _LatentRow(f"lattice: k-means ARI, {words}", f"{kind}/ari", "0"),
            _LatentRow(f"lattice: silhouette, {words}", f"{kind}/silhouette", "<= 0"),
        ]
    words = f"one patch, labels of {FEW_IMAGES} images"
    key = f"single/probe_{FEW_IMAGES}_images"
    rows.append(_LatentRow(f"lattice: linear probe, {words}", key, chance))
    for size in POOL_SIZES:
        label = f"lattice: linear probe, {size} patches"
        rows.append(_LatentRow(label, f"pooled_{size}/probe", chance))
    parts = (("lattice", "between lattices"), ("image", "between images"), ("patch", "in an image"))
    rows += [_LatentRow(f"variance {words}", f"variance/{name}", "") for name, words in parts]
    for kind, words in kinds:
        for factor in FACTORS:
            label = f"R² of {factor.replace('_', '-')}, {words}"
            rows.append(_LatentRow(label, f"{kind}/r2_{factor}", "0"))
    rows += [
        _LatentRow(f"change by a shift of {n} px", f"invariance/shift_{n}", "1") for n in SHIFTS
    ]
    for name in ("turns", "flips"):
        rows.append(_LatentRow(f"change by {name}", f"invariance/{name}", "1"))
    return rows


def latent_table(
    report: Mapping[str, Mapping[str, float]], title: str = "Latent codes, on held-out images"
) -> Table:
    """Return a table of measures (rows) and networks (columns).

    Args:
        report: From ``latent_report``; R^2 within single lattices is not shown.
        title: Above the table.
    """
    chance = next((f"{row['chance']:.3g}" for row in report.values() if "chance" in row), "")
    table = Table(title=title, caption="change: 0 the code is invariant, 1 as another patch's")
    table.add_column("")
    table.add_column("no information", justify="right")
    for name in report:
        table.add_column(Text(name, overflow="fold"), justify="right")
    for label, key, uninformed in _latent_rows(chance):
        if any(key in row for row in report.values()):
            cells = [f"{row[key]:.3f}" if key in row else "-" for row in report.values()]
            table.add_row(label, uninformed, *cells)
    return table
