"""The list of what a config may build: all else is refused before anything is built."""

import importlib
import inspect

# Exact names from other packages. All classes that this package defines are allowed besides.
ALLOWED = frozenset(
    {
        "lightning.Trainer",
        "lightning.pytorch.loggers.TensorBoardLogger",
        "lightning.pytorch.loggers.WandbLogger",
        "torch.optim.Adam",
        "torch.optim.AdamW",
        "torch.optim.SGD",
        "torch.optim.RMSprop",
        "torch.optim.NAdam",
        "torch.optim.RAdam",
        "torch.optim.lr_scheduler.CosineAnnealingLR",
        "torch.optim.lr_scheduler.ExponentialLR",
        "torch.optim.lr_scheduler.MultiStepLR",
        "torch.optim.lr_scheduler.OneCycleLR",
        "torch.optim.lr_scheduler.StepLR",
    }
)

PACKAGE = "stm_experiments"


def refuse_unknown_targets(config: object, where: str = "") -> None:
    """Check every ``_target_`` in a plain config.

    Args:
        config: Nested dicts and lists.
        where: Dotted key of ``config``, for the message.

    Raises:
        PermissionError: If a ``_target_`` is not on the list.
    """
    if isinstance(config, dict):
        for key, value in config.items():
            name = f"{where}.{key}" if where else str(key)
            if key == "_target_" and not is_allowed(value):
                raise PermissionError(
                    f"{name}={value!r} is not allowed: configs build only classes of "
                    f"{PACKAGE} and the names listed in {PACKAGE}/app/allow.py"
                )
            refuse_unknown_targets(value, name)
    elif isinstance(config, list):
        for number, value in enumerate(config):
            refuse_unknown_targets(value, f"{where}[{number}]")


def is_allowed(target: object) -> bool:
    """Return whether a config may name this dotted path as ``_target_``."""
    if not isinstance(target, str):
        return False
    if target in ALLOWED:
        return True
    module_name, _, name = target.rpartition(".")
    if module_name != PACKAGE and not module_name.startswith(f"{PACKAGE}."):
        return False
    try:
        module = importlib.import_module(module_name)
    except ImportError:
        return False
    # A class that a module of the package merely imports (an alias path) is not of the package.
    value = getattr(module, name, None)
    return inspect.isclass(value) and value.__module__.split(".")[0] == PACKAGE
