"""Between the command line and Hydra: paths with any characters, and errors in one sentence."""

import hashlib
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    ConfigCompositionException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

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

PACKAGE = Path(__file__).parent.parent
DRY_RUN = "hydra.callbacks.sweep.dry_run=true"  # what --dry-run stands for

log = logging.getLogger(__name__)
sweep_folder: Path | None = None


def config_dir() -> Path:
    """The folder of config groups: inside an installed package, or beside it in a checkout."""
    packaged = PACKAGE / "conf"
    return packaged if packaged.is_dir() else PACKAGE.parent / "conf"


def run_name(overrides: list[str]) -> str:
    """A folder name of what was set, as any file system takes it: [A-Za-z0-9_.-], 100 characters.

    Args:
        overrides: ``lattice=fcc`` and so on; paths are left out.

    Returns:
        Such as ``_lattice-fcc_max_epochs-3``; empty if nothing was set.
    """
    pairs = [override.lstrip("+~").partition("=") for override in overrides]
    pairs.sort(key=lambda pair: "." in pair[0])  # groups and seeds first: they tell jobs apart
    named = [f"{key.split('.')[-1]}-{value}" for key, _, value in pairs if key not in PATH_KEYS]
    name = "_".join(named)
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")
    if len(safe) > 99:
        safe = f"{safe[:90]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"_{safe}" if safe else ""


OmegaConf.register_new_resolver("run_name", run_name, replace=True)
OmegaConf.register_new_resolver("log_name", lambda job: job.partition("_ddp_")[0], replace=True)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or a signal ended a run; the message says how to go on."""


class SweepFolder(Callback):
    """Remembers where a sweep writes, for the table at its end.

    Args:
        dry_run: Show the jobs and start none, whichever launcher was chosen.
    """

    def __init__(self, dry_run: bool) -> None:
        self.dry_run = dry_run

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Called by Hydra once, before the first job."""
        global sweep_folder
        if self.dry_run:
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.launcher = {"_target_": "hydra_plugins.stm_launchers.DryRunLauncher"}
        else:
            sweep_folder = Path(config.hydra.sweep.dir).absolute()


def quote_path(argument: str) -> str:
    """Quotes the value of an override whose key takes a path."""
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in PATH_KEYS or not value or value in ("null", "''", '""'):
        return argument
    if re.fullmatch(r"""'([^'\\]|\\.)*'|"([^"\\]|\\.)*\"""", value):
        return argument
    return f"{key}={quote_value(value)}"


def quote_value(value: str) -> str:
    """Text as Hydra's grammar takes it, whatever is in it."""
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), value)
    return f"'{escaped.replace('${', chr(92) + '${')}'"


def arguments(given: list[str]) -> list[str]:
    """What Hydra is to parse: paths quoted, and ``resume`` sent into its own run folder.

    Raises:
        ValueError: If ``resume`` names no run, or comes with keys that would change it; or if
            ``--dry-run`` comes without a sweep.
    """
    sweep = ("-m", "--multirun")
    if "--dry-run" in given:
        if not set(given) & set(sweep):
            raise ValueError("--dry-run shows the jobs of a sweep: add -m")
        given = [DRY_RUN if argument == "--dry-run" else argument for argument in given]
    resumed = [a.partition("=")[2] for a in given if a.startswith("resume=")]
    quoted = [quote_path(argument) for argument in given]
    lightnings = "hydra.output_subdir=null" in given  # a further process of a run
    if not resumed or resumed[-1] == "null" or lightnings:
        return quoted
    if not resumed[-1]:
        raise ValueError("resume= needs the folder of a run")
    folder = Path(resumed[-1].strip("'\""))
    if not (folder / "config.yaml").is_file():
        raise ValueError(f"resume={folder}: there is no run in that folder (no config.yaml)")
    others = [a for a in given if not a.startswith(("resume=", "-")) or a in sweep]
    if others:
        raise ValueError(
            f"resume={folder} goes on with that run's own config: leave out {' '.join(others)}"
        )
    return [*quoted, f"hydra.run.dir={quote_value(str(folder.absolute()))}"]


def about_job() -> dict[str, Any]:
    """What run.json says of how a run was started: its number, overrides, experiment and sweep."""
    job = HydraConfig.get()
    # A launcher that starts a process for each job numbers it; a run by itself has no number.
    swept = not OmegaConf.is_missing(job.job, "num")
    return {
        "job": job.job.num if swept else 0,
        "overrides": list(job.overrides.task),
        "experiment": job.runtime.choices["experiment"],
        "sweep": Path(job.sweep.dir).name if swept else None,
    }


def restored(config: DictConfig) -> DictConfig:
    """The config of the run that is resumed, or the given one."""
    if config.resume is None:
        return config
    saved = OmegaConf.load(Path(HydraConfig.get().runtime.output_dir) / "config.yaml")
    assert isinstance(saved, DictConfig)
    return saved


