"""What a config may build: the classes of this package, and a short list of others."""

import importlib
import inspect
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from stm_experiments.core.plugins import find_class, plugin_classes, plugins_in_use

PACKAGE = "stm_experiments"
# Whose public classes (``__all__``) a config may build.
ROOMS = tuple(f"{PACKAGE}.{room}" for room in ("data", "models", "simulator", "training"))
TARGET = "_target_"
PARTIAL = "_partial_"

_NUMBERS = None  # optimisers and schedules take numbers: any keyword
_TENSORBOARD = frozenset(
    ("save_dir", "name", "version", "log_graph", "default_hp_metric", "prefix", "sub_dir")
)
_WANDB = frozenset(
    (
        *("save_dir", "project", "entity", "offline", "log_model", "prefix", "notes", "mode"),
        *("name", "group", "job_type", "tags", "watch"),
    )
)
_TRAINER = frozenset(
    (
        *("accelerator", "accumulate_grad_batches", "benchmark", "check_val_every_n_epoch"),
        *("detect_anomaly", "deterministic", "devices", "enable_progress_bar"),
        *("gradient_clip_algorithm", "gradient_clip_val", "inference_mode", "max_epochs"),
        *("limit_train_batches", "limit_val_batches", "log_every_n_steps", "max_steps"),
        *("max_time", "min_epochs", "min_steps", "num_nodes", "precision", "profiler"),
        *("strategy", "sync_batchnorm", "val_check_interval"),
    )
)

# Further classes by exact name, with the keywords that a config may set.
FOREIGN: Mapping[str, frozenset[str] | None] = {
    "lightning.Trainer": _TRAINER,
    "lightning.pytorch.loggers.TensorBoardLogger": _TENSORBOARD,
    "lightning.pytorch.loggers.WandbLogger": _WANDB,
    "lightning.pytorch.callbacks.DeviceStatsMonitor": frozenset(("cpu_stats",)),
    "lightning.pytorch.callbacks.EarlyStopping": _NUMBERS,
    "lightning.pytorch.callbacks.LearningRateMonitor": _NUMBERS,
    "lightning.pytorch.callbacks.ModelSummary": _NUMBERS,
    "lightning.pytorch.callbacks.RichModelSummary": _NUMBERS,
    "stm_experiments.training.callbacks.GradientNorm": frozenset(),
    "stm_experiments.training.callbacks.Patience": _NUMBERS,
    "stm_experiments.training.loggers.StepTable": frozenset(("save_dir",)),
    "stm_experiments.training.loggers.WandbRun": _WANDB,
    "torch.optim.Adam": _NUMBERS,
    "torch.optim.AdamW": _NUMBERS,
    "torch.optim.LBFGS": _NUMBERS,
    "torch.optim.SGD": _NUMBERS,
    "torch.optim.RMSprop": _NUMBERS,
    "torch.optim.NAdam": _NUMBERS,
    "torch.optim.RAdam": _NUMBERS,
    "torch.optim.lr_scheduler.CosineAnnealingLR": _NUMBERS,
    "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts": _NUMBERS,
    "torch.optim.lr_scheduler.CyclicLR": _NUMBERS,
    "torch.optim.lr_scheduler.ExponentialLR": _NUMBERS,
    "torch.optim.lr_scheduler.LinearLR": _NUMBERS,
    "torch.optim.lr_scheduler.PolynomialLR": _NUMBERS,
    "torch.optim.lr_scheduler.ReduceLROnPlateau": _NUMBERS,
    "torch.optim.lr_scheduler.MultiStepLR": _NUMBERS,
    "torch.optim.lr_scheduler.OneCycleLR": _NUMBERS,
    "torch.optim.lr_scheduler.StepLR": _NUMBERS,
}


def refuse_unknown_targets(config: object, where: str = "") -> None:
    """Check every node with a ``_target_`` in plain data.

    Args:
        config: Nested dicts and lists.
        where: Dotted key of ``config``, for the message.

    Raises:
        PermissionError: If a node names a class, or a keyword of it, that is not on the list.
    """
    if isinstance(config, dict):
        if TARGET in config:
            allowed_class(config, where)
        for key, value in config.items():
            refuse_unknown_targets(value, f"{where}.{key}" if where else str(key))
    elif isinstance(config, list):
        for number, value in enumerate(config):
            refuse_unknown_targets(value, f"{where}[{number}]")


def allowed_class(node: Mapping[str, Any], where: str = "") -> type:
    """Return the class that a node names.

    Args:
        node: Has a ``_target_``.
        where: Its dotted key, for the message.

    Raises:
        PermissionError: If the class, or a keyword of it, is not on the list.
    """
    target = node[TARGET]
    prefix = f"{where}." if where else ""
    found = _find_class(target)
    if found is None:
        raise PermissionError(f"{prefix}{TARGET}={target!r} is not allowed: {remedy(target)}")
    keywords = FOREIGN.get(target, _NUMBERS)
    for key in node:
        special = key in (TARGET, PARTIAL)
        if not isinstance(key, str) or (key.startswith("_") and not special):
            raise PermissionError(f"{prefix}{key} is not allowed: no keyword of {target}")
        if keywords is not None and not special and key not in keywords:
            raise PermissionError(
                f"{prefix}{key} is not allowed: of {target}, configs set only "
                f"{', '.join(sorted(keywords))}"
            )
    return found


def remedy(target: object) -> str:
    """Return what may be named in place of a dotted path that is not allowed, and how.

    Args:
        target: The path as it was given.
    """
    rooms = ", .".join(room.removeprefix(f"{PACKAGE}.") for room in ROOMS)
    listed = (
        f"configs build public classes of {PACKAGE}.{rooms} and those in {PACKAGE}/app/allow.py"
    )
    if not isinstance(target, str) or not target:
        return listed
    module, _, name = target.rpartition(".")
    allowed = allowed_names()
    lasts = {path.rpartition(".")[2].lower(): path for path in allowed}
    near = [lasts[each] for each in get_close_matches(name.lower(), lasts, 3, 0.7)]
    if near:
        listed += f", near it {', '.join(near)}"
    if module in plugins_in_use():
        return f"{listed}; the plugin {module} has no public class {name!r}"
    top = module.partition(".")[0]
    if top and top != PACKAGE and top not in sys.stdlib_module_names:
        listed += f"; your own code needs plugins=[{module}] on the command line"
    return listed


def allowed_names() -> list[str]:
    """Return the dotted paths of all classes that a config may build."""
    rooms = [(room, importlib.import_module(room)) for room in ROOMS]
    paths = [f"{room}.{name}" for room, module in rooms for name in module.__all__]
    return [path for path in (*paths, *FOREIGN, *plugin_classes()) if is_allowed(path)]


def is_allowed(target: object) -> bool:
    """Return whether a config may name this dotted path as ``_target_``."""
    return _find_class(target) is not None


def _find_class(target: object) -> type | None:
    """Return the class of an allowed dotted path; None for all others."""
    if not isinstance(target, str):
        return None
    module_name, _, name = target.rpartition(".")
    if target not in FOREIGN and module_name not in ROOMS:
        return find_class(target)
    module = importlib.import_module(module_name)
    if target not in FOREIGN and name not in module.__all__:
        return None
    value = getattr(module, name)
    return value if inspect.isclass(value) else None
