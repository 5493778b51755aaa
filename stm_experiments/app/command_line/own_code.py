"""What a command line says of the user's own code and config files, before Hydra reads it."""

from collections.abc import Sequence
from itertools import islice

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser

from stm_experiments.core.plugins import named_plugins
from stm_experiments.core.texts import did_you_mean

PLUGINS = ("plugins=", "+plugins=", "++plugins=")
FOLDER_FLAGS = ("--config-dir", "-cd")
# Flags of Hydra that are followed by a value.
VALUE_FLAGS = (*FOLDER_FLAGS, "--cfg", "-c", "--package", "-p", "--info", "-i")


def plugins_named(arguments: Sequence[str]) -> list[str]:
    """Return the modules that the environment and a command line name as plugins.

    Raises:
        ValueError: If the value of ``plugins`` is no list of names.
    """
    texts = [text for text in arguments if text.startswith(PLUGINS)]
    if not texts:
        return named_plugins()
    override = OverridesParser.create().parse_override(texts[-1])
    value = None if override.is_sweep_override() else override.value()
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{texts[-1]}: give a list of modules, plugins=[mypackage.networks]")
    return list(dict.fromkeys([*named_plugins(), *map(str, names)]))


def ordered(arguments: Sequence[str]) -> list[str]:
    """Return a command line with its flags before its overrides, the only order Hydra can read."""
    flags, overrides = separate(arguments)
    return [*flags, *overrides]


def separate(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the flags of a command line, with their values, and its overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        flags.append(argument)
        if argument in VALUE_FLAGS:
            flags.extend(islice(rest, 1))
    return flags, overrides


def refuse_unknown_flags(arguments: Sequence[str]) -> None:
    """Refuse a flag that no command has; Hydra would print its usage.

    Raises:
        ValueError: If there is one.
    """
    known = [flag for action in get_args_parser()._actions for flag in action.option_strings]
    flags, _ = separate(arguments)
    for flag in flags:
        name = flag.partition("=")[0]
        if name.startswith("-") and name not in known:
            likely = did_you_mean(name, known)
            raise ValueError(f"there is no flag {name}{likely or ': --help lists what there is'}")


def config_folders(flags: Sequence[str]) -> list[str]:
    """Return the folders of ``--config-dir`` among the flags of a command line."""
    folders = []
    for position, text in enumerate(flags):
        flag, equals, value = text.partition("=")
        if flag in FOLDER_FLAGS:
            folders.append(value if equals else "".join(flags[position + 1 : position + 2]))
    return folders
