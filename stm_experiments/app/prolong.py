"""More epochs for a run: ``resume=<run> trainer.max_epochs=200``."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from stm_experiments.core.config_files import to_yaml
from stm_experiments.core.files import atomic_write_text, read_json, write_json
from stm_experiments.training.circumstances import FILE_NAME
from stm_experiments.training.schedules import is_of_fixed_length

KEY = "trainer.max_epochs"


def prolonged_config(folder: Path, config: dict[str, Any], epochs: int) -> dict[str, Any]:
    """Return the config of a resumed run, whose folder is prepared for more epochs if asked.

    The results so far stay in ``metrics_<epochs>_epochs.json``. A kill at any moment leaves a
    folder that can be resumed or prolonged.

    Args:
        folder: The run folder.
        config: Its config.
        epochs: Value of ``trainer.max_epochs`` on the command line.

    Raises:
        ValueError: If the run cannot be prolonged, or not to so many epochs.
    """
    if not any(text.lstrip("+").startswith(f"{KEY}=") for text in HydraConfig.get().overrides.task):
        return config
    before = config["trainer"]["max_epochs"]
    if epochs == before:
        return config
    results, kept = folder / "metrics.json", folder / f"metrics_{before}_epochs.json"
    if not isinstance(epochs, int) or epochs < before:
        raise ValueError(f"{folder} has {before} epochs: {KEY} can only be more, not {epochs!r}")
    if not results.is_file() and not kept.is_file():
        raise ValueError(f"{folder} has not finished its {before} epochs: resume it without {KEY}")
    if reason := is_of_fixed_length(config["model"]):
        raise ValueError(
            f"{folder} cannot be prolonged: {reason} ends with its last epoch; start a new run "
            f"with init={folder}/checkpoints/last.ckpt"
        )
    if results.is_file():
        results.rename(kept)
    changed = {**config, "trainer": {**config["trainer"], "max_epochs": epochs}}
    if (folder / FILE_NAME).is_file():
        circumstances = read_json(folder / FILE_NAME)
        circumstances["config"]["trainer"]["max_epochs"] = epochs
        write_json(folder / FILE_NAME, circumstances)
    atomic_write_text(folder / "config.yaml", to_yaml(changed))
    return changed
