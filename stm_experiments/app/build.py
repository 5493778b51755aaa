"""From a config to objects: the only place that instantiates anything."""

import netrc
import os
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from omegaconf import DictConfig, OmegaConf

from stm_experiments.app.allow import refuse_unknown_targets
from stm_experiments.app.messages import choices
from stm_experiments.core.config_files import config_dir
from stm_experiments.core.memory import keep_freed_memory
from stm_experiments.data import DataSource, PatchData, PatchSettings
from stm_experiments.models.checkpoint import write_checkpoint
from stm_experiments.models.interfaces import Card, Network
from stm_experiments.simulator import Noise
from stm_experiments.training import Reconstruction
from stm_experiments.training.callbacks import Patience


def resolve(config: DictConfig) -> dict[str, Any]:
    """The resolved config as plain data, with every ``_target_`` checked.

    Raises:
        PermissionError: If the config would build something that is not on the allow list.
    """
    resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    refuse_unknown_targets(resolved)
    return {str(key): value for key, value in resolved.items()}


def scale_down(config: dict[str, Any]) -> dict[str, Any]:
    """The config with its epochs, images and schedules counted in epochs shrunk by ``scale``.

    Raises:
        ValueError: If the scale is not in (0, 1].
    """
    scale = config["scale"]
    if not isinstance(scale, int | float) or not 0 < scale <= 1:
        raise ValueError(f"scale is above 0 and at most 1, not {scale!r}")
    if scale == 1:
        return config

    def shrunk(epochs: Any) -> Any:
        if isinstance(epochs, list):
            return [shrunk(each) for each in epochs]
        return max(1, round(epochs * scale)) if isinstance(epochs, int) else epochs

    trainer, data, model = (dict(config[key]) for key in ("trainer", "data", "model"))
    trainer["max_epochs"] = shrunk(trainer["max_epochs"])
    data["fraction"] *= scale
    if model.get("scheduler"):
        model["scheduler"] = {
            key: shrunk(value) if key in ("step_size", "T_max", "milestones") else value
            for key, value in model["scheduler"].items()
        }
    changed = {"trainer": trainer, "data": data, "model": model}
    return {**config, **changed, "patience": shrunk(config["patience"])}


def build_model(config: dict[str, Any]) -> Reconstruction:
    """The objective with its network, optimiser and schedule."""
    model: Reconstruction = instantiate(config["model"], _convert_="all")
    return model


def build_network(name: str) -> Network:
    """The network of a file of ``conf/model``, untrained.

    Raises:
        ValueError: If there is no such file.
    """
    path = config_dir() / "model" / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"net is one of {', '.join(choices('model'))}, not {name!r}")
    model = OmegaConf.load(path)
    assert isinstance(model, DictConfig)
    settings = OmegaConf.to_container(model.net)
    refuse_unknown_targets(settings)
    net: Network = instantiate(settings, _convert_="all")
    return net


def build_data(config: dict[str, Any], window: int | None) -> PatchData:
    """Return the data module, cutting patches of the network's window, else of ``data.patch``."""
    data = dict(config["data"])
    patch = data.pop("patch")
    patches = {
        field.name: data.pop(field.name) for field in fields(PatchSettings) if field.name in data
    }
    patches["window"] = patch if window is None else window
    patches["need_clean"] = config["model"].get("target") == "clean"
    source: DataSource = instantiate(data, _convert_="all")
    return PatchData(source, PatchSettings(**patches))


def build_noise(config: dict[str, Any]) -> Noise:
    """Strengths of everything that spoils an image."""
    noise: Noise = instantiate(config["noise"], _convert_="all")
    return noise


