"""From a composed or saved config to the settings of a command: plain data, checked."""

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from stm_experiments.app.allow import refuse_unknown_targets
from stm_experiments.core.config_files import config_dir, read_yaml
from stm_experiments.core.plugins import named_plugins, use_plugins
from stm_experiments.figures.style import set_style

GROUPS = frozenset(
    (
        "lattice",
        "noise",
        "data",
        "model",
        "trainer",
        "scheduler",
        "callbacks",
        "logger",
        "figures",
    )
)
SCALED = ("step_size", "T_max", "T_0", "milestones", "patience")  # of schedules, in epochs


def resolve(config: DictConfig) -> dict[str, Any]:
    """Resolve a config to plain data, import the plugins, and check every ``_target_``.

    Pictures are drawn in the style of the config from then on.

    Raises:
        PermissionError: If the config would build something that is not on the allow list, or
            asks for a plugin that the user has not named.
        ValueError: If a plugin cannot be imported, or the style has no such key or value.
    """
    resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    if "plugins" in resolved:
        resolved["plugins"] = import_plugins(resolved["plugins"], "the config")
    refuse_unknown_targets(resolved)
    set_style(resolved.get("figures", {}))
    return {str(key): value for key, value in resolved.items()}


def import_plugins(wanted: object, who: str) -> list[str]:
    """Import the plugins that the user has named, and return their names.

    Args:
        wanted: What a config asks for: a name or a list of names. It is never imported for that.
        who: The config, for the message.

    Raises:
        PermissionError: If the user has not named one of them.
        ValueError: If one cannot be imported.
    """
    named = named_plugins()
    asked = wanted if isinstance(wanted, list) else [wanted]
    if missing := [str(name) for name in asked if name not in named]:
        names = ",".join(dict.fromkeys([*named, *missing]))
        raise PermissionError(
            f"{who} asks for the code of {', '.join(missing)}, which is imported for nobody but "
            f"you: if you trust it, add plugins=[{names}] to the command line"
        )
    use_plugins(named)
    return named


def new_config(config: DictConfig) -> dict[str, Any]:
    """Return the config of a run that begins, as its folder keeps it.

    Paths are absolute, so that the run can be resumed from any folder.

    Raises:
        PermissionError: If the config would build something that is not on the allow list.
        ValueError: If the scale is not in (0, 1].
    """
    refuse_unused_keys(config)
    refuse_none_among_others()
    resolved = scale_down(with_schedule(resolve(config)))
    del resolved["resume_anyway"]  # of one start, not of the run
    if isinstance(resolved["data"].get("root"), str):
        resolved["data"]["root"] = os.path.abspath(resolved["data"]["root"])
    if resolved["init"] is not None and os.path.exists(resolved["init"]):  # else a model's name
        resolved["init"] = os.path.abspath(resolved["init"])
    return resolved


def refuse_unused_keys(config: DictConfig) -> None:
    """Refuse keys of a run that nothing reads.

    Raises:
        ValueError: If there is one; keys to which another key refers are read.
    """
    known = {*read_yaml(config_dir() / "train.yaml"), *GROUPS}
    text = OmegaConf.to_yaml(config, resolve=False)
    for key in map(str, config):
        if key not in known and not re.search(rf"\$\{{{re.escape(key)}\b", text):
            near = get_close_matches(key, known, 1)
            meant = f"; did you mean {near[0]}?" if near else f": {', '.join(sorted(known))}"
            raise ValueError(f"{key} has no effect: it is no key of this command{meant}")


def refuse_none_among_others() -> None:
    """Refuse ``none`` in a list of callbacks or loggers, where it has no effect.

    Raises:
        ValueError: If it is there.
    """
    for text in HydraConfig.get().overrides.task:
        group, _, value = text.partition("=")
        names = [name.strip() for name in value.strip("[]").split(",")]
        if group in ("callbacks", "logger") and "none" in names and len(names) > 1:
            others = ",".join(name for name in names if name != "none")
            raise ValueError(f"none has no effect beside others: write {group}=[{others}]")


def with_schedule(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config whose model has the schedule that was chosen by ``scheduler=``, if any.

    Raises:
        ValueError: If there are settings of the schedule that it replaces.
    """
    if "scheduler" not in config:
        return config
    own = [o for o in HydraConfig.get().overrides.task if "model.scheduler" in o]
    if own:
        raise ValueError(f"{own[0]} has no effect beside scheduler=...: set scheduler.<key>")
    rest = {key: value for key, value in config.items() if key != "scheduler"}
    return {**rest, "model": {**rest["model"], "scheduler": config["scheduler"] or None}}


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
            key: shrink(value) if key in SCALED else value
            for key, value in model["scheduler"].items()
        }
    changed = {"trainer": trainer, "data": data, "model": model}
    return {**config, **changed, "patience": shrink(config["patience"])}


def saved_config(folder: Path) -> dict[str, Any]:
    """Return the config of a run folder, which may be a stranger's: text in it is never resolved.

    Pictures are drawn in the style of the config from then on.

    Raises:
        ValueError: If it cannot be read, or its style has no such key or value.
        PermissionError: If it would build something that is not on the allow list.
    """
    config = read_yaml(folder / "config.yaml")
    if not isinstance(config, dict):
        raise ValueError(f"{folder / 'config.yaml'}: not the config of a run")
    import_plugins(config.get("plugins") or [], f"the run {folder}")
    refuse_unknown_targets(config)
    set_style(config.get("figures") or {})
    return config
