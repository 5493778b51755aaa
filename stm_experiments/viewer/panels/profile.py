"""The panel that draws the heights along a line, which the user drags in the image."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from stm_experiments.core.units import fitting_unit
from stm_experiments.figures.canvas import quantity_label
from stm_experiments.io.scan import Scan
from stm_experiments.restoration.profiles import Profile, line_profile
from stm_experiments.viewer.layers import geometry, scan_of
from stm_experiments.viewer.panel import Panel
from stm_experiments.viewer.plot import add_figure

LINE = "profile"  # name of the layer
COLOUR = "#56B4E9"


class Line:
    """The line in the window, and the plot of the heights along it."""

    def __init__(self) -> None:
        self.panel = Panel(profile, self.draw, live=True, more=self.ends)
        self.figure = add_figure(self.panel)

    def add(self) -> None:
        """Add a line across the middle of the chosen image, and follow it."""
        viewer, layer = self.panel.viewer, self.panel.form["scan"].value
        if layer is not None and LINE not in viewer.layers:
            scan = scan_of(layer)
            height, width = scan.data.shape
            ends = np.array([[height / 2, 0.1 * width], [height / 2, 0.9 * width]])
            shapes = viewer.add_shapes(
                [ends],
                shape_type="line",
                name=LINE,
                edge_color=COLOUR,
                edge_width=max(1.0, min(height, width) / 150),
                **geometry(scan),
            )
            shapes.events.set_data.connect(lambda: self.panel.start())
            shapes.mode = "direct"
            shapes.selected_data = {0}

    def ends(self) -> Mapping[str, Any]:
        """Return the ends of the line.

        Raises:
            ValueError: If there is none.
        """
        viewer = self.panel.viewer
        lines = viewer.layers[LINE].data if LINE in viewer.layers else []
        if not len(lines):
            raise ValueError(f"draw a line in a layer of shapes that is named {LINE}")
        return {"line": np.asarray(lines[-1], float)[[0, -1]].tolist()}

    def draw(self, _: Any, name: str, result: tuple[Profile, str]) -> list[str]:
        """Draw the heights along the line."""
        line, unit = result
        middle = float(np.nanmedian(line.height))
        heights = line.height - middle
        scale = fitting_unit(float(np.nanmax(np.abs(heights))), unit)
        self.figure.clear()
        axes = self.figure.subplots()
        axes.plot(line.distance, heights / scale.factor, color="#0072B2", linewidth=1)
        axes.set_xlabel(f"distance ({line.length})")
        axes.set_ylabel(quantity_label(unit, scale.unit))
        axes.grid(alpha=0.3)
        self.figure.canvas.draw_idle()
        spread = np.nanmax(heights) - np.nanmin(heights)
        length = f"{line.distance[-1]:.4g} {line.length}"
        return [f"{length} long; heights span {spread / scale.factor:.4g} {scale.unit}".rstrip()]


def profile(scan: Scan, line: Any) -> tuple[Profile, str]:
    """Return the heights along a line, cut to the scan, and their unit."""
    last = np.array(scan.data.shape) - 1
    return line_profile(scan, np.clip(line, 0, last).tolist()), scan.unit


def panel() -> Any:
    """Return the dock widget."""
    line = Line()
    line.add()
    return line.panel.container
