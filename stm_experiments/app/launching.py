"""From the command line to a task: paths with any characters, sweeps, errors in one sentence."""

import gc
import logging
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import hydra
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from stm_experiments.app.command_line.foreign_files import refuse_foreign_hydra_nodes
from stm_experiments.app.command_line.help import FLAGS, help_text
from stm_experiments.app.command_line.own_code import (
    PLUGINS,
    ordered,
    plugins_named,
    refuse_unknown_flags,
)
from stm_experiments.app.job import FOLDER_KEYS, PATH_KEYS
from stm_experiments.app.logs import log_traceback
from stm_experiments.app.messages import one_sentence
from stm_experiments.app.orphans import end_with_sweep
from stm_experiments.core.config_files import config_dir, read_yaml
from stm_experiments.core.files import FolderTaken
from stm_experiments.core.plugins import ENVIRONMENT
from stm_experiments.core.texts import prepare_output, printable

PROLONGING = "trainer.max_epochs"  # the only key of a run that may change when it is resumed
DRY_RUN = "hydra.callbacks.sweep.dry_run=true"  # what --dry-run stands for
SWEEP_FLAGS = ("-m", "--multirun")
Task = Callable[[DictConfig], Any]
Recipe = Callable[[], Task]

log = logging.getLogger(__name__)


class JobFailed(Exception):
    """A job of a sweep ended with an error that was printed already."""


class SweepStart(Callback):
    """Notes where a sweep writes and chooses its launcher; Hydra builds it, from conf/train.yaml.

    Args:
        dry_run: Print the jobs and start none, whatever launcher was chosen.
    """

    folders: ClassVar[list[Path]] = []

    def __init__(self, dry_run: bool) -> None:
        self.dry_run = dry_run

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note the folder, choose the launcher; called by Hydra once, before the first job."""
        if self.dry_run:
            launcher = {
                "_target_": "hydra_plugins.stm_launchers.DryRunLauncher",
                "jobs_per_gpu": config.hydra.launcher.get("jobs_per_gpu", 1),
            }
        else:
            self.folders.append(Path(config.hydra.sweep.dir).absolute())
            if not suits_processes(config.hydra):
                return
            launcher = read_yaml(config_dir() / "hydra" / "launcher" / "local_gpus.yaml")
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.launcher = launcher


def suits_processes(settings: DictConfig) -> bool:
    """Return whether the jobs of a sweep shall run side by side, a process for each CPU core.

    A small network trains hardly faster on two cores than on one. A launcher that was chosen is
    kept, and so is a sweeper, which may need the results of its first jobs for the next ones.

    Args:
        settings: Hydra's.
    """
    chosen = ("hydra/launcher=", "hydra/sweeper=")
    if cpu_cores() < 2 or any(o.startswith(chosen) for o in settings.overrides.hydra):
        return False
    import torch

    return torch.cuda.device_count() == 0


def cpu_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launch(
    recipe: Recipe, config_name: str, after_sweep: Callable[[Path], None] | None = None
) -> None:
    """Run an entry point under Hydra.

    Errors end it with one sentence and exit code 1; the traceback goes to the log in its folder.

    Args:
        recipe: Imports and returns what takes the composed config; called once that is composed.
            Jobs of a sweep raise, so that the others run.
        config_name: File in ``conf``.
        after_sweep: Called with the folder of a sweep at its end, however that ends.
    """
    # Hydra would print its own summary and exit; with this it hands the exception on.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # A log that cannot be written (a full disk) is not worth a screen of traceback.
    logging.raiseExceptions = False
    SweepStart.folders.clear()
    end_with_sweep()
    prepare_output()
    before = os.environ.get(ENVIRONMENT)
    try:
        sys.argv[1:] = hydra_arguments(sys.argv[1:])
        if named := plugins_named(sys.argv[1:]):
            os.environ[ENVIRONMENT] = ",".join(named)  # also of the processes of this run
        refuse_foreign_hydra_nodes(sys.argv[1:], config_name)
        if set(FLAGS) & set(sys.argv[1:]):
            return print(help_text(sys.argv[1:], config_name))
        run = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=config_name)
        run(_reporting(recipe, config_name))()
    except KeyboardInterrupt as error:
        print(printable(str(error) or "interrupted"), file=sys.stderr)
        sys.exit(130)
    except JobFailed:
        sys.exit(1)
    except Exception as error:
        print(f"error: {one_sentence(error)}", file=sys.stderr)
        sys.exit(1)
    finally:
        if after_sweep is not None and SweepStart.folders:
            after_sweep(SweepStart.folders[-1])
        if before is None:
            os.environ.pop(ENVIRONMENT, None)
        else:
            os.environ[ENVIRONMENT] = before


@cache
def imported(recipe: Recipe) -> Task:
    """Import a recipe; collect no garbage meanwhile, and never search the modules for it.

    It saves a fifth of the time: imports make many objects and hardly any garbage.
    """
    gc.disable()
    try:
        return recipe()
    finally:
        gc.freeze()
        gc.enable()


def _reporting(recipe: Recipe, config_name: str) -> Task:
    """Return a task that checks the types of its config and prints what it raises."""

    def checked(config: DictConfig) -> Any:
        try:
            check_types(config, config_name)
            return imported(recipe)(config)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if not isinstance(error, FolderTaken):  # else the log is another run's
                log_traceback()
            job = HydraConfig.get()
            is_swept = job.mode is RunMode.MULTIRUN
            if is_swept:
                print(f"error: job {job.job.num}: {one_sentence(error)}", file=sys.stderr)
            if not isinstance(error, Exception):
                raise
            if is_swept:
                raise JobFailed(str(error)) from error
            # Raised further, Hydra would add a line of its own.
            print(f"error: {one_sentence(error)}", file=sys.stderr)
            sys.exit(1)

    checked.__module__ = recipe.__module__  # by which Hydra names the job
    return checked


def hydra_arguments(arguments: list[str]) -> list[str]:
    """Return the arguments that Hydra parses: paths quoted, ``resume`` in its own run folder.

    Args:
        arguments: As they were typed.

    Raises:
        ValueError: If a flag is not known; if ``resume`` names no run, or comes with keys that
            would change it; or if ``--dry-run`` comes without a sweep.
    """
    if "--dry-run" in arguments:
        if not set(arguments) & set(SWEEP_FLAGS):
            raise ValueError("--dry-run shows the jobs of a sweep: add -m")
        arguments = [DRY_RUN if text == "--dry-run" else text for text in arguments]
    refuse_unknown_flags(arguments)
    quoted = [quote_path(text) for text in ordered(arguments)]
    resumed = [text.partition("=")[2] for text in arguments if text.startswith("resume=")]
    is_further_process = "hydra.output_subdir=null" in arguments  # of a run, by Lightning
    if not resumed or resumed[-1] == "null" or is_further_process:
        return quoted
    folder = _resumed_folder(resumed[-1])
    kept = ("resume=", "resume_anyway=", f"{PROLONGING}=", *PLUGINS, "-")
    others = [text for text in arguments if not text.startswith(kept) or text in SWEEP_FLAGS]
    if others:
        raise ValueError(
            f"resume={folder} takes the config of that run: leave out {' '.join(others)}"
        )
    return [*quoted, f"hydra.run.dir={quote_value(str(folder.absolute()))}"]


def _resumed_folder(value: str) -> Path:
    """Return the folder that ``resume`` names, with or without quotes.

    Raises:
        ValueError: If there is no run in it.
    """
    if not value:
        raise ValueError("resume= needs the folder of a run")
    quoted = re.fullmatch(r"(['\"])(.*)\1", value)
    folder = Path(value)
    if quoted and not folder.exists():
        folder = Path(quoted[2])
    if not (folder / "config.yaml").is_file():
        raise ValueError(f"resume={folder}: there is no run in that folder (no config.yaml)")
    return folder


def quote_path(argument: str) -> str:
    """Quote the value of an override whose key takes a path."""
    key, equals, value = argument.partition("=")
    takes_path = key.lstrip("+") in PATH_KEYS or (key in FOLDER_KEYS and "${" not in value)
    if not equals or not takes_path or not value or value in ("null", "''", '""'):
        return argument
    if re.fullmatch(r"""'([^'\\]|\\.)*'|"([^"\\]|\\.)*\"""", value):
        return argument
    return f"{key}={quote_value(value)}"


