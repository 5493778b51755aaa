"""The text of ``--help``: the keys of a command with their comments, and the composed config."""

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from stm_experiments.app.command_line.foreign_files import search_path, split
from stm_experiments.app.messages import choices
from stm_experiments.core.config_files import config_dir

FLAGS = ("--help", "-h")


def help_text(arguments: Sequence[str], config_name: str) -> str:
    """Return what ``--help`` prints.

    Hydra's own page takes a second to write, has no comments, and lists the config groups of all
    commands.

    Args:
        arguments: The command line without the program; its overrides change the composed config.
        config_name: File in ``conf``.
    """
    file = config_dir() / f"{config_name}.yaml"
    folders, overrides = split(arguments)
    extra = [search_path(folders)] if folders else []
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose(config_name, overrides=[*extra, *overrides], return_hydra_config=True)
    names = [name for name in config.hydra.runtime.choices if "/" not in name]
    parts = [f"Every key is set as key=value. {file}:", file.read_text(encoding="utf-8").strip()]
    if names:
        keys = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        parts += ["Config groups, set as group=file:"]
        parts += ["\n".join(f"{name}: {', '.join(choices(name))}" for name in sorted(names))]
        parts += ["The config with its groups:", OmegaConf.to_yaml(keys).strip()]
    parts += ["Also: -m for a sweep, --cfg job for the config alone, --hydra-help for more flags."]
    return "\n\n".join(parts)
