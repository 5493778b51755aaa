"""From a composed or saved config to the settings of a command: plain data, checked."""

import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from stm_experiments.app.allow import refuse_unknown_targets
from stm_experiments.core.config_files import read_yaml


def resolve(config: DictConfig) -> dict[str, Any]:
    """Resolve a config to plain data, and check every ``_target_``.

    Raises:
        PermissionError: If the config would build something that is not on the allow list.
    """
    resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    refuse_unknown_targets(resolved)
    return {str(key): value for key, value in resolved.items()}


def new_config(config: DictConfig) -> dict[str, Any]:
    """Return the config of a run that begins, as its folder keeps it.

    Paths are absolute, so that the run can be resumed from any folder.

    Raises:
        PermissionError: If the config would build something that is not on the allow list.
        ValueError: If the scale is not in (0, 1].
    """
    resolved = scale_down(resolve(config))
    del resolved["resume_anyway"]  # of one start, not of the run
    if isinstance(resolved["data"].get("root"), str):
        resolved["data"]["root"] = os.path.abspath(resolved["data"]["root"])
    if resolved["init"] is not None and os.path.exists(resolved["init"]):  # else a model's name
        resolved["init"] = os.path.abspath(resolved["init"])
    return resolved


def scale_down(config: dict[str, Any]) -> dict[str, Any]:
    """Multiply epochs, images and schedules counted in epochs by the ``scale`` of a config.

    Raises:
        ValueError: If the scale is not in (0, 1].
    """
    scale = config["scale"]
    if not isinstance(scale, int | float) or not 0 < scale <= 1:
        raise ValueError(f"scale is above 0 and at most 1, not {scale!r}")
    if scale == 1:
        return config

    def shrink(epochs: Any) -> Any:
        if isinstance(epochs, list):
            return [shrink(each) for each in epochs]
        return max(1, round(epochs * scale)) if isinstance(epochs, int) else epochs

    trainer, data, model = (dict(config[key]) for key in ("trainer", "data", "model"))
    trainer["max_epochs"] = shrink(trainer["max_epochs"])
    data["fraction"] *= scale
    if model.get("scheduler"):
        model["scheduler"] = {
            key: shrink(value) if key in ("step_size", "T_max", "milestones") else value
            for key, value in model["scheduler"].items()
        }
    changed = {"trainer": trainer, "data": data, "model": model}
    return {**config, **changed, "patience": shrink(config["patience"])}


def saved_config(folder: Path) -> dict[str, Any]:
    """Return the config of a run folder, which may be a stranger's: text in it is never resolved.

    Raises:
        ValueError: If it cannot be read.
        PermissionError: If it would build something that is not on the allow list.
    """
    config = read_yaml(folder / "config.yaml")
    if not isinstance(config, dict):
        raise ValueError(f"{folder / 'config.yaml'}: not the config of a run")
    refuse_unknown_targets(config)
    return config
