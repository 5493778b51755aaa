"""What a run leaves, compared bit for bit with an undisturbed run; whether its status is true."""

import json
from pathlib import Path
from typing import Any

import torch

from stm_experiments.models import checkpoint

RESULTS = (
    "metrics.csv",
    "metrics.json",
    "three_patches.json",
    "latent.csv",
    "latent_patches.png",
    "latent.json",
)
STATES = ("state_dict", "optimizer_states", "lr_schedulers")
LOGS = ("*.wandb", "events.out.*")


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of results that differ between two run folders."""
    names = [name for name in RESULTS if read_bytes(one / name) != read_bytes(other / name)]
    for name in ("best.ckpt", "last.ckpt"):
        paths = [folder / "checkpoints" / name for folder in (one, other)]
        if not all(path.is_file() for path in paths):
            names += [name] if any(path.is_file() for path in paths) else []
            continue
        first, second = map(checkpoint.read, paths)
        names += [
            f"{name}: {key}" for key in STATES if not are_equal(first.get(key), second.get(key))
        ]
    return names


def read_bytes(path: Path) -> bytes | None:
    """Return the content of a file; None if there is none."""
    return path.read_bytes() if path.is_file() else None


def are_equal(one: Any, other: Any) -> bool:
    """Return whether nested dicts, lists and tensors are equal, bit for bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(are_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(are_equal, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def false_status(run: Path) -> str:
    """Return what is false in the status of a run that was killed; empty if nothing is."""
    content = read_bytes(run / "run.json")
    if content is None:
        return ""
    status = json.loads(content)["status"]
    if status == "running" or (status == "finished" and (run / "metrics.json").is_file()):
        return ""
    return f"its status is {status!r}"


def unfinished(run: Path, *, logs: bool) -> list[str]:
    """Return what a run lacks that has come to its end.

    Args:
        run: Its folder.
        logs: Whether it has a logger.
    """
    if not (run / "run.json").is_file():
        return ["run.json"]
    about = json.loads((run / "run.json").read_bytes())
    lacks = [] if about["status"] == "finished" else [f"its status is {about['status']!r}"]
    lacks += [f"not logged ({about['unlogged']})"] if about.get("unlogged") else []
    files = [path for pattern in LOGS for path in run.rglob(pattern)]
    if logs and not any(b"/mse_noisy" in path.read_bytes() for path in files):
        lacks.append("no final metrics in the files of its logger")
    return lacks
