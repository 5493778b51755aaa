"""The interactive charts of a report: curves, and results against hyperparameters."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape
from textwrap import wrap
from typing import Any, NamedTuple

from stm_experiments.figures.canvas import CATEGORY_COLOURS
from stm_experiments.reporting.averages import distinct, group_by_seed
from stm_experiments.reporting.runs import Curve, Run
from stm_experiments.reporting.settings import NAMES, Settings, Task, Value, shown, task_of
from stm_experiments.reporting.tables import baseline_of

COLOURS = (*CATEGORY_COLOURS[:-1], "#888888")  # black would be lost on a dark page
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star")
MOST_CURVES = 12  # settings in one chart
LINE_WIDTHS = {"val/loss": 2.2, "train/loss": 1.0}
IMAGES = ("lattice", "noise", "images")
DECADE = 5  # ratio of the ends of an axis from which on it is logarithmic


class Chart(NamedTuple):
    """A chart for plotly, which reads HTML in texts: all names in it are escaped.

    Attributes:
        heading: What stands above it.
        traces: Plotly's traces.
        layout: Plotly's layout.
        note: What stands below it.
    """

    heading: str
    traces: list[dict[str, Any]]
    layout: dict[str, Any]
    note: str = ""


def curve_charts(runs: Sequence[Run], settings: Settings) -> list[Chart]:
    """Return the loss of each task against the epoch, and a chart for each other logged number.

    A colour is a setting: its seeds share it. Of many settings the best are drawn.
    """
    tasks: dict[Task, list[Run]] = {task: [] for task in settings.tasks}
    for run in distinct(runs):
        if run.curves:
            tasks.setdefault(task_of(run), []).append(run)
    charts = []
    for task, members in tasks.items():
        groups = sorted(group_by_seed(members), key=_last_loss)
        heading = settings.title(task) or task.lattice
        charts.append(_loss_chart(heading, task, groups, settings))
        keys = dict.fromkeys(key for run in members for key in run.curves)
        for key in keys:
            if key not in LINE_WIDTHS:
                charts.append(_component_chart(f"{heading} {key}", key, groups, settings))
    return [chart for chart in charts if chart.traces]


def _last_loss(group: Sequence[Run]) -> float:
    """Return the best result of some runs, or of their validation curves; for sorting."""
    results = [run.badness for run in group if run.result is not None]
    ends = [run.curves["val/loss"][-1][1] for run in group if "val/loss" in run.curves]
    return min([value for value in results or ends if math.isfinite(value)], default=math.inf)


def _loss_chart(heading: str, task: Task, groups: Sequence[list[Run]], settings: Settings) -> Chart:
    """Return training and validation losses of the runs of a task."""
    traces = _curve_traces(groups, tuple(LINE_WIDTHS), settings)
    loss = groups[0][0].loss if groups else ""
    layout = _curve_layout(traces, loss)
    notes = ["Thick: validation. Thin: training."]
    baseline, error = baseline_of(groups[0][0]) if groups else ("", None)
    if error is not None and error > 0:
        line = {"dash": "dash", "color": "#888888", "width": 1.5}
        span = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": error, "y1": error}
        layout["shapes"] = [span | {"line": line}]
        end = max((trace["x"][-1] for trace in traces), default=0.0)
        traces.append(_point_of_baseline(baseline, end, error))
        notes.append(f"Dashed: {baseline}, {error:.4g} on the held-out images.")
    if len(groups) > MOST_CURVES:
        notes.append(f"The {MOST_CURVES} best of {len(groups)} settings.")
    return Chart(heading, traces, layout, " ".join(notes))


def _point_of_baseline(name: str, epoch: float, error: float) -> dict[str, Any]:
    """Return a point without a mark that keeps the line of a baseline within the axes."""
    point = {"x": [epoch], "y": [error], "mode": "markers", "showlegend": False}
    return point | {"marker": {"opacity": 0}, "hovertemplate": f"{name}: %{{y:.4g}}<extra></extra>"}


def _component_chart(
    heading: str, key: str, groups: Sequence[list[Run]], settings: Settings
) -> Chart:
    """Return another number that the runs of a task logged."""
    traces = _curve_traces(groups, (key,), settings)
    label = groups[0][0].measure(key).title if groups else key
    return Chart(heading, traces, _curve_layout(traces, label))


def _curve_traces(
    groups: Sequence[list[Run]], keys: Sequence[str], settings: Settings
) -> list[dict[str, Any]]:
    """Return the curves of the first settings: one colour each."""
    traces = []
    for place, group in enumerate(groups[:MOST_CURVES]):
        group_name = escape(settings.name_of(group, *IMAGES))
        for run in group:
            name = escape(settings.name(run, *IMAGES))
            for key in keys:
                points = _finite(run.curves.get(key, []))
                if not points:
                    continue
                traces.append(
                    {
                        "x": [epoch for epoch, _ in points],
                        "y": [float(f"{value:.5g}") for _, value in points],
                        "name": group_name,
                        "legendgroup": str(place),
                        "showlegend": key == keys[0] and run is group[0],
                        "mode": "lines+markers" if len(points) == 1 else "lines",
                        "line": {
                            "color": COLOURS[place % len(COLOURS)],
                            "width": LINE_WIDTHS.get(key, 2.0),
                            "dash": "solid" if place < len(COLOURS) else "dot",
                        },
                        "hovertemplate": f"{name}<br>{escape(key)} %{{y:.5g}}<br>epoch %{{x}}"
                        "<extra></extra>",
                    }
                )
    return traces


def _finite(points: Curve) -> Curve:
    """Return the points of a curve that can be drawn."""
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _curve_layout(traces: Sequence[dict[str, Any]], label: str) -> dict[str, Any]:
    """Return the layout of curves against epochs."""
    values = [value for trace in traces for value in trace["y"]]
    names = sum(bool(trace["showlegend"]) for trace in traces)
    return {
        "xaxis": {"title": {"text": "epoch"}},
        "yaxis": {"title": {"text": _broken(label)}, "type": _scale(values, 1.0)},
        **_legend(names),
    }


def _legend(names: int) -> dict[str, Any]:
    """Return the layout of a list of names below the axes; a single name is not shown."""
    height = 20 * names if names > 1 else 0
    margin = {"l": 60, "r": 12, "t": 10, "b": 50 + height}
    return {"showlegend": names > 1, "height": 370 + height, "margin": margin}


def _broken(label: str) -> str:
    """Return the name of an axis in short lines."""
    return "<br>".join(escape(line) for line in wrap(label, 36))


def _scale(values: Iterable[float], least_ratio: float = DECADE) -> str:
    """Return whether an axis is logarithmic: its values are positive and spread."""
    numbers = list(values)
    spread = bool(numbers) and min(numbers) > 0 and max(numbers) >= least_ratio * min(numbers)
    return "log" if spread else "linear"


def dependence_charts(settings: Settings) -> list[Chart]:
    """Return a chart of the result against each number that was varied, for each measure."""
    charts = []
    for measure, tasks in _tasks_by_measure(settings).items():
        for key in settings.numeric:
            traces = _dependence_traces(tasks, key, settings)
            x = [value for trace in traces for value in trace["x"]]
            if len(set(x)) < 2:
                continue
            y = [value for trace in traces for value in trace["y"]]
            heading = settings.headings[key]
            layout = {
                "xaxis": {"title": {"text": escape(heading)}} | _ticks(x),
                "yaxis": {"title": {"text": _broken(measure)}, "type": _scale(y, 2.0)},
                **_legend(len(traces) // 2),
            }
            charts.append(Chart(heading, traces, layout))
    return charts


def _tasks_by_measure(settings: Settings) -> dict[str, dict[Task, list[Run]]]:
    """Return the tasks whose results are of the same kind together."""
    measures: dict[str, dict[Task, list[Run]]] = defaultdict(dict)
    for task, runs in settings.tasks.items():
        measures[task.measure][task] = distinct(runs)
    return measures


def _ticks(values: Sequence[float]) -> dict[str, Any]:
    """Return the scale of an axis; few values are its ticks."""
    few = sorted(set(values))
    axis: dict[str, Any] = {"type": _scale(values)}
    if len(few) <= 6:
        axis |= {"tickvals": few, "ticktext": [shown(value) for value in few]}
    return axis


def _dependence_traces(
    tasks: dict[Task, list[Run]], key: str, settings: Settings
) -> list[dict[str, Any]]:
    """Return the runs as points, and a line through the best at each value, by task and model."""
    traces: list[dict[str, Any]] = []
    for task, runs in tasks.items():
        for model in dict.fromkeys(run.model for run in runs):
            found = [(settings.value(run, key), run) for run in runs if run.model == model]
            points = [(x, run) for x, run in found if isinstance(x, int | float)]
            if not points:
                continue
            name = escape(", ".join(filter(None, [settings.title(task), model])))
            traces += _points_and_line(points, name, len(traces) // 2, settings)
    return traces


def _points_and_line(
    points: Sequence[tuple[float, Run]], name: str, place: int, settings: Settings
) -> list[dict[str, Any]]:
    """Return two traces: all runs, and the best at each value."""
    colour = COLOURS[place % len(COLOURS)]
    best: dict[float, float] = {}
    for x, run in sorted(points, key=lambda point: point[1].badness):
        best.setdefault(x, run.result or 0.0)
    order = sorted(best)
    shared = {"name": name, "legendgroup": name}
    return [
        shared
        | {
            "x": [x for x, _ in points],
            "y": [run.result for _, run in points],
            "text": [escape(settings.name(run)) for _, run in points],
            "mode": "markers",
            "marker": {"color": colour, "symbol": SYMBOLS[place % len(SYMBOLS)], "size": 8},
            "hovertemplate": "%{text}<br>%{y:.5g}<extra></extra>",
        },
        shared
        | {
            "x": order,
            "y": [best[x] for x in order],
            "mode": "lines",
            "line": {"color": colour, "width": 1.5},
            "showlegend": False,
            "hoverinfo": "skip",
        },
    ]


def parallel_charts(settings: Settings) -> list[Chart]:
    """Return parallel coordinates for each measure: a line per run through all that was varied."""
    charts = []
    for measure, tasks in _tasks_by_measure(settings).items():
        runs = [run for members in tasks.values() for run in members]
        axes = [_name_axis(name, [getattr(run, name) for run in runs]) for name in NAMES]
        for key in settings.keys:
            values = [settings.value(run, key) for run in runs]
            numbers = [value for value in values if isinstance(value, int | float)]
            is_number = key in settings.numeric and len(numbers) == len(values)
            heading = settings.headings[key]
            axes.append(
                _number_axis(heading, numbers) if is_number else _name_axis(heading, values)
            )
        varied = [axis for axis in axes if len(set(axis["values"])) > 1]
        results = [run.result for run in runs if run.result is not None]
        if len(runs) < 3 or len(varied) < 2:
            continue
        result = _number_axis(measure.partition(":")[0], results)
        colour = {"color": result["values"], "colorscale": "Viridis"}
        colour["reversescale"] = not runs[0].highest_is_best  # the best is bright
        trace = {"type": "parcoords", "dimensions": [*varied, result], "line": colour}
        layout = {"height": 420, "margin": {"l": 70, "r": 60, "t": 60, "b": 24}}
        layout["meta"] = {"least_width": 105 * len(varied) + 150}
        charts.append(Chart(measure, [trace], layout))
    return charts


def _name_axis(label: str, values: Sequence[Value]) -> dict[str, Any]:
    """Return an axis of names, at equal distances."""
    names = sorted({shown(value) for value in values})
    return {
        "label": escape(label),
        "values": [names.index(shown(value)) for value in values],
        "tickvals": list(range(len(names))),
        "ticktext": [escape(name) for name in names],
        "range": [-0.2, max(len(names) - 0.8, 0.2)],
    }


def _number_axis(label: str, values: Sequence[float]) -> dict[str, Any]:
    """Return an axis of numbers, in orders of magnitude where they spread that far."""
    is_log = _scale(values) == "log"
    places = [math.log10(value) if is_log else value for value in values]
    axis: dict[str, Any] = {"label": escape(label), "values": places}
    few = sorted(set(values))
    if len(few) > 6 and is_log:
        few = [few[0] * (few[-1] / few[0]) ** (step / 4) for step in range(5)]
    if len(few) <= 6:
        axis["tickvals"] = [math.log10(value) if is_log else value for value in few]
        axis["ticktext"] = [f"{value:.4g}" for value in few]
    return axis
