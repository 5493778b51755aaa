"""A matplotlib figure in a panel."""

from magicgui.widgets import Container
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure

from stm_experiments.viewer.panel import Panel

HEIGHT = 220  # px


def add_figure(panel: Panel) -> Figure:
    """Add an empty figure to a panel, above its words."""
    figure = Figure(layout="constrained")
    canvas = FigureCanvasQTAgg(figure)  # type: ignore[no-untyped-call]
    canvas.setMinimumHeight(HEIGHT)
    place = Container(name="plot", labels=False)
    place.native.layout().addWidget(canvas)
    panel.container.insert(len(panel.container) - 1, place)
    return figure
