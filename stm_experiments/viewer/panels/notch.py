"""The panel that subtracts plane waves: hum and striations."""

from typing import Any, NamedTuple

from stm_experiments.io.read import read_other_trace
from stm_experiments.io.scan import Scan
from stm_experiments.restoration.preparation import prepare
from stm_experiments.viewer.layers import difference_layer, image_layer, show
from stm_experiments.viewer.panel import Panel


class Notched(NamedTuple):
    """A scan before and after the subtraction of waves."""

    before: Scan
    after: Scan


def notch(scan: Scan, automatic: bool = True, period: float = 10.0, angle: float = 0.0) -> Notched:
    """Subtract the waves that look like the instrument's, or the one that is named.

    Raises:
        ValueError: If there is no wave near the one that is named.
    """
    from stm_experiments.restoration.waves.instrument_waves import treat_waves

    if automatic:
        return Notched(scan, treat_waves(scan, read_other_trace(scan), remove=True))
    return Notched(scan, prepare(scan, [{"notch": [period, angle]}]))


def show_notched(viewer: Any, name: str, notched: Notched) -> list[str]:
    """Show the scan without the waves, and the waves alone."""
    before, after = notched
    show(
        viewer,
        difference_layer(before, after, f"{name}: waves", "the waves alone"),
        image_layer(after, f"{name}: without waves"),
    )
    return list(after.history[len(before.history) :])


def panel() -> Any:
    """Return the dock widget."""
    return Panel(
        notch,
        show_notched,
        automatic={"label": "find them"},
        period={"label": "or period (px)", "min": 2.0, "max": 10_000.0},
        angle={"label": "and angle (°)", "min": -180.0, "max": 180.0},
    ).container
