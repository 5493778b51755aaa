"""The panel that repairs lost and shifted lines."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stm_experiments.io.scan import Scan
from stm_experiments.viewer.layers import labels_layer, show
from stm_experiments.viewer.panel import Panel
from stm_experiments.viewer.panels.denoise import result_layers

if TYPE_CHECKING:
    from stm_experiments.restoration.denoised import Denoised


def destripe(
    scan: Scan, progress: Callable[[int, int], None], uncertainty: bool = False
) -> "Denoised":
    """Repair the stripes of a scan; all other pixels stay as recorded."""
    from stm_experiments.restoration.denoise import denoise

    return denoise(scan, "destripe", uncertainty=uncertainty, progress=progress)


def show_destriped(viewer: Any, name: str, result: "Denoised") -> list[str]:
    """Show the result and which pixels were repaired."""
    repaired = result.mask & (result.data != result.before.data)
    title = f"{name}: destriped"
    marks = labels_layer(repaired, result, f"{title}: repaired pixels", visible=False)
    show(viewer, *result_layers(result, title), marks)
    words = list(result.history[len(result.before.history) :])
    return [
        f"{repaired.sum() / result.mask.sum():.2%} of the measured pixels were repaired",
        *words,
    ]


def panel() -> Any:
    """Return the dock widget."""
    return Panel(destripe, show_destriped, uncertainty={"label": "uncertainty too"}).container
