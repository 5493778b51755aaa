"""Errors of a network beside those of its baselines, as SVG bars."""

import math
from collections.abc import Mapping
from typing import Any

from stm_experiments.core.display.drawing import draw_bars

COPY = "noisy input"  # whose error against itself says nothing
MEASURES = {
    "mse_noisy": "mean squared error against the noisy patch",
    "mse_clean": "mean squared error against the clean patch",
}


def draw_scores(numbers: Mapping[str, Any], measure: str, network: str) -> str:
    """Return the error of a network and of its baselines as bars; empty if it has none.

    Args:
        numbers: As in metrics.json: ``test/mse_clean``, ``baselines/PCA-10/mse_clean``.
        measure: One of ``MEASURES``.
        network: Its name.
    """
    split = "test" if f"test/{measure}" in numbers else "validation"
    bars: dict[str, float] = {}
    for key, value in numbers.items():
        head, _, name = str(key).rpartition("/")
        baseline = head.removeprefix("baselines/")
        known = head == split or ("/" not in baseline and baseline != head)
        if name == measure and known and isinstance(value, float) and math.isfinite(value):
            bars[network if head == split else baseline] = value
    if measure == "mse_noisy":
        bars.pop(COPY, None)
    return draw_bars(bars, f"{MEASURES[measure]}, {split} images") if network in bars else ""
