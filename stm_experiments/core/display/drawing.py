"""Points and curves as SVG; lines and texts have the colour of the page's text."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from stm_experiments.core.arrays import Array, Mask, Points

SIDE = 256  # px, the longer side of a picture
MARGIN = 24  # px
COLOURS = ("#3987c8", "#d9772f", "#3a9b62", "#a56cc1")  # clear on white and on black
MOST = 2000  # points that are drawn


class Arrow(NamedTuple):
    """A named arrow.

    Attributes:
        name: Plain text.
        start: Row and column.
        end: Row and column.
    """

    name: str
    start: Array
    end: Array


def draw_points(places: Points, filled: Mask, arrows: Sequence[Arrow], caption: str) -> str:
    """Return points as dots and rings, with arrows.

    Args:
        places: (row, column) in any unit, [P, 2]; of many only those around the middle are drawn.
        filled: Whether a point is a dot, and not a ring, [P].
        arrows: In the same unit.
        caption: Plain text.
    """
    middle = (places.min(0) + places.max(0)) / 2
    distance = np.abs(places - middle).max(1)
    shown = distance <= np.sort(distance)[: MOST + 1][-1]
    ends = [end for arrow in arrows for end in (arrow.start, arrow.end)]
    low, high = (f([*places[shown], *ends], 0) for f in (np.min, np.max))
    scale = (SIDE - 2 * MARGIN) / max(float((high - low).max()), 1e-300)
    height, width = (high - low) * scale + 2 * MARGIN

    def on_page(points: Array) -> Array:
        return np.asarray((points - low) * scale + MARGIN)

    radius = float(np.clip(0.25 * np.sqrt(height * width / max(shown.sum(), 1)), 1, 5))
    spots = on_page(places[shown])
    dots = "".join(f"M{x:.1f} {y:.1f}h0" for y, x in spots[filled[shown]])
    rings = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>' for y, x in spots[~filled[shown]]
    )
    parts = [
        f'<path d="{dots}" fill="none" stroke="{COLOURS[0]}" stroke-width="{2 * radius:.1f}" '
        'stroke-linecap="round" stroke-opacity="0.6"/>',
        f'<g fill="none" stroke="{COLOURS[1]}" stroke-width="1.5">{rings}</g>',
        *(_arrow(arrow.name, on_page(arrow.start), on_page(arrow.end)) for arrow in arrows),
    ]
    return _picture(float(width), float(height), parts, caption)


def draw_curves(
    curves: Mapping[str, Sequence[tuple[float, float]]], axis: str, caption: str
) -> str:
    """Return curves with a logarithmic axis, or a linear one if not all values are above 0.

    Args:
        curves: By name, points (x, value); those that are not finite are left out.
        axis: Name of x.
        caption: Plain text.
    """
    finite = {
        name: np.array([point for point in points if all(map(math.isfinite, point))])
        for name, points in curves.items()
    }
    drawn = {name: points for name, points in finite.items() if len(points)}
    if not drawn:
        return ""
    every = np.concatenate(list(drawn.values()))
    (first, lowest), (last, highest) = every.min(0), every.max(0)
    height, scale = 0.6 * SIDE, np.log if lowest > 0 else np.asarray
    caption += ", logarithmic" if lowest > 0 else ""
    width, rise = last - first or 1.0, scale(highest) - scale(lowest) or 1.0
    parts = []
    for number, (name, points) in enumerate(drawn.items()):
        x = MARGIN + (points[:, 0] - first) / width * (SIDE - 2 * MARGIN)
        y = height - MARGIN - (scale(points[:, 1]) - scale(lowest)) / rise * (height - 2 * MARGIN)
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        colour = COLOURS[number % len(COLOURS)]
        kind = "stroke-dasharray='5 3'" if number % 2 else ""
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" {kind}/>')
        parts.append(_text(SIDE, 12 * (number + 1), name, "end", colour))
    parts += [
        _text(0, 12, f"{highest:.3g}"),
        _text(0, height - MARGIN, f"{lowest:.3g}"),
        _text(SIDE, height - 4, f"{axis} {first:g} to {last:g}", "end"),
    ]
    return _picture(SIDE, height, parts, caption)


def draw_bars(values: Mapping[str, float], caption: str) -> str:
    """Return numbers of at least 0 as bars with their names, the first in a colour of its own.

    Args:
        values: By name.
        caption: Plain text.
    """
    longest = max(values.values()) or 1.0
    parts = []
    for number, (name, value) in enumerate(values.items()):
        top, length = 34 * number, max(value / longest * (SIDE - 60), 1.0)
        colour = COLOURS[min(number, 1)]
        parts += [
            _text(0, top + 12, name),
            f'<rect x="0" y="{top + 16}" width="{length:.1f}" height="12" fill="{colour}"/>',
            _text(length + 4, top + 26, f"{value:.3g}"),
        ]
    return _picture(SIDE, 34 * len(values), parts, caption)


def _arrow(name: str, start: Array, end: Array) -> str:
    """Return an arrow with its name; places are (row, column), px."""
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
    across = np.array([-along[1], along[0]])
    head = [end - 7 * along + side * across for side in (3, -3)]
    line = " ".join(f"{x:.1f},{y:.1f}" for y, x in (start, end, head[0], end, head[1]))
    row, column = end + 9 * along
    return (
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="2"/>'
        + _text(column, row + 4, name, "middle")
    )


def _text(
    x: float, y: float, text: str, anchor: str = "start", colour: str = "currentColor"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{html.escape(text)}</text>"
    )


def _picture(width: float, height: float, parts: Sequence[str], caption: str) -> str:
    """Return an SVG picture with a line below it."""
    text = html.escape(caption)
    return (
        f'<div><svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{text}" font-size="12" font-family="sans-serif">{"".join(parts)}'
        f"</svg><div><small>{text}</small></div></div>"
    )
