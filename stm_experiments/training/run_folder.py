"""The folder of one run: config.yaml, run.json, metrics.json, checkpoints/, figures/."""

import fcntl
import importlib.metadata
import os
import platform
import socket
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from stm_experiments.core.config_files import read_yaml, to_yaml
from stm_experiments.core.files import (
    FolderTaken,
    atomic_write_text,
    open_own,
    read_json,
    write_json,
)
from stm_experiments.core.results.names import with_current_names
from stm_experiments.core.texts import printable
from stm_experiments.models import checkpoint
from stm_experiments.training import circumstances


class RunFolder:
    """The folder of a run; files appear complete, and no other run is overwritten.

    Of several processes that train together, only the first one writes.

    Args:
        path: The folder; created if it is missing.
        config: The resolved config as plain data.
        about: More entries of run.json, such as the overrides.
        anyway: Whether the run is resumed if circumstances have changed that change its outcome.

    Attributes:
        leads: Whether this is the first process.
        metrics: The metrics of a run that was assessed; None if they are missing or damaged.
        is_complete: Whether a run has its metrics and all that comes after them, the loggers and
            the status in run.json.
        is_resumed: Whether the folder held an unfinished run; of the first process only.

    Raises:
        FolderTaken: If the folder holds a run with another config, or one that still runs.
        PermissionError: If it holds links, through which a run would write into other folders.
        OSError: If it cannot be written.
    """

    def __init__(
        self, path: Path, config: dict[str, Any], about: dict[str, Any], *, anyway: bool = False
    ) -> None:
        self.path = path
        self.anyway = anyway
        self.is_resumed = False
        self.config = config
        self.leads = rank_zero_only.rank == 0  # type: ignore[attr-defined]
        self.figures = path / "figures"
        self.checkpoints = path / "checkpoints"
        self._started = time.monotonic()
        self.about = about
        self._lock: TextIOWrapper | None = None
        numbers = self._read_json("metrics.json")
        self.metrics: dict[str, float] | None = None
        if numbers is not None:
            self.metrics = with_current_names(numbers)
        record = self._read_json("run.json") or {}
        is_logged = record.get("status") == "finished" and not record.get("unlogged")
        self.is_complete = self.metrics is not None and is_logged
        if not self.leads:
            return
        if not self.is_complete:
            refuse_links(path)
            self._lock = self._claim()
        config_file = path / "config.yaml"
        # A run that failed before it had results can be started anew, with other settings too; one
        # that was ended from outside has settings that still count.
        self.is_resumed = config_file.is_file() and self._has_results()
        was_ended = config_file.is_file() and record.get("status") in ("running", "interrupted")
        if (self.is_resumed or was_ended) and read_yaml(config_file) != config:
            raise FolderTaken(f"{path} holds another run: choose another folder, or resume={path}")
        self.figures.mkdir(parents=True, exist_ok=True)
        self.checkpoints.mkdir(exist_ok=True)
        if not self.is_resumed:
            atomic_write_text(config_file, to_yaml(config))
        else:
            # The first start of the run says more than its resuming.
            about = {key: record.get(key, value) for key, value in about.items()}
            if "resumed_anyway" in record:
                about["resumed_anyway"] = record["resumed_anyway"]
        self.about = {**about, **describe_surroundings(), "status": "running"}
        if self.metrics is None:
            self.write_json("run.json", self.about)
        else:
            self.about |= record  # about the machine that trained it

    def _claim(self) -> TextIOWrapper:
        """Keep other processes, also on other machines, out of the folder of an unfinished run.

        The lock ends with this process in every case, and its workers do not inherit it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = open_own(self.path / ".lock")
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            lock.seek(0)
            raise FolderTaken(
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

    def _read_json(self, name: str) -> dict[str, Any] | None:
        """Read a file that is written again if it is missing or damaged, which returns None."""
        path = self.path / name
        if not path.exists():
            return None
        try:
            return read_json(path)
        except ValueError as error:
            if self.leads:
                print(printable(f"{error}; it is written again"))
            return None

    def settle(self, files: Sequence[Path]) -> None:
        """Note the circumstances of a run that begins; compare those of one that is resumed.

        Args:
            files: The files from which its data are read.

        Raises:
            CircumstancesChanged: If a run would be resumed under others.
        """
        if not self.leads:
            return
        now = circumstances.describe(self.config, files)
        if self.is_resumed:
            changes = circumstances.compare(self.path, now, anyway=self.anyway)
            if changes:
                self.note(resumed_anyway=[*self.about.get("resumed_anyway", []), *changes])
        circumstances.write(self.path, now)

    def last_checkpoint(self, training: nn.Module) -> Path | None:
        """Return the newest checkpoint from which a training can be resumed, or None.

        Args:
            training: The training with its network, as it is built.
        """
        return newest_checkpoint(self.checkpoints, training)

    def trained_weights(self, training: nn.Module, name: str) -> dict[str, Tensor]:
        """Return the weights in a checkpoint, which ``last.ckpt`` replaces if it is damaged.

        Args:
            training: The training with its network, as it is built.
            name: Name of the checkpoint.

        Raises:
            CheckpointError: If neither can be used.
        """
        try:
            content = read_checkpoint_of(training, self.checkpoints / name)
        except checkpoint.CheckpointError as error:
            content = read_checkpoint_of(training, self.checkpoints / "last.ckpt")
            print(printable(f"{error}; last.ckpt takes its place"))
            self.about["replaced"] = f"{name} by last.ckpt, as it could not be read"
            checkpoint.write_checkpoint(content, self.checkpoints / name)
        weights: dict[str, Tensor] = content["state_dict"]
        return weights

    def note(self, **about: Any) -> None:
        """Add entries to run.json while the run goes on."""
        self.about |= about
        self.about["seconds"] = round(time.monotonic() - self._started, 1)
        self.write_json("run.json", self.about)

    def finish(self, status: str, **about: Any) -> None:
        """Write to run.json how the run ended and how long it took.

        Args:
            status: ``finished``, ``interrupted`` or ``failed: ...``.
            about: More entries.
        """
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        self.about |= {**about, "status": status, "finished": now}
        if self.metrics is None:
            self.about["seconds"] = round(time.monotonic() - self._started, 1)
        try:
            self.write_json("run.json", self.about)
        except OSError as error:
            # The error that ended the run, such as a full disk, matters more than this one.
            reason = f"{self.path}/run.json cannot be written ({error.strerror})"
            print(printable(f"{reason}; resume=... mends it"))
        if self._lock is not None:
            (self.path / ".lock").unlink(missing_ok=True)
            self._lock.close()

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write plain data as JSON."""
        if self.leads:
            write_json(self.path / name, content)


