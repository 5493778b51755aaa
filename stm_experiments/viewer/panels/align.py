"""The panel that aligns repeated frames, or both traces of a scan."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from stm_experiments.io.scan import Scan
from stm_experiments.viewer.layers import DIFFERENCE_COLOURS, image_layer, show
from stm_experiments.viewer.panel import Panel

if TYPE_CHECKING:
    from stm_experiments.restoration.frames import FrameComparison


class Aligned(NamedTuple):
    """Frames by name, and how they compare with the first."""

    names: list[str]
    comparison: "FrameComparison"


def align(scan: Scan, scans: Sequence[Scan]) -> Aligned:
    """Align other frames to a first one."""
    from stm_experiments.restoration.frames import align_frames

    frames = [scan, *scans]
    names = [f"{frame.name} ({frame.direction})" for frame in frames]
    return Aligned(names, align_frames(frames))


def show_aligned(viewer: Any, name: str, aligned: Aligned) -> list[str]:
    """Show the mean, the difference of the first two frames, and the aligned frames."""
    result = aligned.comparison
    frames = [
        image_layer(scan, f"{name}: {title} aligned", visible=False)
        for title, scan in zip(aligned.names[1:], result.aligned, strict=True)
    ]
    change = image_layer(
        result.difference, f"{name}: difference", colormap=DIFFERENCE_COLOURS, visible=False
    )
    show(viewer, *frames, change, image_layer(result.mean, f"{name}: mean"))
    return result.sentences(aligned.names)


def panel() -> Any:
    """Return the dock widget."""
    return Panel(
        align, show_aligned, scan={"label": "first frame"}, scans={"label": "others"}
    ).container
