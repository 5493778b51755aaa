"""The latent codes of runs as one cloud of points that the reader can turn."""

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go
import plotly.io

from stm_experiments.figures.canvas import CATEGORY_COLOURS

N_POINTS = 30_000  # of all runs together
COORDINATES = ["pc1", "pc2", "pc3"]


class RunCodes(NamedTuple):
    """The latent codes of a run.

    Attributes:
        name: What distinguishes the run.
        columns: A row per patch: "pc1", "pc2", "pc3", and what may colour the points. Text or
            numbers; NaN: unknown.
    """

    name: str
    columns: pd.DataFrame


def latent_cloud(codes: Sequence[RunCodes]) -> go.Figure:
    """Return a 3-D scatter plot with a choice of the run and of the colour.

    Names are escaped: plotly reads HTML in its texts.

    Args:
        codes: At least one run. If the runs have more than 30 000 points together, every n-th point
            of each is shown.
    """
    step = -(-sum(len(run.columns) for run in codes) // N_POINTS)
    tables = [run.columns[::step].dropna(axis="columns", how="all") for run in codes]
    numbers = (*COORDINATES, "code")  # of the code itself: they are places, and no colours
    colours = list(
        dict.fromkeys(name for t in tables for name in t if not name.startswith(numbers))
    )
    markers = {name: [_marker(table, name) for table in tables] for name in colours}
    figure = go.Figure()
    for place, table in enumerate(tables):
        x, y, z = (table[name].to_numpy("float32") for name in COORDINATES)
        marker = markers[colours[0]][place] if colours else {}
        figure.add_scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, visible=place == 0)
    figure.update_traces(hovertemplate="%{x:.3g}, %{y:.3g}, %{z:.3g}<extra></extra>")
    menus = [_menu(0.0, [_run_button(codes, place) for place in range(len(codes))])]
    if colours:
        menus.append(_menu(1.0, [_colour_button(name, markers[name]) for name in colours]))
    figure.update_layout(
        updatemenus=menus,
        scene={f"{axis}axis": {"title": f"PC {i}"} for i, axis in enumerate("xyz", 1)}
        | {
            "camera": {"eye": {"x": 1.5, "y": 1.5, "z": 1.2}, "center": {"x": 0, "y": 0, "z": -0.1}}
        },
        template="plotly_white",
        margin={"l": 0, "r": 0, "t": 60, "b": 0},
        height=600,
        uirevision="kept",  # a choice does not turn the cloud back
    )
    return figure


def cloud_html(figure: go.Figure) -> str:
    """Return the HTML of a cloud, for a page that contains plotly's script."""
    return str(
        plotly.io.to_html(
            figure,
            config={"displaylogo": False, "responsive": True},
            include_plotlyjs=False,
            full_html=False,
            div_id="cloud",
        )
    )


def _marker(table: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return the style of a run's points, coloured by a column; grey if the run lacks it."""
    marker: dict[str, Any] = {"size": 2.5, "opacity": 0.75}
    if name not in table:
        return marker | {"color": "#999999", "showscale": False}
    values = table[name]
    if pd.api.types.is_numeric_dtype(values):
        bar: dict[str, Any] = {"title": {"text": escape(name)}}
        return marker | {"color": values.to_numpy("float32"), "colorscale": "Viridis"} | _scale(bar)
    numbers, classes = pd.factorize(values, sort=True)
    n = len(classes)
    bar = {"tickvals": list(range(n)), "ticktext": [escape(str(text)) for text in classes]}
    palette = [CATEGORY_COLOURS[i % len(CATEGORY_COLOURS)] for i in range(n)]
    steps = [(end / n, colour) for i, colour in enumerate(palette) for end in (i, i + 1)]
    marker |= {"color": numbers, "colorscale": steps, "cmin": -0.5, "cmax": n - 0.5}
    return marker | _scale(bar | {"title": {"text": escape(name)}})


def _scale(bar: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a marker that shows its colour scale."""
    return {"showscale": True, "colorbar": bar | {"len": 0.7}}


def _menu(x: float, buttons: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a drop-down list above the cloud, at its left (0) or right end (1)."""
    return {
        "buttons": buttons,
        "x": x,
        "xanchor": "left" if x == 0 else "right",
        "y": 1.0,
        "yanchor": "bottom",
    }


def _run_button(codes: Sequence[RunCodes], place: int) -> dict[str, Any]:
    """Return the entry that shows one run alone."""
    visible = [i == place for i in range(len(codes))]
    label = escape(codes[place].name)
    return {"label": label, "method": "restyle", "args": [{"visible": visible}]}


def _colour_button(name: str, markers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the entry that colours all runs by a column."""
    label = f"coloured by {escape(name)}"
    return {"label": label, "method": "restyle", "args": [{"marker": list(markers)}]}
