"""The numbers of Binev et al., "STM image analysis using autoencoders": printed and logged.

The configurations are those of their section 4.3.2. MSE and SSIM are their Table 2: averages over
three patches of the training set, drawn anew for each row. Validation losses (mean squared error
against the noisy input over all validation patches, last epoch) and training times (one NVIDIA
T4) are from performance_metrics.json of their public repository joshuamoorehead/DualDEC-STM.

Table 2 has no row for lr_decay: in their code its learning rate never fell. Its log replaced that
of the first baseline, so "baseline" is their second identical run.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from stm_experiments.data.sources.published import published_count

LATTICES = {"sc": "simple cubic", "bcc": "body-centred cubic", "fcc": "face-centred cubic"}
NETWORKS = {"CAEA": "CAE-A", "CAEB": "CAE-B"}  # their names for our classes


class Configuration(NamedTuple):
    """A training configuration of their section 4.3.2.

    Attributes:
        title: Its name in the paper.
        rate: Learning rate.
        batch_size: Patches of a training step.
        patches_per_image: Patches of an image and epoch.
        epochs: Epochs.
        decays: Whether the learning rate falls tenfold every 30 epochs.
    """

    title: str
    rate: float
    batch_size: int
    patches_per_image: int
    epochs: int
    decays: bool = False


CONFIGURATIONS = {
    "baseline": Configuration("Baseline", 1e-3, 1024, 3000, 100),
    "lower_lr": Configuration("Lower LR", 1e-4, 1024, 3000, 100),
    "small_batch": Configuration("Small Batch", 1e-3, 256, 3000, 100),
    "large_batch": Configuration("Large Batch", 2e-3, 2048, 3000, 100),
    "more_patches": Configuration("More Patches", 1e-3, 1024, 4900, 100),
    "extended_training": Configuration("Extended Training", 1e-3, 1024, 3000, 200),
    "lr_decay": Configuration("LR Decay", 1e-3, 1024, 3000, 100, decays=True),
}


class Published(NamedTuple):
    """A published run.

    Attributes:
        mse: Mean squared error of Table 2.
        ssim: Structural similarity of Table 2.
        val_loss: Last validation loss.
        seconds: Time of training.
    """

    mse: float
    ssim: float
    val_loss: float
    seconds: float


PUBLISHED = {
    ("sc", "baseline"): Published(0.0156, 0.8917, 0.0208, 148.3),
    ("sc", "lower_lr"): Published(0.0326, 0.8699, 0.0238, 148.7),
    ("sc", "small_batch"): Published(0.0176, 0.9130, 0.0201, 280.9),
    ("sc", "large_batch"): Published(0.0166, 0.9270, 0.0211, 144.6),
    ("sc", "more_patches"): Published(0.0152, 0.9027, 0.0201, 225.0),
    ("sc", "extended_training"): Published(0.0296, 0.9130, 0.0197, 297.1),
    ("bcc", "baseline"): Published(0.0188, 0.8542, 0.0237, 145.3),
    ("bcc", "lower_lr"): Published(0.0292, 0.7959, 0.0290, 145.2),
    ("bcc", "small_batch"): Published(0.0205, 0.9093, 0.0227, 258.8),
    ("bcc", "large_batch"): Published(0.0199, 0.8902, 0.0251, 142.5),
    ("bcc", "more_patches"): Published(0.0196, 0.9092, 0.0237, 219.7),
    ("bcc", "extended_training"): Published(0.0185, 0.8858, 0.0218, 289.7),
    ("fcc", "baseline"): Published(0.0224, 0.8987, 0.0234, 180.8),
    ("fcc", "lower_lr"): Published(0.0261, 0.8374, 0.0257, 179.6),
    ("fcc", "small_batch"): Published(0.0266, 0.7656, 0.0221, 323.9),
    ("fcc", "large_batch"): Published(0.0184, 0.8944, 0.0232, 175.7),
    ("fcc", "more_patches"): Published(0.0167, 0.8768, 0.0232, 275.7),
    ("fcc", "extended_training"): Published(0.0152, 0.9491, 0.0222, 357.5),
}


def published_speed(lattice: str, configuration: str) -> float | None:
    """Return their training patches per second; None if the run was not published.

    Images x patches per image x epochs, divided by the logged seconds.
    """
    published = PUBLISHED.get((lattice, configuration))
    if published is None:
        return None
    settings = CONFIGURATIONS[configuration]
    patches = published_count(lattice, "train") * settings.patches_per_image * settings.epochs
    return patches / published.seconds


def configuration_of(config: dict[str, Any], overrides: Sequence[str]) -> str | None:
    """Return which of the seven configurations a run is, or None.

    The override `experiment=paper_...` names it. A run without it, such as one that was resumed, is
    recognised by its learning rate, batch, patches, epochs and schedule.

    Args:
        config: The run's resolved config.yaml.
        overrides: The overrides of its command line.
    """
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key == "experiment" and value.startswith("paper_"):
            name = value.removeprefix("paper_")
            return name if name in CONFIGURATIONS else None
    model, data = config.get("model") or {}, config.get("data") or {}
    scheduler = str((model.get("scheduler") or {}).get("_target_", ""))
    decays = scheduler.endswith(".StepLR")
    if scheduler and not decays:
        return None
    settings = (
        (model.get("optimizer") or {}).get("lr"),
        data.get("batch_size"),
        data.get("patches_per_image"),
        (config.get("trainer") or {}).get("max_epochs"),
        decays,
    )
    scale = config.get("scale") or 1.0
    for name, (_, rate, batch_size, patches_per_image, epochs, falls) in CONFIGURATIONS.items():
        scaled_epochs = max(1, round(epochs * scale))
        if settings == (rate, batch_size, patches_per_image, scaled_epochs, falls):
            return name
    return None
