"""Config files from other folders (``--config-dir``): they set up runs, never Hydra itself."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from stm_experiments.app.command_line.own_code import config_folders, separate
from stm_experiments.core.config_files import config_dir, read_yaml

SEARCH_PATH = "hydra.searchpath"
# The first four run another config in place of ours; the last one unpickles a file.
REFUSED_FLAGS = ("--config-path", "-cp", "--config-name", "-cn", "--experimental-rerun")
# Hydra's nodes that hold text alone, or that follow from the overrides.
FREE_NODES = frozenset(
    {"job", "mode", "output_subdir", "overrides", "run", "runtime", "searchpath", "sweep"}
)


def refuse_foreign_hydra_nodes(arguments: Sequence[str], config_name: str) -> None:
    """Check that config files from other folders leave Hydra's own nodes alone.

    Hydra builds its callbacks, launcher, sweeper and logging before there is a task that could
    check them. The package and the command line may set them. A file of another folder, which may
    be a stranger's, may not, except for the parameters of a sweep.

    Args:
        arguments: The command line without the program.
        config_name: File in ``conf``.

    Raises:
        PermissionError: If a file changes such a node, or a flag brings a config from elsewhere.
        ValueError: If a file of another folder is no plain YAML of bounded size.
    """
    for argument in arguments:
        if (flag := argument.partition("=")[0]) in REFUSED_FLAGS:
            raise PermissionError(f"{flag} is not allowed: --config-dir adds files of your own")
    folders, texts = split(arguments)
    if not folders and not any(SEARCH_PATH in text for text in texts):
        return
    path = search_path(folders)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())
        overrides = parser.parse_overrides(texts)
        _check_files([*folders, *_searched(overrides)])
        own = [o.input_line or "" for o in overrides if o.is_hydra_override()]
        expected = _hydra_nodes(config_name, [text for text in own if SEARCH_PATH not in text])
        for choice in _choices(overrides):
            extra = [path, *choice] if folders else choice
            for name, value in _hydra_nodes(config_name, extra).items():
                if value != expected.get(name):
                    raise PermissionError(
                        f"hydra.{name} is set by a config file of another folder: Hydra's own "
                        "settings come from the package and the command line alone"
                    )


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the folders of ``--config-dir``, and the overrides.

    Raises:
        ValueError: If there are several folders, of which Hydra would read the last one only.
    """
    flags, texts = separate(arguments)
    folders = config_folders(flags)
    if len(folders) > 1:
        paths = ",".join(f"'file://{Path(folder).absolute()}'" for folder in folders)
        raise ValueError(f"--config-dir takes one folder; for several, {SEARCH_PATH}=[{paths}]")
    return folders, texts


def search_path(folders: Sequence[str]) -> str:
    """Return the override that adds folders to Hydra's search path."""
    escaped = [folder.replace("\\", "\\\\").replace("'", "\\'") for folder in folders]
    entries = ",".join(f"'file://{folder}'" for folder in escaped)
    return f"{SEARCH_PATH}=[{entries}]"


def _searched(overrides: Sequence[Override]) -> list[str]:
    """Return the folders that overrides add to Hydra's search path."""
    values = [o.value() for o in overrides if o.key_or_group == SEARCH_PATH]
    folders = [str(each) for value in values if isinstance(value, list) for each in value]
    return [text.strip("'\"").removeprefix("file://") for text in folders]


def _check_files(folders: Sequence[str]) -> None:
    """Check that all config files are plain YAML of bounded size, before Hydra reads them.

    Raises:
        ValueError: If one is not, or has the name of a file of the package, which Hydra would read
            in its place; the message names it.
    """
    for folder in folders:
        for file in Path(folder).rglob("*.yaml"):
            read_yaml(file)
            name = file.relative_to(folder)
            if (config_dir() / name).is_file() and not file.samefile(config_dir() / name):
                raise ValueError(
                    f"{file}: the package has a {name} too, which would be read in its place: "
                    "give yours another name"
                )


def _choices(overrides: Sequence[Override]) -> Iterator[list[str]]:
    """Yield overrides without sweeps: one list for each value of each sweep.

    Values of different sweeps need not be combined: a node that a file sets is set in its list.
    """
    fixed = [o.input_line or "" for o in overrides if not o.is_sweep_override()]
    yield fixed
    for override in overrides:
        if override.is_sweep_override() and override.is_discrete_sweep():
            for value in override.sweep_string_iterator():
                yield [*fixed, f"{override.get_key_element()}={value}"]


def _hydra_nodes(config_name: str, overrides: list[str]) -> dict[str, Any]:
    """Return Hydra's nodes as plain data, unresolved, without those that may differ."""
    config = compose(config_name, overrides=overrides, return_hydra_config=True)
    nodes = OmegaConf.to_container(config.hydra, resolve=False)
    assert isinstance(nodes, dict)
    job, sweeper = nodes["job"], nodes["sweeper"]
    kept = {str(name): value for name, value in nodes.items() if name not in FREE_NODES}
    kept["sweeper"] = {name: value for name, value in sweeper.items() if name != "params"}
    return kept | {f"job.{name}": job[name] for name in ("env_set", "env_copy", "chdir")}
