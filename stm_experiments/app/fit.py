"""From the settings of a run to what its training needs: loggers, callbacks, the trainer."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning import Trainer
from lightning.pytorch.callbacks import (
    Callback,
    DeviceStatsMonitor,
    EarlyStopping,
    LearningRateMonitor,
    RichProgressBar,
)
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.profilers import (
    AdvancedProfiler,
    Profiler,
    PyTorchProfiler,
    SimpleProfiler,
)
from lightning.pytorch.strategies import ParallelStrategy
from rich.console import Console
from torch import nn

from stm_experiments.app.account import has_wandb_account, refuse_wandb_settings
from stm_experiments.app.allow import TARGET
from stm_experiments.app.construct import construct
from stm_experiments.app.job import describe_job
from stm_experiments.app.logs import quieten_lightning
from stm_experiments.core.memory import keep_freed_memory
from stm_experiments.models.checkpoint import read, write_checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.training.callbacks import EpochLines, Patience, Pruning
from stm_experiments.training.callbacks.pruning import trial_of_job
from stm_experiments.training.loggers.wandb_run import flat_config, run_id
from stm_experiments.training.steps.several import NO_STEP

WANDB = ("WandbRun", "WandbLogger")  # the second one in configs of earlier versions
WATCHED = ("gradients", "parameters", "all")
PROFILERS: dict[str, type[Profiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}


def chosen(config: Mapping[str, Any], group: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects that are chosen of a config group, by name.

    Raises:
        ValueError: If something in the group builds nothing, and so has no effect.
    """
    nodes = config.get(group) or {}
    if TARGET in nodes:
        nodes = {group: nodes}
    for name, node in nodes.items():
        if not isinstance(node, dict) or TARGET not in node:
            owners = [key for key, value in nodes.items() if isinstance(value, dict)]
            example = f": {group}.{owners[0]}.{name}" if owners else ""
            raise ValueError(f"{group}.{name} has no effect: a setting belongs to one{example}")
        yield name, dict(node)


def logs_steps(config: Mapping[str, Any]) -> bool:
    """Return whether loggers get numbers of steps, besides those of epochs."""
    return config["trainer"].get("log_every_n_steps") is not None


def build_loggers(config: dict[str, Any], folder: Path, about: dict[str, Any]) -> list[Logger]:
    """Build the chosen loggers; none if metrics.csv is all that is wanted.

    Args:
        config: The run's config.
        folder: The run folder, whose name is the name of the run.
        about: Content of run.json: W&B groups runs by ``sweep`` and ``experiment``.
    """
    loggers: list[Logger] = []
    for _, settings in chosen(config, "logger"):
        target = settings[TARGET].rpartition(".")[2]
        settings["save_dir"] = settings.get("save_dir") or str(folder)
        details: dict[str, Any] = {}  # not searched for nodes: the config in it is only shown
        if target == "StepTable" and not (logs_steps(config) or config.get("callbacks")):
            continue  # there are no numbers of steps
        if target in WANDB:
            refuse_wandb_settings(Path.cwd())
            if settings.get("offline") is None:
                settings["offline"] = not has_wandb_account()
            settings.pop("log_model", None)  # Lightning's; ours is in log_results
            settings.pop("watch", None)
            details = wandb_details(config, folder, about, settings)
        loggers.append(construct(settings, **details))
    return loggers


def wandb_details(
    config: dict[str, Any], folder: Path, about: dict[str, Any], settings: dict[str, Any]
) -> dict[str, Any]:
    """Return what W&B is told of a run; the user's own name, group, job type and tags come first.

    Args:
        config: The run's config.
        folder: The run folder.
        about: Content of run.json.
        settings: Those of the logger, from which the user's own are taken out.
    """
    network = config["model"]["net"][TARGET].split(".")[-1]
    tags = [*(settings.pop("tags", None) or []), *config["lattice"], network]
    return {
        "id": run_id(folder),
        "resume": "allow",
        "name": settings.pop("name", None) or folder.name,
        "config": flat_config(config, about),
        "group": settings.pop("group", None) or about["sweep"],
        "job_type": settings.pop("job_type", None) or about["experiment"] or "train",
        "tags": list(dict.fromkeys(tags)),
    }


