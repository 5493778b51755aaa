"""Modules of the user's own that a command may use: they are named for it, never found by it.

A config or a model file may come from a stranger. It can ask for a plugin, but only the user's
command line, program or environment names one, and nothing else is imported.
"""

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

ENVIRONMENT = "STM_PLUGINS"  # names of modules, separated by commas

_modules: dict[str, ModuleType] = {}


def named_plugins() -> list[str]:
    """Return the modules that the environment names, in its order."""
    names = (name.strip() for name in os.environ.get(ENVIRONMENT, "").split(","))
    return list(dict.fromkeys(name for name in names if name))


def use_plugins(names: Iterable[str]) -> None:
    """Import modules: their classes can be built and loaded until others are named.

    A module that is not installed is also searched for in the current folder.

    Raises:
        ValueError: If a name is no name of a module, or a module cannot be imported.
    """
    modules = {name: _imported(name) for name in names}
    _modules.clear()
    _modules.update(modules)


def plugins_in_use() -> list[str]:
    """Return the names of the modules that are in use."""
    return list(_modules)


def plugin_files() -> dict[str, list[Path]]:
    """Return the source files of each module in use; of a package, those in all its folders."""
    return {name: _source_files(module) for name, module in _modules.items()}


def _source_files(module: ModuleType) -> list[Path]:
    if hasattr(module, "__path__"):
        return sorted(file for folder in module.__path__ for file in Path(folder).rglob("*.py"))
    return [] if module.__file__ is None else [Path(module.__file__)]


def find_class(target: str) -> type | None:
    """Return the class of a dotted name in a module in use; None if there is none.

    A module's classes are those in its ``__all__`` or, without one, those that it defines.
    """
    module_name, _, name = target.rpartition(".")
    module = _modules.get(module_name)
    return None if module is None or name not in class_names(module) else getattr(module, name)


def plugin_classes() -> list[str]:
    """Return the dotted names of all classes of the modules in use."""
    return [f"{key}.{name}" for key, module in _modules.items() for name in class_names(module)]


def class_names(module: ModuleType) -> list[str]:
    """Return the names of a module's public classes."""
    names = getattr(module, "__all__", None)
    classes = dict(inspect.getmembers(module, inspect.isclass))
    if names is not None:
        return [name for name in names if name in classes]
    own = {name: kind for name, kind in classes.items() if kind.__module__ == module.__name__}
    return [name for name in own if not name.startswith("_")]


def _imported(name: str) -> ModuleType:
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"plugins={name!r}: not the name of a module, such as mypackage.networks")
    path = sys.path[:]
    if not _is_installed(name):
        sys.path.append(os.getcwd())
        importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise ValueError(
                f"plugins={name}: there is no module {missing!r}; install its package, or start "
                "the command in the folder that holds it"
            ) from None
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"plugins={name}: its import failed: {reason}") from error
    finally:
        sys.path[:] = path


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name.partition(".")[0]) is not None
