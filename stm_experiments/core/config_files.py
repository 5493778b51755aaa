"""The folder of configuration files, which a checkout and an installed package keep apart."""

from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def config_dir() -> Path:
    """Return the folder of config groups: inside an installed package, next to it in a checkout."""
    packaged = PACKAGE / "conf"
    return packaged if packaged.is_dir() else PACKAGE.parent / "conf"
