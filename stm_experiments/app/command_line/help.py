"""The text of ``--help``: examples, the keys of a command with their comments, the config."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from stm_experiments.app.command_line.foreign_files import search_path, split
from stm_experiments.app.messages import choices
from stm_experiments.core.config_files import config_dir, read_yaml

FLAGS = ("--help", "-h")
HERE = "@_here_"  # of the defaults of a config file: the keys of another one stand among its own


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
    about, groups, keys = sections(file.read_text(encoding="utf-8"))
    parts = [about, f"Keys, set as key=value (from {file}):", keys]
    if groups:
        parts += ["Config groups, set as group=file or group.key=value:", groups]
    names = {name for name in config.hydra.runtime.choices if "/" not in name}
    if "experiment" in names:
        parts += [f"experiment is one of {', '.join(choices('experiment'))}."]
    if names - {"figures"}:
        composed = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        known = comments(file)
        for group, name in config.hydra.runtime.choices.items():
            chosen = config_dir() / group / f"{name}.yaml"
            if chosen.is_file():
                known |= {f"{group}.{key}": text for key, text in comments(chosen).items()}
        text = commented(OmegaConf.to_yaml(composed).strip(), known)
        parts += ["The config with its groups:", text]
    parts += ["Also: -m for a sweep, --cfg job for the config alone, --hydra-help for more flags."]
    return "\n\n".join(parts)


def sections(text: str) -> tuple[str, str, str]:
    """Return what a config file says: of the command with examples, of its groups, of its keys.

    Args:
        text: Of a file in ``conf``: comments, ``defaults``, keys, and what it sets in Hydra.
    """
    head, *blocks = re.split(r"(?m)^(?=\w)", text)
    about = re.sub(r"(?m)^# ?", "", head).strip()
    groups = re.findall(
        r"(?m)^  - (\w+: .*)", "".join(b for b in blocks if b.startswith("defaults"))
    )
    keys = [block for block in blocks if not block.startswith(("defaults:", "hydra:"))]
    return (
        about,
        "\n".join(g for g in groups if not g.startswith("override")),
        "".join(keys).strip(),
    )


def leaves(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the lines of a YAML text, each with the dotted path of its key; empty for others."""
    levels: list[tuple[int, str]] = []
    for line in lines:
        match = re.match(r"( *)([\w.]+):", line)
        if match is None:
            yield "", line
            continue
        depth = len(match[1])
        levels = [level for level in levels if level[0] < depth] + [(depth, match[2])]
        yield ".".join(key for _, key in levels), line


def comments(file: Path) -> dict[str, str]:
    """Return the comments of a config file and of those that it takes from its folder, by key."""
    text = file.read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for item in (read_yaml(file) or {}).get("defaults", []):
        ((group, name),) = item.items() if isinstance(item, dict) else [(HERE, item)]
        base = file.parent / group.removesuffix(HERE) / f"{str(name).removesuffix(HERE)}.yaml"
        if group.endswith(HERE) and base.is_file():
            found |= comments(base)
    for key, line in leaves(text.splitlines()):
        _, mark, comment = line.partition(" # ")
        found |= {key: comment} if key and mark else {}
    return found


def commented(text: str, known: Mapping[str, str]) -> str:
    """Return a YAML text with comments behind the lines of the keys that have one."""
    return "\n".join(
        f"{line:<30} # {known[key]}" if key in known else line
        for key, line in leaves(text.splitlines())
    )
