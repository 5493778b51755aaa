"""The panel that levels a scan and aligns its lines, at once at each change."""

from typing import Any, Literal

from stm_experiments.io.scan import Scan
from stm_experiments.restoration.preparation import prepare
from stm_experiments.viewer.layers import image_layer, show
from stm_experiments.viewer.panel import Panel

Plane = Literal["none", "plane", "facet", "terraces", "poly2"]
Lines = Literal["none", "rows_median", "rows_differences"]


def level(
    scan: Scan,
    plane: Plane = "plane",
    lines: Lines = "none",
    scars: bool = False,
    clip: bool = False,
) -> Scan:
    """Level a scan by the steps of ``prepare`` that are chosen."""
    chosen = {plane: plane != "none", lines: lines != "none", "scars": scars, "clip": clip}
    return prepare(scan, [step for step, is_chosen in chosen.items() if is_chosen])


def show_levelled(viewer: Any, name: str, scan: Scan) -> list[str]:
    """Show a levelled scan above the recorded one."""
    show(viewer, image_layer(scan, f"{name}: levelled"))
    return list(scan.history)


def panel() -> Any:
    """Return the dock widget."""
    return Panel(level, show_levelled, live=True).container
