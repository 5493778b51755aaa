"""What Hydra knows of the job that runs: its folder, its name, how it was started."""

import hashlib
import re
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

# Hydra's grammar gives brackets, commas and equals signs a meaning: paths are quoted for the user.
PATH_KEYS = (
    "checkpoint",
    "image",
    "channel",
    "clean",
    "runs",
    "resume",
    "init",
    "data.root",
)
FOLDER_KEYS = ("hydra.run.dir", "hydra.sweep.dir")  # the same, unless they refer to settings by ${
# The groups by whose choices runs are told apart.
NAMED_GROUPS = ("lattice", "noise", "data", "model", "trainer")
MOST_CHARACTERS = 99  # of a folder's name, without the underscore before it


def run_name(overrides: list[str]) -> str:
    """Return a folder name made from overrides: [A-Za-z0-9_.-], at most 100 characters.

    Args:
        overrides: Such as ``lattice=fcc``; those whose key takes a path are left out,
            and ``resume_anyway``, which changes no run.

    Returns:
        Such as ``_lattice-fcc_max_epochs-3``; empty without overrides.
    """
    pairs = [override.lstrip("+~").partition("=") for override in overrides]
    pairs.sort(key=lambda pair: "." in pair[0])  # groups and seeds first: they tell jobs apart
    left_out = (*PATH_KEYS, "resume_anyway")
    words = [f"{key.split('.')[-1]}-{value}" for key, _, value in pairs if key not in left_out]
    name = "_".join(words)
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")
    if len(safe) > MOST_CHARACTERS:
        safe = f"{safe[:90]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"_{safe}" if safe else ""


def log_file(job_name: str) -> str:
    """Return the log of a job, which all processes of a run share."""
    return str(job_folder() / f"{job_name.partition('_ddp_')[0]}.log")


# Config files may come from strangers: none reads the environment or makes nodes of text.
for _resolver in ("oc.env", "oc.create", "oc.decode"):
    OmegaConf.clear_resolver(_resolver)
OmegaConf.register_new_resolver("run_name", run_name, replace=True)
OmegaConf.register_new_resolver("log_file", log_file, replace=True)


def job_folder() -> Path:
    """Return the folder into which Hydra sends this job; ``${`` in its name is text."""
    runtime = OmegaConf.to_container(HydraConfig.get().runtime, resolve=False)
    assert isinstance(runtime, dict)
    return Path(runtime["output_dir"])


def new_folder() -> Path:
    """Return the folder of this command's results; a training run guards its own.

    Raises:
        ValueError: If it holds more than this command's log.
    """
    job, folder = HydraConfig.get(), job_folder()
    if any(path.name != f"{job.job.name}.log" for path in folder.iterdir()):
        raise ValueError(
            f"{folder} holds results already: choose another folder, hydra.run.dir=<folder>"
        )
    return folder


def choice(group: str) -> str | None:
    """Return the file that was chosen of a config group."""
    name = HydraConfig.get().runtime.choices[group]
    return None if name is None else str(name)


def describe_job() -> dict[str, Any]:
    """Return what run.json says of the start of a run: number, overrides, experiment, sweep."""
    job = HydraConfig.get()
    # A launcher that starts a process for each job numbers it; a run by itself has no number.
    is_swept = not OmegaConf.is_missing(job.job, "num")
    return {
        "job": job.job.num if is_swept else 0,
        "overrides": list(job.overrides.task),
        "experiment": choice("experiment"),
        # A list of choices, such as lattice=[sc,fcc], has no single name.
        "choices": {key: job.runtime.choices.get(key) for key in NAMED_GROUPS},
        "sweep": Path(job.sweep.dir).name if is_swept else None,
    }
