"""The tables of the collection: gains, features, inventions and coverage per stratum."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from stm_experiments.benchmarks.quality.noises import WHITE
from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.reporting.result_table import Cell, ResultTable, number

Row = dict[str, Any]
"""A row of results: the names of a case and of a method, and its scores."""

WORST_CASES = 10
_READABLE = (
    *(f"white_{sigma:g}" for sigma in WHITE if sigma <= 0.1),
    "poisson_1000",
    "poisson_100",
)


def is_readable(row: Row) -> bool:
    """Return whether the noise of a case leaves its features readable by eye."""
    return row["noise"] in _READABLE


def methods_of(rows: Iterable[Row]) -> list[str]:
    """Return the names of the methods in their first order."""
    return list(dict.fromkeys(row["method"] for row in rows))


def grouped(rows: Iterable[Row], *keys: str) -> dict[tuple[str, ...], list[Row]]:
    """Return the rows of each combination of values, in order of first appearance."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(str(row[key]) for key in keys)].append(row)
    return dict(groups)


def mean_cell(rows: Sequence[Row], key: str, digits: int = 1) -> Cell:
    """Return the cell of a mean with its 95 % interval over cases."""
    mean, half = mean_and_interval([row.get(key, math.nan) for row in rows])
    return number(mean, digits, half)


def stratum_table(
    rows: Sequence[Row], name: str, key: str, *, worst: Callable[[list[float]], float], digits: int
) -> ResultTable:
    """Tabulate one measure: strata down, for each method the mean with its interval and the worst.

    Args:
        rows: Of all methods.
        name: File name of the table.
        key: The measure.
        worst: Returns the worst of several values.
        digits: After the point.
    """
    methods = methods_of(rows)
    columns = ["surface", "noise", "n"] + [x for m in methods for x in (m, "worst")]
    table = ResultTable(name, tuple(columns), [])
    measured = [row for row in rows if key in row]
    strata = grouped(measured, "surface_kind", "noise_kind")
    for (kind,), group in grouped(measured, "surface_kind").items():
        strata[kind, "all"] = group
    for (kind,), group in grouped(measured, "noise_kind").items():
        strata["all", kind] = group
    for (surface, noise), group in sorted(strata.items(), key=_with_sums_last):
        by_method = grouped(group, "method")
        count = max(len(own) for own in by_method.values())
        cells = [Cell(surface), Cell(noise), number(count, 0)]
        for method in methods:
            own = by_method.get((method,), [])
            values = [row[key] for row in own]
            cells += [mean_cell(own, key, digits), number(worst(values) if own else None, digits)]
        table.rows.append(cells)
    return table


def _with_sums_last(item: tuple[tuple[str, ...], list[Row]]) -> tuple[bool, str, bool, str]:
    """Return the key that sorts strata by surface, then noise, each sum at the end."""
    surface, noise = item[0]
    return surface == "all", surface, noise == "all", noise


def furthest_from_one(values: Sequence[float]) -> float:
    """Return the value furthest from 1."""
    return max(values, key=lambda value: abs(value - 1))


def feature_table(rows: Sequence[Row]) -> ResultTable:
    """Tabulate what is kept of each feature and added beside it, at readable and other noise."""
    columns = ("feature", "noise", "method", "n", "kept", "worst", "added", "most added", "peak")
    table = ResultTable("features", columns, [])
    features = [
        {**row, "noise": "up to .1 c" if is_readable(row) else "other"}
        for row in rows
        if "kept" in row
    ]
    for (surface, noise, method), group in sorted(
        grouped(features, "surface", "noise", "method").items()
    ):
        kept = [row["kept"] for row in group]
        table.rows.append(
            [
                Cell(surface), Cell(noise), Cell(method), number(len(group), 0),
                mean_cell(group, "kept", 3), number(furthest_from_one(kept), 3),
                mean_cell(group, "added", 3), number(max(row["added"] for row in group), 3),
                mean_cell(group, "peak_added", 3),
            ]
        )  # fmt: skip
    return table


def invention_table(rows: Sequence[Row]) -> ResultTable:
    """Tabulate what each method makes of white noise alone."""
    keys = ("left", "maxima", "gaussian_maxima", "skewness", "gaussian_skewness", "peak")
    table = ResultTable("invention", ("noise", "method", "n", *keys), [])
    empty = [row for row in rows if "left" in row]
    for (noise, method), group in sorted(grouped(empty, "noise", "method").items()):
        cells = [mean_cell(group, key, 0 if "maxima" in key else 2) for key in keys]
        table.rows.append([Cell(noise), Cell(method), number(len(group), 0), *cells])
    return table


def coverage_table(rows: Sequence[Row]) -> ResultTable:
    """Tabulate the shares of pixels within one and two stated deviations of the truth, %."""
    table = ResultTable("coverage", ("surface", "noise", "method", "n", "within 1", "within 2"), [])
    stated = [{**r, "one": 100 * r["within_1"], "two": 100 * r["within_2"]}
              for r in rows if "within_1" in r]  # fmt: skip
    for (surface, noise, method), group in sorted(
        grouped(stated, "surface_kind", "noise_kind", "method").items()
    ):
        cells = [mean_cell(group, key) for key in ("one", "two")]
        names = [Cell(surface), Cell(noise), Cell(method), number(len(group), 0)]
        table.rows.append([*names, *cells])
    return table


def worst_table(rows: Sequence[Row]) -> ResultTable:
    """List the ten cases of least gain of each method."""
    table = ResultTable("worst", ("method", "case", "px", "gain dB", "setting"), [])
    for (method,), group in grouped(rows, "method").items():
        for row in sorted(group, key=lambda row: float(row["gain"]))[:WORST_CASES]:
            shape = " x ".join(map(str, row["shape"]))
            cells = [Cell(method), Cell(row["case"]), Cell(shape), number(row["gain"], 2)]
            table.rows.append([*cells, Cell(row["setting"])])
    return table
