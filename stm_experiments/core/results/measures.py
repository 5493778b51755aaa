"""What each measure is: label, unit, which end of it is the best."""

from collections.abc import Mapping
from typing import NamedTuple

from stm_experiments.core.results.names import INTERVAL, read_name
from stm_experiments.core.texts import did_you_mean


class Measure(NamedTuple):
    """What a measure is.

    Attributes:
        label: Its name in pictures and tables.
        unit: Its unit; empty for a pure number.
        highest_is_best: Whether more is better.
        digits: Decimal places in tables.
    """

    label: str
    unit: str = ""
    highest_is_best: bool = False
    digits: int = 5

    @property
    def title(self) -> str:
        """The label with the unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


MEASURES = {
    "loss": Measure("loss"),
    "best_loss": Measure("lowest loss"),
    "mse_noisy": Measure("MSE noisy"),
    "mse_clean": Measure("MSE clean"),
    "psnr_clean": Measure("PSNR clean", "dB", highest_is_best=True, digits=2),
    "ssim_noisy": Measure("SSIM noisy", highest_is_best=True, digits=4),
    "ssim_clean": Measure("SSIM clean", highest_is_best=True, digits=4),
    "ssim_paper": Measure("SSIM paper", highest_is_best=True, digits=4),
    "probe": Measure("linear probe of the lattice", highest_is_best=True, digits=3),
    "probe_3_images": Measure("probe, labels of 3 images", highest_is_best=True, digits=3),
    "knn": Measure("nearest codes", highest_is_best=True, digits=3),
    "ari": Measure("adjusted Rand index", highest_is_best=True, digits=3),
    "auroc": Measure("AUROC of defects", highest_is_best=True, digits=3),
    "accuracy": Measure("accuracy", highest_is_best=True, digits=3),
    "mse": Measure("mean squared error"),
    "shift_px": Measure("error of the shift", "px", digits=3),
    "rotation_deg": Measure("error of the rotation", "°", digits=1),
    "angle_error": Measure("angle error", "°", digits=1),
    "turned": Measure("variance under turns", digits=3),
    "grad_norm": Measure("norm of the gradient"),
}


def measure_of(name: str, own: Mapping[str, Measure] | None = None) -> Measure:
    """Return what the number of a name is; of an unknown measure the lowest is the best.

    Args:
        name: Such as ``val/loss``.
        own: Measures of the run's own objective, which come first.
    """
    parts = read_name(name)
    measure = (parts.measure if parts else name).removesuffix(INTERVAL)
    known = {**MEASURES, **(own or {})}
    if measure in known:
        return known[measure]
    if measure.startswith("auroc_"):  # of one kind of defect
        return MEASURES["auroc"]._replace(label=f"AUROC of {measure[6:].replace('_', ' ')}")
    return Measure(measure.replace("_", " "))


def check_metric(text: str, own: Mapping[str, Measure]) -> None:
    """Refuse a name that no number of a run without plugins has.

    The measures of a part, such as ``test/latent/probe``, are not checked.

    Args:
        text: Such as ``val/loss``.
        own: Measures of the run's own objective.

    Raises:
        ValueError: If there is no such number.
    """
    name = read_name(text)
    known = {**MEASURES, **own}
    if name is None:
        raise ValueError(f"{text}: a number is named <split>/<measure>, such as val/loss")
    measure = name.measure.removesuffix(INTERVAL)
    if not name.part and measure not in known:
        near = did_you_mean(text, [text.removesuffix(name.measure) + each for each in known])
        raise ValueError(f"{text}: no run has this number{near}")


def is_measured(column: str) -> bool:
    """Return whether a column of metrics.csv is a measure: no count and no learning rate."""
    return column not in ("epoch", "step") and not column.startswith("lr")