def watch(config: dict[str, Any], loggers: Sequence[Logger], model: nn.Module) -> None:
    """Let W&B log histograms of gradients or weights, if that was asked for.

    Raises:
        ValueError: If there is no such choice, or no step is logged.
    """
    for _, settings in chosen(config, "logger"):
        if (what := settings.get("watch")) is None:
            continue
        if what not in WATCHED:
            raise ValueError(f"logger.wandb.watch is {', '.join(WATCHED)}, or null, not {what!r}")
        if not logs_steps(config):
            raise ValueError("logger.wandb.watch needs trainer.log_every_n_steps, such as 100")
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                every = config["trainer"]["log_every_n_steps"]
                # Number 0: the jobs of a sweep in one process have charts of the same names.
                logger.experiment.watch(model, log=what, log_freq=every, idx=0, log_graph=False)


def build_callbacks(config: dict[str, Any]) -> list[Callback]:
    """Build the chosen callbacks.

    Raises:
        ValueError: If two would stop the training early for the same reason.
    """
    callbacks: list[Callback] = [construct(node) for _, node in chosen(config, "callbacks")]
    if not logs_steps(config):
        refuse_silent(callbacks)
    stops = [each for each in callbacks if isinstance(each, EarlyStopping)]
    if config["patience"] is not None:
        if any(each.monitor == "val/loss" for each in stops):
            raise ValueError(
                "patience and callbacks=early_stopping both follow val/loss: leave out one"
            )
        stops.append(Patience("val/loss", patience=config["patience"]))
    return [*(each for each in callbacks if not isinstance(each, EarlyStopping)), *stops]


def refuse_silent(callbacks: Sequence[Callback]) -> None:
    """Refuse callbacks that log steps alone where no logger takes numbers of steps.

    Raises:
        ValueError: If there is one.
    """
    for each in callbacks:
        monitors_steps = isinstance(each, LearningRateMonitor) and each.logging_interval == "step"
        if monitors_steps or isinstance(each, DeviceStatsMonitor):
            raise ValueError(
                f"{type(each).__name__} logs steps: set how often, as trainer.log_every_n_steps=10"
            )


def refuse_callbacks(config: dict[str, Any], net: Network) -> None:
    """Refuse callbacks for a network that no trainer trains.

    Raises:
        ValueError: If there are any.
    """
    if names := [name for name, _ in chosen(config, "callbacks")]:
        raise ValueError(
            f"callbacks={','.join(names)} has no effect: {net.label} is fitted and not trained"
        )


