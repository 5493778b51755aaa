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
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from stm_experiments.core.files import atomic_write_text
from stm_experiments.models import checkpoint


class RunFolder:
    """Writes what a run leaves, whole files only, and never over another run.

    Of several processes that train together only the first one writes.

    Args:
        path: The folder; made if it is absent.
        config: The resolved config as plain data.
        about: More for run.json, such as the overrides.

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
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        if self.metrics is None:
            self._lock = self._claim()
        written = path / "config.yaml"
        self.is_resumed = written.is_file()
        if not self._has_results():
            self.is_resumed = False  # a run that failed before it had anything can be begun anew
        if self.is_resumed and yaml.safe_load(written.read_text(encoding="utf-8")) != config:
            raise FileExistsError(
                f"{path} holds another run: choose another folder, or resume={path}"
            )
        self.figures.mkdir(parents=True, exist_ok=True)
        self.checkpoints.mkdir(exist_ok=True)
        if not self.is_resumed:
            self._replace("config.yaml", text)
        if self.is_resumed and (path / "run.json").is_file():
            # What the run was started with says more than that it was resumed.
            first = json.loads((path / "run.json").read_text(encoding="utf-8"))
            about = {key: first.get(key, value) for key, value in about.items()}
        self.about = {**about, **surroundings(), "status": "running"}
        if self.metrics is None:
            self.write_json("run.json", self.about)

    def _claim(self) -> TextIO:
        """Keeps other processes, on other machines too, out of an unfinished run's folder.

        The lock ends with this process, however that ends, and is not inherited by its workers.
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
            return lock  # a file system without locks
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        return lock

    def _has_results(self) -> bool:
        """Whether there is anything that another run must not overwrite."""
        return self.metrics is not None or any(self.checkpoints.glob("*.ckpt"))

    @property
    def metrics(self) -> dict[str, float] | None:
        """The metrics of a run that is finished; else None."""
        path = self.path / "metrics.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def last_checkpoint(self) -> Path | None:
        """The newest readable checkpoint from which to go on, or None."""
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
        """Notes in run.json how the run ended and how long it took."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        self.about |= {**about, "status": status, "finished": now}
        self.about["seconds"] = round(time.monotonic() - self._started, 1)
        # What ended the run, such as a full disk, matters more than that it cannot be noted.
        with contextlib.suppress(OSError):
            self.write_json("run.json", self.about)
        if self._lock is not None:
            (self.path / ".lock").unlink(missing_ok=True)
            self._lock.close()

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Writes plain data as JSON."""
        self._replace(name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def _replace(self, name: str, text: str) -> None:
        if not self.leads:
            return
        atomic_write_text(self.path / name, text)


def surroundings() -> dict[str, Any]:
    """Versions, code and machine: what a number may depend on beside its config."""
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
    """The commit of the checkout that runs, with ``+`` if files have changed since."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
