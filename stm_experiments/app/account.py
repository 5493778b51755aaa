"""The user's account at Weights & Biases, and what keeps its key from other servers."""

import configparser
import netrc
import os
from pathlib import Path

from stm_experiments.core.files import CONFIG_BYTES, read_bytes

FOLDERS = ("wandb", ".wandb")  # in the current folder, where W&B looks for settings
HARMLESS = frozenset(("entity", "mode", "project"))


def has_wandb_account() -> bool:
    """Return whether W&B can log in without a question."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def refuse_wandb_settings(folder: Path) -> None:
    """Refuse settings that W&B would take from a folder: they choose who receives the key.

    Args:
        folder: The current folder, which may hold a stranger's files.

    Raises:
        PermissionError: If there are such settings.
        ValueError: If a file of settings cannot be read.
    """
    for name in FOLDERS:
        path = folder / name / "settings"
        if not path.exists():
            continue
        settings = configparser.ConfigParser(interpolation=None)
        try:
            settings.read_string(read_bytes(path, CONFIG_BYTES).decode())
        except (configparser.Error, UnicodeDecodeError):
            raise ValueError(f"{path}: no settings of W&B; delete the file") from None
        keys = {key for section in settings.values() for key in section}
        if refused := sorted(keys - HARMLESS):
            raise PermissionError(
                f"{path} would set {', '.join(refused)} of W&B, which may give your key to others: "
                "delete it, or start the command in another folder (WANDB_BASE_URL chooses a "
                "server of your own)"
            )
