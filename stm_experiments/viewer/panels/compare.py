"""The panel that compares two models on one scan."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from stm_experiments.core.units import amount
from stm_experiments.io.scan import Scan
from stm_experiments.viewer.layers import difference_layer, show
from stm_experiments.viewer.models import MODEL, OWN
from stm_experiments.viewer.panel import Panel
from stm_experiments.viewer.panels.denoise import denoise_scan, result_layers

if TYPE_CHECKING:
    from stm_experiments.restoration.denoised import Denoised


class Pair(NamedTuple):
    """The results of two models on one scan, by name."""

    names: tuple[str, str]
    results: "tuple[Denoised, Denoised]"


def compare(
    scan: Scan,
    progress: Callable[[int, int], None],
    first: str = "surface_denoiser",
    own_first: Path | None = None,
    second: str = "denoiser",
    own_second: Path | None = None,
) -> Pair:
    """Denoise a scan with two models.

    Raises:
        ValueError: If both are the same.
    """
    chosen = [str(own_first or first), str(own_second or second)]
    if chosen[0] == chosen[1]:
        raise ValueError("choose two models that differ")
    results = []
    for number, model in enumerate(chosen):

        def report(done: int, total: int, number: int = number) -> None:
            progress(number * total + done, 2 * total)

        results.append(denoise_scan(scan, report, model))
    stems = [Path(model).stem for model in chosen]
    names = stems if stems[0] != stems[1] else chosen
    return Pair((names[0], names[1]), (results[0], results[1]))


def show_pair(viewer: Any, name: str, pair: Pair) -> list[str]:
    """Show both results and their difference; return how much each removed."""
    first, second = pair.results
    step = f"{pair.names[1]} less {pair.names[0]}"
    layers = [difference_layer(second, first, f"{name}: {step}", step)]
    words = [f"{step}: {_rms(second, first)} rms"]
    for model, result in zip(pair.names, pair.results, strict=True):
        layers += result_layers(result, f"{name}: {model}")
        verdict = f"; {'; '.join(result.fitness.sentences())}" if result.fitness else ""
        words.append(f"{model}: {_rms(result.before, result)} rms removed{verdict}")
    show(viewer, *layers)
    return words


def _rms(scan: Scan, other: Scan) -> str:
    """Return the root mean square of the difference of two scans in words."""
    change = (scan.data - other.data)[scan.mask]
    return amount(float(np.sqrt(np.mean(change**2))), scan.unit)


def panel() -> Any:
    """Return the dock widget."""
    return Panel(
        compare,
        show_pair,
        first=MODEL | {"label": "first model"},
        own_first=OWN,
        second=MODEL | {"label": "second model"},
        own_second=OWN,
    ).container
