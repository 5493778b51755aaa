"""Config files: the folder of ours, and YAML of plain data, also from strangers."""

from pathlib import Path
from typing import Any

import yaml

from stm_experiments.core.files import CONFIG_BYTES, read_bytes

PACKAGE = Path(__file__).parent.parent


def config_dir() -> Path:
    """Return the folder of config groups: inside an installed package, next to it in a checkout."""
    packaged = PACKAGE / "conf"
    return packaged if packaged.is_dir() else PACKAGE.parent / "conf"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """A safe loader without aliases, by which a short text can stand for any amount of data."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node; see ``yaml.composer``."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """A safe dumper that writes repeated data again instead of an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value in full."""
        return True


def read_yaml(path: Path) -> Any:
    """Read plain data; nothing in the text is resolved or built.

    Raises:
        ValueError: If it is no regular file, too large, damaged or holds more than plain data; the
            message names the file.
        OSError: If it cannot be read.
    """
    content = read_bytes(path, CONFIG_BYTES)
    try:
        return yaml.load(content, _Loader)
    except (yaml.YAMLError, RecursionError, ValueError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: cannot be read as plain YAML ({reason})") from None


def to_yaml(content: Any) -> str:
    """Return plain data as YAML that ``read_yaml`` reads."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text
