"""A run at Weights & Biases: one over all starts, told as W&B's own pages read it."""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from stm_experiments.core.files import atomic_write_text
from stm_experiments.models import checkpoint

if TYPE_CHECKING:
    import wandb

ID_FILE = "wandb_id.txt"
OF_CARD = ("network", "arguments", "window", "lattice")


class WandbRun(WandbLogger):
    """Lightning's logger, with a row at W&B for each step, whose number is that of the step.

    Lightning's own numbers the rows from 0 at each start: those of a resumed offline run would be
    taken for the rows that W&B has already. A run that is offline leaves others of its process
    online; after Lightning's they would be offline, too.

    Args:
        settings: Those of ``WandbLogger``.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        del self._wandb_init["anonymous"]  # of which W&B says that it has no effect
        self._wandb_init["mode"] = "offline" if self._offline else "online"
        self._offline = False  # else Lightning sets the environment of the process

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add numbers to the row of a step."""
        if step is None:
            super().log_metrics(metrics)
        else:
            self.experiment.log({**metrics, "trainer/global_step": step}, step=step)


def run_id(folder: Path) -> str:
    """Return the id of a run, which its folder keeps: a resumed run goes on in the same charts.

    An agent of a sweep at W&B has given the run its id.

    Raises:
        ValueError: If the folder holds no id of W&B.
    """
    path = folder / ID_FILE
    if not path.is_file():
        given = os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None
        atomic_write_text(path, given or secrets.token_hex(4))
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


def score_table(metrics: Mapping[str, float]) -> "wandb.Table":
    """Return a table of the final metrics, instead of a chart for each.

    Args:
        metrics: As in metrics.json.
    """
    import wandb

    table = wandb.Table(columns=["metric", "value", "half of the 95 % interval"])
    for name, value in metrics.items():
        if not name.endswith("_ci95"):
            table.add_data(name, value, metrics.get(f"{name}_ci95"))
    return table


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
