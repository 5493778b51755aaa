"""The folder of one run: config.yaml, run.json, metrics.json, checkpoints/, figures/."""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import torch
import yaml
from lightning.pytorch.utilities import rank_zero_only

from stm_experiments.core.files import atomic_write_text
from stm_experiments.models import checkpoint


class RunFolder:
    """The folder of a run; files appear complete, and no other run is overwritten.

    Of several processes that train together, only the first one writes.

    Args:
        path: The folder; created if it is missing.
        config: The resolved config as plain data.
        about: More entries of run.json, such as the overrides.

    Attributes:
        leads: Whether this is the first process.
        is_resumed: Whether the folder held an unfinished run; of the first process only.

    Raises:
        FileExistsError: If the folder holds a run with another config, or one that still runs.
        OSError: If it cannot be written.
    """

    def __init__(self, path: Path, config: dict[str, Any], about: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        self.leads = rank_zero_only.rank == 0  # type: ignore[attr-defined]
        self.figures = path / "figures"
        self.checkpoints = path / "checkpoints"
        self._started = time.monotonic()
        self.about = about
        self._lock: TextIO | None = None
        if not self.leads:
            return
        if self.metrics is None:
            self._lock = self._claim()
        config_file = path / "config.yaml"
        # A run that failed before it had results can be started anew.
        self.is_resumed = config_file.is_file() and self._has_results()
        if self.is_resumed and yaml.safe_load(config_file.read_text(encoding="utf-8")) != config:
            raise FileExistsError(
                f"{path} holds another run: choose another folder, or resume={path}"
            )
        self.figures.mkdir(parents=True, exist_ok=True)
        self.checkpoints.mkdir(exist_ok=True)
        if not self.is_resumed:
            text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
            self._replace("config.yaml", text)
        elif (path / "run.json").is_file():
            # The first start of the run says more than its resuming.
            first = json.loads((path / "run.json").read_text(encoding="utf-8"))
            about = {key: first.get(key, value) for key, value in about.items()}
        self.about = {**about, **describe_surroundings(), "status": "running"}
        if self.metrics is None:
            self.write_json("run.json", self.about)

    def _claim(self) -> TextIO:
        """Keep other processes, also on other machines, out of the folder of an unfinished run.

        The lock ends with this process in every case, and its workers do not inherit it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = (self.path / ".lock").open("a+", encoding="utf-8")
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            lock.seek(0)
            raise FileExistsError(
                f"{self.path} is in use by a run that is still under way ({lock.read()}): wait for "
                "its end, or end it first"
            ) from None
        except OSError:
            return lock  # the file system has no locks
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        return lock

    def _has_results(self) -> bool:
        """Return whether the folder holds results that another run must not overwrite."""
        return self.metrics is not None or any(self.checkpoints.glob("*.ckpt"))

    @property
    def metrics(self) -> dict[str, float] | None:
        """The metrics of a finished run; None if the run is not finished."""
        path = self.path / "metrics.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def last_checkpoint(self) -> Path | None:
        """Return the newest readable checkpoint to resume from, or None."""
        for name in ("last.ckpt", "previous.ckpt"):
            path = self.checkpoints / name
            if path.is_file():
                try:
                    checkpoint.read(path)
                except checkpoint.CheckpointError as error:
                    print(f"{error}: falling back to the one before")
                else:
                    return path
        return None

    def finish(self, status: str, **about: Any) -> None:
        """Write to run.json how the run ended and how long it took.

        Args:
            status: ``finished``, ``interrupted`` or ``failed: ...``.
            about: More entries.
        """
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        self.about |= {**about, "status": status, "finished": now}
        self.about["seconds"] = round(time.monotonic() - self._started, 1)
        # The error that ended the run, such as a full disk, matters more than this one.
        with contextlib.suppress(OSError):
            self.write_json("run.json", self.about)
        if self._lock is not None:
            (self.path / ".lock").unlink(missing_ok=True)
            self._lock.close()

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write plain data as JSON."""
        self._replace(name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def _replace(self, name: str, text: str) -> None:
        if not self.leads:
            return
        atomic_write_text(self.path / name, text)


def describe_surroundings() -> dict[str, Any]:
    """Return versions, commit and machine: a number may depend on these besides its config."""
    return {
        "versions": {
            "python": platform.python_version(),
            **{
                name: importlib.metadata.version(name)
                for name in ("stm_experiments", "torch", "lightning", "hydra-core", "numpy")
            },
        },
        "git_commit": git_commit(),
        "host": socket.gethostname(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "threads": torch.get_num_threads(),
    }


def git_commit() -> str | None:
    """Return the commit of the running checkout, with ``+`` if files have changed since."""
    here = Path(__file__).parent
    try:
        description = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return description.stdout.strip()
