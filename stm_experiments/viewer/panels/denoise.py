"""The panel that denoises a scan with a shipped model or one of the user's own."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stm_experiments.io.scan import Scan
from stm_experiments.viewer.layers import (
    LayerData,
    difference_layer,
    image_layer,
    points_layer,
    show,
)
from stm_experiments.viewer.models import MODEL, OWN
from stm_experiments.viewer.panel import Panel

if TYPE_CHECKING:
    from stm_experiments.restoration.denoised import Denoised


def denoise_scan(
    scan: Scan,
    progress: Callable[[int, int], None],
    model: str = "surface_denoiser",
    own: Path | None = None,
    uncertainty: bool = False,
    remove_waves: bool = False,
) -> "Denoised":
    """Denoise a scan."""
    from stm_experiments.restoration.denoise import denoise

    return denoise(
        scan,
        own or model,
        uncertainty=uncertainty,
        remove_waves=remove_waves,
        progress=progress,
    )


def result_layers(result: "Denoised", name: str) -> list[LayerData]:
    """Return a denoised scan, what was removed, and what is uncertain, as layers."""
    before = result.before
    layers = [difference_layer(before, result, f"{name}: residual", "what was removed from it")]
    if result.uncertainty is not None:
        expected = np.where(result.mask, result.uncertainty, 0.0)
        about = before.with_data(expected, "the expected error of each pixel after denoising")
        layers.append(image_layer(about, f"{name}: uncertainty", colormap="viridis", visible=False))
    layers.append(image_layer(result, name))
    atoms = result.uncertain_atoms
    for kind, colour in (("invented", "red"), ("lost", "cyan")) if atoms else ():
        places = getattr(atoms, kind)
        title = f"{name}: perhaps {kind} atoms"
        layers.append(points_layer(places, result, title, border_color=colour, visible=False))
    return layers


def show_denoised(viewer: Any, name: str, result: "Denoised") -> list[str]:
    """Show the result, and return what was judged."""
    show(viewer, *result_layers(result, f"{name}: denoised"))
    judged = result.fitness.sentences() if result.fitness else []
    steps = result.history[len(result.before.history) :]
    return [*judged, *(step for step in steps if step not in judged)]


def panel() -> Any:
    """Return the dock widget."""
    return Panel(
        denoise_scan,
        show_denoised,
        model=MODEL,
        own=OWN,
        uncertainty={"label": "uncertainty too"},
        remove_waves={"label": "remove hum first"},
    ).container
