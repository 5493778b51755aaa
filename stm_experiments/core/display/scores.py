"""Errors of a network beside those of its baselines, as SVG bars."""

import math
from collections.abc import Mapping
from typing import Any

from stm_experiments.core.display.drawing import draw_bars
from stm_experiments.core.results.names import FLOOR, read_name, split_of, with_current_names

COPY = "noisy input"  # whose error against itself says nothing
MEASURES = {
    "mse_noisy": "mean squared error against the noisy patch",
    "mse_clean": "mean squared error against the clean patch",
}


def draw_scores(numbers: Mapping[str, Any], measure: str, network: str) -> str:
    """Return the error of a network and of its baselines as bars; empty if it has none.

    Args:
        numbers: As in metrics.json: ``test/mse_clean``, ``PCA-10/test/mse_clean``.
        measure: One of ``MEASURES``.
        network: Its name.
    """
    numbers = with_current_names({str(key): value for key, value in numbers.items()})
    bars: dict[str, float] = {}
    for key, value in numbers.items():
        name = read_name(key)
        if name is None or name.part or name.measure != measure or name.network == FLOOR:
            continue
        if isinstance(value, float) and math.isfinite(value):
            bars[name.network or network] = value
    if measure == "mse_noisy":
        bars.pop(COPY, None)
    return (
        draw_bars(bars, f"{MEASURES[measure]}, {split_of(numbers)} images")
        if network in bars
        else ""
    )