def refuse_links(folder: Path) -> None:
    """Refuse a run folder with links, through which a run would write into other folders.

    W&B's own folder has links, and writes to new names.

    Raises:
        PermissionError: If there is one; the message names it.
    """
    for path in folder.rglob("*"):
        if path.is_symlink() and path.relative_to(folder).parts[:-1][:1] != ("wandb",):
            raise PermissionError(
                f"{path} is a link: a run writes into its own folder alone; put the file or folder "
                "itself in its place"
            )


# What Lightning needs of a checkpoint besides the weights.
RESUMED = ("epoch", "global_step", "loops", "callbacks", "optimizer_states", "lr_schedulers")


def newest_checkpoint(folder: Path, training: nn.Module) -> Path | None:
    """Return ``last.ckpt``, or ``previous.ckpt`` in its place; None if neither can be resumed.

    Args:
        folder: Folder of the checkpoints.
        training: The training with its network, as it is built.
    """
    last, previous = folder / "last.ckpt", folder / "previous.ckpt"
    for path, way_on in ((last, "trying previous.ckpt"), (previous, "training begins anew")):
        try:
            read_checkpoint_of(training, path, RESUMED)
        except checkpoint.CheckpointError as error:
            if last.exists() or previous.exists():
                print(printable(f"{error}; {way_on}"))
        else:
            return path
    return None


def read_checkpoint_of(
    training: nn.Module, path: Path, needed: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Read a checkpoint of a training.

    Args:
        training: The training with its network, as it is built.
        path: The checkpoint.
        needed: Entries that it must have besides the weights.

    Raises:
        CheckpointError: If it is missing, damaged, or of another network.
    """
    content = checkpoint.read(path)
    try:
        checkpoint.check_fit(training, content["state_dict"])
    except (KeyError, AttributeError, ValueError):
        raise checkpoint.CheckpointError(f"{path}: holds another network than this run") from None
    if not all(key in content for key in needed):
        raise checkpoint.CheckpointError(f"{path}: holds no training that can be resumed")
    return content


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