def quote_value(value: str) -> str:
    """Quote any text for Hydra's grammar."""
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), value)
    return f"'{escaped.replace('${', chr(92) + '${')}'"


NUMBER_OR_WORD = ("trainer.devices", "grains")  # keys that take a word such as auto, too


def check_types(config: DictConfig, config_name: str) -> None:
    """Refuse text where the config's own default is a number or a switch.

    Args:
        config: As composed from the command line.
        config_name: File in ``conf``.

    Raises:
        ValueError: If a value is of the wrong kind.
    """
    job = HydraConfig.get()
    overrides = list(job.overrides.task)
    if any(text.startswith("lattice=") for text in overrides) and not config.get("lattice"):
        raise ValueError("choose at least one lattice, such as lattice=fcc or lattice=[sc,fcc]")
    keys = {o.lstrip("+~").partition("=")[0]: o for o in overrides}
    groups = [override for key, override in keys.items() if key in job.runtime.choices]
    values = {
        key: OmegaConf.select(config, key, throw_on_missing=False)
        for key in keys
        if key not in (*job.runtime.choices, *PATH_KEYS)
    }
    if all(isinstance(value, bool) for value in values.values()):
        return  # the defaults, which take a moment to compose, are not needed
    defaults = compose(config_name, overrides=groups)
    for key, value in values.items():
        default = OmegaConf.select(defaults, key, throw_on_missing=False)
        if isinstance(default, bool) and not isinstance(value, bool):
            raise ValueError(f"{key} is true or false, not {value!r}")
        is_number = isinstance(default, int | float)
        if is_number and isinstance(value, str) and key not in NUMBER_OR_WORD:
            raise ValueError(f"{key} is a number, not {value!r}")
