"""A run at Weights & Biases: one over all starts, told as W&B's own pages read it."""

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from stm_experiments.core.files import atomic_write_text
from stm_experiments.models import checkpoint

ID_FILE = "wandb_id.txt"
OF_CARD = ("network", "arguments", "window", "lattice")


def run_id(folder: Path) -> str:
    """Return the id of a run, which its folder keeps: a resumed run goes on in the same charts.

    Raises:
        ValueError: If the folder holds no id of W&B.
    """
    path = folder / ID_FILE
    if not path.is_file():
        atomic_write_text(path, secrets.token_hex(4))
    text = path.read_text(encoding="utf-8").strip()
    if not re.fullmatch(r"[a-z0-9]{8}", text):
        raise ValueError(f"{path}: no id of a W&B run; delete the file")
    return text


def flat_config(config: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config by whose keys W&B can group runs.

    ``lattice``, ``noise``, ``model``, ``experiment`` and so on are names; the settings of a section
    are in ``<section>_settings``.

    Args:
        config: The run's config.
        about: Content of run.json with the ``choices`` of the config groups.
    """
    choices = about.get("choices") or {}
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat[f"{key}_settings"] = value
            flat[key] = choices.get(key) or "+".join(map(str, value))
        else:
            flat[key] = value
    flat["lattice"] = "+".join(config.get("lattice") or {})
    flat["network"] = str(config["model"]["net"]["_target_"]).rpartition(".")[2]
    return flat | {"experiment": about.get("experiment"), "sweep": about.get("sweep")}


def log_scores(logger: WandbLogger, metrics: Mapping[str, float], about: Mapping[str, Any]) -> None:
    """Put the final metrics into the summary of a run and into one table.

    Args:
        logger: Of the run.
        metrics: As in metrics.json.
        about: Further numbers for the summary, such as the parameters of the network.
    """
    import wandb

    logger.experiment.summary.update({**metrics, **about})
    table = wandb.Table(columns=["metric", "value", "half of the 95 % interval"])
    for name, value in metrics.items():
        if not name.endswith("_ci95"):
            table.add_data(name, value, metrics.get(f"{name}_ci95"))
    logger.experiment.log({"scores": table})


def log_models(logger: WandbLogger, folder: Path) -> None:
    """Log the checkpoints of a run, with what their cards say, as versions of one artifact.

    Args:
        logger: Of the run.
        folder: The run folder.
    """
    import wandb

    for alias in ("best", "last"):
        path = folder / "checkpoints" / f"{alias}.ckpt"
        if not path.is_file():
            continue
        card = checkpoint.read(path).get("card", {})
        details = {key: card[key] for key in OF_CARD if key in card}
        artifact = wandb.Artifact(f"model-{logger.experiment.id}", type="model", metadata=details)
        artifact.add_file(str(path))
        logger.experiment.log_artifact(artifact, aliases=[alias])
