"""The final numbers and pictures of a run, for its loggers."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from PIL.Image import Image

from stm_experiments.core.batch import Batch
from stm_experiments.core.config_files import read_yaml
from stm_experiments.core.files import read_csv
from stm_experiments.core.images import read_picture
from stm_experiments.models.interfaces import Network
from stm_experiments.training.loggers.wandb_run import log_models, score_table

if TYPE_CHECKING:
    import wandb

COMPARED = ("val/loss", "val/best_loss", "test/mse_noisy", "test/mse_clean", "test/ssim_noisy")


def log_results(
    loggers: list[Logger],
    metrics: dict[str, float],
    folder: Path,
    net: Network,
    samples: Batch,
) -> None:
    """Log the metrics and pictures and, to W&B, the latent point cloud and reconstructions.

    Args:
        loggers: The run's loggers; may be empty.
        metrics: As in metrics.json.
        folder: The run folder with ``figures`` and, for networks with a bottleneck, latent.csv.
        net: The trained network, on the CPU.
        samples: A few test patches.
    """
    config = read_yaml(folder / "config.yaml")
    step = last_step(folder)
    pictures = {
        path.stem: read_picture(path) for path in sorted((folder / "figures").glob("*.png"))
    }
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            parameters = sum(weight.numel() for weight in net.parameters())
            logger.experiment.summary.update({**metrics, "parameters": parameters})
            media = wandb_media(metrics, folder, pictures, reconstruction_table(net, samples))
            logger.experiment.log(media, step=step)  # in the last row, which may be added to
            if (config["logger"].get("wandb") or {}).get("log_model"):
                log_models(logger, folder)
            continue
        logger.log_metrics(metrics, step)
        if isinstance(logger, TensorBoardLogger):
            final = {f"final/{name}": metrics[name] for name in COMPARED if name in metrics}
            logger.log_hyperparams(config, final, step)
            for name, picture in pictures.items():
                image = np.asarray(picture)
                logger.experiment.add_image(name, image, step, dataformats="HWC")


def wandb_media(
    metrics: Mapping[str, float],
    folder: Path,
    pictures: Mapping[str, Image],
    reconstructions: "wandb.Table",
) -> dict[str, Any]:
    """Return what W&B shows of a finished run besides its curves: pictures, tables, codes."""
    import wandb  # takes a second, which other loggers save

    media: dict[str, Any] = {name: wandb.Image(picture) for name, picture in pictures.items()}
    media |= {"scores": score_table(metrics), "reconstruction_table": reconstructions}
    if (folder / "latent.csv").is_file():
        media["latent_points"] = wandb.Object3D(latent_points(folder / "latent.csv"))
    return media


def last_step(folder: Path) -> int | None:
    """Return the last step of a run; None if it was fitted in closed form."""
    path = folder / "metrics.csv"
    rows = read_csv(path) if path.is_file() else []
    return int(rows[-1]["step"]) if rows else None


def reconstruction_table(net: Network, samples: Batch) -> "wandb.Table":
    """Return a table with a row per patch: input, output and mean squared error per pixel."""
    import wandb

    with torch.inference_mode():
        outputs = net(samples.noisy)
    table = wandb.Table(columns=["image", "noisy", "reconstruction", "mse_noisy"])
    for number, noisy, output in zip(samples.image.tolist(), samples.noisy, outputs, strict=True):
        pictures = [wandb.Image(grey_levels(patch[0].numpy())) for patch in (noisy, output)]
        table.add_data(number, *pictures, float((output - noisy).square().mean()))
    return table


def grey_levels(patch: np.ndarray) -> np.ndarray:
    """Convert a patch on [-1, 1] to grey levels."""
    return np.clip(127.5 * (patch + 1), 0, 255).round().astype(np.uint8)


def latent_points(path: Path) -> np.ndarray:
    """Read three principal components of codes and a colour number per lattice, [n, 4]."""
    rows = read_csv(path)
    lattices = sorted({row["lattice"] for row in rows})
    return np.array(
        [
            [
                *(float(row[axis]) for axis in ("pc1", "pc2", "pc3")),
                1 + lattices.index(row["lattice"]),
            ]
            for row in rows
        ]
    )


def close_loggers(loggers: list[Logger], failed: bool = False) -> None:
    """End logging; otherwise the next job of the process would log to the same W&B run.

    Args:
        loggers: The run's loggers.
        failed: Whether the run ended by an error, which W&B shows.
    """
    for logger in loggers:
        logger.finalize("failed" if failed else "success")
        # A run that had not begun there would begin now.
        if isinstance(logger, WandbLogger) and logger._experiment is not None:
            logger.experiment.finish(exit_code=int(failed))