def build_trainer(
    config: dict[str, Any], folder: Path, callbacks: list[Callback], loggers: list[Logger]
) -> Trainer:
    """Build the trainer, with the chosen callbacks and a progress bar, or lines without a terminal.

    Args:
        config: The run's config.
        folder: The run folder.
        callbacks: Those of every run.
        loggers: From ``build_loggers``.

    Raises:
        ValueError: If a setting makes no sense, or several processes cannot share the run folder.
    """
    check_trainer_settings(config)
    own = build_callbacks(config)
    # Those that stop the training come last: they follow what the others log.
    stops = [each for each in own if isinstance(each, EarlyStopping)]
    first = [each for each in own if each not in stops]
    trial = trial_of_job(describe_job()["job"])
    pruning = [] if trial is None else [Pruning(trial)]
    settings = dict(config["trainer"])
    console = Console()
    has_bar = settings.pop("enable_progress_bar", True) and (
        console.is_terminal or console.is_jupyter
    )
    progress = RichProgressBar(refresh_rate=10) if has_bar else EpochLines()
    callbacks = [*first, *callbacks, *stops, *pruning, progress]
    keep_freed_memory()
    quieten_lightning()
    # Lightning uses a torch function that will be removed: users cannot do anything about it.
    warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
    # SLURM may be installed on a machine and not be used for this run.
    warnings.filterwarnings("ignore", message=".*srun.* command is available")
    # A run whose loggers get numbers of epochs alone has an interval that is never reached.
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval")
    if settings["accelerator"] == "auto" and not torch.cuda.is_available():
        settings["accelerator"] = "cpu"  # never Apple's GPU, which has no float64
    profiler = settings.pop("profiler", None)
    every = settings.pop("log_every_n_steps", None)
    trainer: Trainer = construct(
        settings,
        default_root_dir=str(folder),
        plugins=[AtomicCheckpointIO()],
        callbacks=callbacks,
        logger=loggers or False,
        profiler=PROFILERS[profiler](dirpath=folder, filename="profile") if profiler else None,
        num_sanity_val_steps=0,
        enable_progress_bar=has_bar,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=NO_STEP if every is None else every,
    )
    if trainer.world_size > 1:
        check_processes(trainer)
    return trainer


def check_trainer_settings(config: dict[str, Any]) -> None:
    """Refuse numbers that make no sense.

    Raises:
        ValueError: If there is one.
    """
    epochs = config["trainer"]["max_epochs"]
    if not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"trainer.max_epochs is a whole number of at least 1, not {epochs!r}")
    every, profiler = (config["trainer"].get(key) for key in ("log_every_n_steps", "profiler"))
    if every is not None and (not isinstance(every, int) or every < 1):
        raise ValueError(f"trainer.log_every_n_steps is at least 1, or null, not {every!r}")
    if profiler is not None and profiler not in PROFILERS:
        raise ValueError(f"trainer.profiler is {', '.join(PROFILERS)}, or null, not {profiler!r}")
    patience, clip = config["patience"], config["trainer"]["gradient_clip_val"]
    if patience is not None and (not isinstance(patience, int) or patience < 1):
        raise ValueError(f"patience is a number of epochs of at least 1, or null, not {patience!r}")
    if clip is not None and (not isinstance(clip, int | float) or clip <= 0):
        raise ValueError(f"trainer.gradient_clip_val is above 0, or null, not {clip!r}")
    if config["checkpoint_minutes"] < 0:
        raise ValueError("checkpoint_minutes cannot be negative")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's writer and reader of checkpoints, replaced by those of all model files."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint whole or not at all; see ``checkpoint.write_checkpoint``."""
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint to the CPU and verify what is read; see ``checkpoint.read``."""
        return read(path)


def check_processes(trainer: Trainer) -> None:
    """Refuse several processes per run where they would not share one run folder.

    Raises:
        ValueError: In a sweep whose jobs share one process: Lightning would start each further
            process with the command line of the whole sweep. Or where something else, such as
            srun, started the processes: each would have its own time in the folder's name.
    """
    strategy = trainer.strategy
    environment = strategy.cluster_environment if isinstance(strategy, ParallelStrategy) else None
    are_started_outside = environment is not None and environment.creates_processes_externally
    job = HydraConfig.get()
    if job.mode is RunMode.MULTIRUN and not are_started_outside:
        raise ValueError(
            f"a sweep cannot train its jobs on trainer.devices={trainer.num_devices} from one "
            "process: add hydra/launcher=local_gpus or hydra/launcher=slurm, which start each job "
            "by itself, or run the jobs one by one without -m"
        )
    has_folder = any(override.startswith("hydra.run.dir=") for override in job.overrides.hydra)
    if job.mode is RunMode.RUN and are_started_outside and not has_folder:
        raise ValueError(
            f"{trainer.world_size} processes need one folder: add hydra.run.dir=outputs/..."
        )