def output_folder() -> Path:
    """The folder of this call's results; a training run guards its own.

    Raises:
        ValueError: If it holds anything yet but this call's log.
    """
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    if any(path.name != f"{job.job.name}.log" for path in folder.iterdir()):
        raise ValueError(f"{folder} holds results already: choose another folder")
    return folder


def one_sentence(error: BaseException) -> str:
    """What went wrong and where, without a traceback."""
    if isinstance(error, InstantiationException):
        if error.__cause__ is not None:
            error = error.__cause__
        unexpected = re.search(
            r"(\w+)\.__init__\(\) got an unexpected keyword.*'(\w+)'", str(error)
        )
        if unexpected:
            return f"{unexpected[1]} has no setting named {unexpected[2]!r}"
        missing = re.search(r"(\w+)\.__init__\(\) missing .* argument.*: (.*)", str(error))
        if missing:
            return f"{missing[1]} needs a value for {missing[2]}"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename} cannot be read or written: {error.strerror.lower()}"
    text = " ".join(str(error).split())
    text = re.sub(r"^\w+ raised while resolving interpolation: ", "", text)
    text = re.sub(r" ?full_key: \S+| ?object_type=\S+| ?reference_type=\S+", "", text)
    if isinstance(error, ConfigCompositionException) and error.__cause__ is not None:
        cause = " ".join(str(error.__cause__).split("\n")[0].split())
        text = f"{text.rstrip('.')} ({cause.rstrip('.')})"
    text = re.sub(
        r" To append to your config use \+\S+| To append to your default list.*", "", text
    )
    text = re.sub(r" Did you mean to override.*| See https?://\S+.*", "", text)
    if isinstance(error, MissingConfigException):
        text = re.sub(r" Config search path:.*", "", text)
        group = re.search(r"Could not load '(.+)/[^/]+'", text)
        if group and (config_dir() / group[1]).is_dir():
            choices = sorted(file.stem for file in (config_dir() / group[1]).glob("*.yaml"))
            text = f"{text.rstrip('.')}: choose from {', '.join(choices)}"
    if isinstance(error, (*EXPECTED, OSError)) or type(error).__name__ in LIGHTNINGS:
        return text.rstrip(".")
    return f"unexpected {type(error).__name__}: {text}".rstrip(".")


def check_types(config: DictConfig, config_name: str) -> None:
    """Refuses text where the config's own default is a number or a switch.

    Raises:
        ValueError: If a value is of the wrong kind.
    """
    job = HydraConfig.get()
    asked = any(override.startswith("lattice=") for override in job.overrides.task)
    if asked and not config.get("lattice"):
        raise ValueError("choose at least one lattice, such as lattice=fcc or lattice=[sc,fcc]")
    groups = [
        o for o in job.overrides.task if o.lstrip("+~").partition("=")[0] in job.runtime.choices
    ]
    default = compose(config_name, overrides=groups)
    for override in job.overrides.task:
        key = override.lstrip("+").partition("=")[0]
        usual, given = (OmegaConf.select(c, key, throw_on_missing=False) for c in (default, config))
        if isinstance(usual, bool) and not isinstance(given, bool):
            raise ValueError(f"{key} is true or false, not {given!r}")
        if isinstance(usual, int | float) and isinstance(given, str) and key != "trainer.devices":
            raise ValueError(f"{key} is a number, not {given!r}")


# By name, because importing Lightning takes seconds that other commands can do without.
LIGHTNINGS = ("MisconfigurationException",)
EXPECTED = (
    ValueError,
    RuntimeError,
    PermissionError,
    OverrideParseException,
    ConfigCompositionException,
    MissingConfigException,
    OmegaConfBaseException,
)


def launch(task: Callable[[DictConfig], Any], config_name: str) -> None:
    """Runs an entry point under Hydra.

    Errors end it with one sentence and exit code 1; the traceback goes to the run folder's log.

    Args:
        task: Takes the composed config; jobs of a sweep raise, so that the others go on.
        config_name: File in ``conf``.
    """
    reported: list[BaseException] = []

    def logged(config: DictConfig) -> Any:
        try:
            check_types(config, config_name)
            return task(config)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            record = log.makeRecord(
                log.name, logging.ERROR, __file__, 0, "failed", (), sys.exc_info()
            )
            for handler in logging.getLogger().handlers:
                if isinstance(handler, logging.FileHandler):
                    handler.handle(record)
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                number = HydraConfig.get().job.num
                print(f"error: job {number}: {one_sentence(error)}", file=sys.stderr)
                reported.append(error)
            elif isinstance(error, Exception):
                # Raised further, Hydra would add a line of its own.
                print(f"error: {one_sentence(error)}", file=sys.stderr)
                sys.exit(1)
            raise

    # Hydra would print its own summary and exit; with this it hands the exception on.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # A log that cannot be written (a full disk) is not worth a screen of traceback.
    logging.raiseExceptions = False
    logged.__module__ = task.__module__
    try:
        sys.argv[1:] = arguments(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=config_name)(
            logged
        )()
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if error not in reported:
            print(f"error: {one_sentence(error)}", file=sys.stderr)
        sys.exit(1)
