"""The panel that finds point defects."""

from typing import TYPE_CHECKING, Any, NamedTuple

from stm_experiments.io.scan import Scan
from stm_experiments.viewer.layers import points_layer, show
from stm_experiments.viewer.panel import Panel
from stm_experiments.viewer.table import show_table

if TYPE_CHECKING:
    from stm_experiments.recipes.find_defects import Search

BRIGHT, DARK = "#56B4E9", "#D55E00"
SIZE = 12  # px


class Defects(NamedTuple):
    """The point defects of a scan."""

    scan: Scan
    search: "Search"


def find(
    scan: Scan, threshold: float = 6.0, smoothing: float = 12.0, border: float = 10.0
) -> Defects:
    """Find the point defects of a scan, as the command ``find_defects`` does."""
    from stm_experiments.recipes.find_defects import search

    options = {"threshold": threshold, "smoothing": smoothing, "border": border}
    return Defects(scan, search(scan, options))


def show_defects(viewer: Any, name: str, result: Defects) -> list[str]:
    """Show the defects with their table, and count them."""
    from stm_experiments.recipes.find_defects import COLUMNS

    found = result.search
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in found.rows]
    (points,) = show(
        viewer,
        points_layer(
            found.defects.position,
            result.scan,
            f"{name}: point defects",
            rows,
            size=SIZE,
            border_color=[BRIGHT if bright else DARK for bright in found.defects.bright],
        ),
    )
    viewer.layers.selection.active = points
    show_table(viewer)
    return [found.summary, *found.notes]


def panel() -> Any:
    """Return the dock widget."""
    return Panel(
        find,
        show_defects,
        threshold={"label": "least score", "min": 0.1},
        smoothing={"label": "lattice smooth over (px)", "min": 0.1},
        border={"label": "border (px)", "min": 0.1},
    ).container
