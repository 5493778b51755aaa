"""The latent codes of runs as one cloud of points that the reader can turn."""

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from stm_experiments.figures.canvas import CATEGORY_COLOURS

N_POINTS = 20_000  # of all runs together
COORDINATES = ["pc1", "pc2", "pc3"]


class RunCodes(NamedTuple):
    """The latent codes of a run.

    Attributes:
        name: What distinguishes the run.
        columns: A row per patch: "pc1", "pc2", "pc3", and what may colour the points. Text or
            numbers; NaN: unknown.
        sheet: The patches side by side, row by row, as a data URI; empty: unknown.
        side: Height and width of a patch in the sheet, px.
    """

    name: str
    columns: pd.DataFrame
    sheet: str = ""
    side: int = 0


def latent_cloud(codes: Sequence[RunCodes]) -> dict[str, Any]:
    """Return 3-D scatter plots for plotly, one per run, with the choices of colours.

    Names are escaped: plotly reads HTML in its texts.

    Args:
        codes: At least one run. If the runs have more than 20 000 points together, every n-th point
            of each is shown.

    Returns:
        ``traces``, ``names`` of the runs, ``factors`` in their order, ``colours`` (by factor a
        marker for each run), ``step`` between the shown patches, ``sheets`` and ``sides`` of the
        patches.
    """
    step = -(-sum(len(run.columns) for run in codes) // N_POINTS)
    tables = [run.columns[::step].dropna(axis="columns", how="all") for run in codes]
    factors = _factors(tables)
    return {
        "names": [run.name for run in codes],
        "traces": [_trace(table) for table in tables],
        "factors": factors,
        "colours": {name: [_marker(table, name) for table in tables] for name in factors},
        "step": step,
        "sheets": [run.sheet for run in codes],
        "sides": [run.side for run in codes],
    }


def _factors(tables: Sequence[pd.DataFrame]) -> list[str]:
    """Return the columns that tell points apart, without the numbers of the code itself."""
    numbers = (*COORDINATES, "code")
    names = dict.fromkeys(name for table in tables for name in table)
    return [
        name
        for name in names
        if not name.startswith(numbers) and any(t[name].nunique() > 1 for t in tables if name in t)
    ]


def _trace(table: pd.DataFrame) -> dict[str, Any]:
    """Return the points of a run, each with the words that describe it."""
    places = {axis: _rounded(table[name]) for axis, name in zip("xyz", COORDINATES, strict=True)}
    factors = [name for name in _factors([table]) if name in table]
    rows = zip(*(table[name] for name in factors), strict=True) if factors else [()] * len(table)
    texts = [
        "<br>".join(f"{escape(name)} {_shown(v)}" for name, v in zip(factors, row, strict=True))
        for row in rows
    ]
    return {
        **{"type": "scatter3d", "mode": "markers", "text": texts, "showlegend": False},
        **{"hovertemplate": "%{text}<extra></extra>", "marker": {"size": 3, "opacity": 0.8}},
        **places,
    }


def _shown(value: object) -> str:
    """Return a value of a factor as text."""
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value))


def _rounded(values: pd.Series) -> list[float]:
    """Return numbers to four digits, which are enough to draw them."""
    return [float(f"{value:.4g}") for value in values.to_numpy(np.float64)]


def _marker(table: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return the style of a run's points, coloured by a column; grey if the run lacks it."""
    marker: dict[str, Any] = {"size": 3, "opacity": 0.8}
    if name not in table or table[name].nunique() < 2:
        return marker | {"color": "#999999", "showscale": False}
    values = table[name]
    title = {"text": escape(name), "side": "right"}
    if pd.api.types.is_numeric_dtype(values):
        known = [None if pd.isna(value) else float(value) for value in values]
        return marker | {"color": known, "colorscale": "Viridis"} | _scale({"title": title})
    numbers, classes = pd.factorize(values, sort=True)
    n = len(classes)
    bar = {"tickvals": list(range(n)), "ticktext": [escape(str(text)) for text in classes]}
    palette = [CATEGORY_COLOURS[i % len(CATEGORY_COLOURS)] for i in range(n)]
    steps = [[end / n, colour] for i, colour in enumerate(palette) for end in (i, i + 1)]
    marker |= {"color": numbers.tolist(), "colorscale": steps, "cmin": -0.5, "cmax": n - 0.5}
    return marker | _scale(bar | {"title": title})


def _scale(bar: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a marker that shows its colour scale."""
    return {"showscale": True, "colorbar": bar | {"len": 0.7, "thickness": 14}}