def build_loggers(config: dict[str, Any], folder: Path, about: dict[str, Any]) -> list[Logger]:
    """The chosen logger, if it is more than the run folder's own files.

    Args:
        config: The run's config.
        folder: Its folder; also its name.
        about: Its run.json: W&B groups runs by their ``sweep`` and their ``experiment``.
    """
    settings = dict(config["logger"])
    if "_target_" not in settings:
        return []
    settings["save_dir"] = settings["save_dir"] or str(folder)
    if settings["_target_"].endswith("WandbLogger"):
        if settings["offline"] is None:
            settings["offline"] = not has_wandb_account()
        settings |= {
            "name": folder.name,
            "config": config,
            "group": about["sweep"],
            "job_type": about["experiment"] or "train",
            "tags": [*config["lattice"], config["model"]["net"]["_target_"].split(".")[-1]],
        }
    # Not recursively: the run's config, which is only shown, has targets of its own.
    return [instantiate(settings, _convert_="all", _recursive_=False)]


def has_wandb_account() -> bool:
    """Whether W&B could log in without asking."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def build_trainer(
    config: dict[str, Any], folder: Path, callbacks: list[Callback], loggers: list[Logger]
) -> Trainer:
    """The trainer, with a progress bar and, where asked for, early stopping."""
    epochs = config["trainer"]["max_epochs"]
    if not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"trainer.max_epochs is a whole number of at least 1, not {epochs!r}")
    patience, clip = config["patience"], config["trainer"]["gradient_clip_val"]
    if patience is not None and (not isinstance(patience, int) or patience < 1):
        raise ValueError(f"patience is a number of epochs of at least 1, or null, not {patience!r}")
    if clip is not None and (not isinstance(clip, int | float) or clip <= 0):
        raise ValueError(f"trainer.gradient_clip_val is above 0, or null, not {clip!r}")
    if config["checkpoint_minutes"] < 0:
        raise ValueError("checkpoint_minutes cannot be negative")
    callbacks = [*callbacks, RichProgressBar(refresh_rate=10)]
    if config["patience"] is not None:
        callbacks.append(Patience("val/loss", patience=config["patience"]))
    keep_freed_memory()
    # Lightning's own use of a torch function that is going away: nothing a user could do.
    warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
    # A machine on which SLURM is installed need not be used through it.
    warnings.filterwarnings("ignore", message=".*srun.* command is available")
    settings = dict(config["trainer"])
    if settings["accelerator"] == "auto" and not torch.cuda.is_available():
        settings["accelerator"] = "cpu"  # never Apple's GPU, which has no float64
    trainer: Trainer = instantiate(
        settings,
        default_root_dir=str(folder),
        plugins=[WholeFiles()],
        callbacks=callbacks,
        logger=loggers or False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=10**9,
    )
    if trainer.world_size > 1:
        check_processes(trainer)
    return trainer


class WholeFiles(TorchCheckpointIO):
    """Has the trainer write its checkpoints as all model files are written."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes a checkpoint; see ``checkpoint.write_checkpoint``."""
        write_checkpoint(checkpoint, Path(path))


def check_processes(trainer: Trainer) -> None:
    """Refuses several processes per run where they would not end up in one run folder.

    Raises:
        ValueError: In a sweep whose jobs share one process: its command line, which is run again
            for each further process, is the sweep's. And where something else started the
            processes, each with a time of its own in the folder's name.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    apart = environment is not None and environment.creates_processes_externally
    job = HydraConfig.get()
    if job.mode is RunMode.MULTIRUN and not apart:
        raise ValueError(
            f"a sweep cannot train its jobs on trainer.devices={trainer.num_devices} from one "
            "process: add hydra/launcher=local_gpus or hydra/launcher=slurm, which start each job "
            "by itself, or run the jobs one by one without -m"
        )
    given = any(override.startswith("hydra.run.dir=") for override in job.overrides.hydra)
    if job.mode is RunMode.RUN and apart and not given:
        raise ValueError(
            f"{trainer.world_size} processes need one folder: add hydra.run.dir=outputs/..."
        )


def build_card(config: dict[str, Any], window: int | None) -> Card:
    """What the run's model files say of themselves."""
    arguments = dict(config["model"]["net"])
    network = arguments.pop("_target_").rpartition(".")[2]
    return Card(
        network=network,
        arguments=arguments,
        window=window,
        normalisation=config["data"].get("normalisation", "minmax"),
        lattice=list(config["data"].get("lattices", [])),  # a user's scans have none
        config=config,
    )
