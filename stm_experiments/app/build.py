"""From the settings of a run to its objects: network, data, loggers, trainer, card."""

import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import ParallelStrategy
from omegaconf import DictConfig, OmegaConf
from torch import nn

from stm_experiments.app.account import has_wandb_account, refuse_wandb_settings
from stm_experiments.app.construct import construct
from stm_experiments.app.logs import quieten_lightning
from stm_experiments.app.messages import choices
from stm_experiments.core.config_files import config_dir
from stm_experiments.core.memory import keep_freed_memory
from stm_experiments.data import DataSource, PatchSettings
from stm_experiments.data.module import PatchData
from stm_experiments.models.checkpoint import network_name, read, write_checkpoint
from stm_experiments.models.interfaces import Card, Network
from stm_experiments.training import Reconstruction
from stm_experiments.training.callbacks import Patience


def build_model(config: dict[str, Any]) -> Reconstruction:
    """Build the objective with its network, optimiser and schedule.

    Raises:
        ValueError: If the network or the objective lacks what the training needs of it.
    """
    settings = dict(config["model"])
    net = construct(settings.pop("net"))
    check_network(net)
    model: Reconstruction = construct(settings, net=net)
    if not isinstance(model, Reconstruction):
        raise ValueError(
            f"model: {type(model).__name__} is no objective: derive it from "
            "stm_experiments.training.Reconstruction"
        )
    return model


def check_network(net: object) -> None:
    """Refuse what is no network of the package's kind, before it is trained.

    Raises:
        ValueError: If it lacks attributes, or does not map patches to patches of the same shape.
    """
    name = type(net).__name__
    if not isinstance(net, Network) or not isinstance(net, nn.Module):
        missing = [key for key in ("label", "window", "card") if not hasattr(net, key)]
        lacks = f"it lacks {', '.join(missing)}" if missing else "it is no torch.nn.Module"
        raise ValueError(
            f"model.net: {name} is no network ({lacks}): derive it from "
            "stm_experiments.models.interfaces.NetworkModule"
        )
    if type(net).__module__.startswith("stm_experiments."):
        return
    side = net.window or 64
    patches = torch.zeros(2, 1, side, side)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        result = net.eval()(patches)
    net.train()
    if getattr(result, "shape", None) != patches.shape:
        raise ValueError(
            f"model.net: {name} maps patches {list(patches.shape)} to "
            f"{list(getattr(result, 'shape', []))}: its output must have the shape of its input"
        )


def build_network(name: str) -> Network:
    """Build the untrained network of a file of ``conf/model``.

    Raises:
        ValueError: If there is no such file.
    """
    path = config_dir() / "model" / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"net is one of {', '.join(choices('model'))}, not {name!r}")
    model = OmegaConf.load(path)
    assert isinstance(model, DictConfig)
    settings = OmegaConf.to_container(model.net)
    net: Network = construct(settings)
    return net


def build_data(config: dict[str, Any], window: int | None) -> PatchData:
    """Build the data module.

    Args:
        config: The run's config.
        window: Patch size of the network, px; None: ``data.patch``.
    """
    data = dict(config["data"])
    patch = data.pop("patch")
    patches = {
        field.name: data.pop(field.name) for field in fields(PatchSettings) if field.name in data
    }
    patches["window"] = patch if window is None else window
    patches["need_clean"] = config["model"].get("target") == "clean"
    patches["description"] = config["model"].get("net", {}).get("description")
    patches["centred"] = "centred_weight" in config["model"]
    source: DataSource = construct(data)
    return PatchData(source, PatchSettings(**patches))


def build_loggers(config: dict[str, Any], folder: Path, about: dict[str, Any]) -> list[Logger]:
    """Build the chosen logger; none if the files of the run folder are all that is wanted.

    Args:
        config: The run's config.
        folder: The run folder, whose name is the name of the run.
        about: Content of run.json: W&B groups runs by ``sweep`` and ``experiment``.
    """
    settings = dict(config["logger"])
    if "_target_" not in settings:
        return []
    settings["save_dir"] = settings["save_dir"] or str(folder)
    details: dict[str, Any] = {}  # not searched for nodes: the config in it is only shown
    if settings["_target_"].endswith("WandbLogger"):
        refuse_wandb_settings(Path.cwd())
        if settings["offline"] is None:
            settings["offline"] = not has_wandb_account()
        details = {
            "name": folder.name,
            "config": config,
            "group": about["sweep"],
            "job_type": about["experiment"] or "train",
            "tags": [*config["lattice"], config["model"]["net"]["_target_"].split(".")[-1]],
        }
    return [construct(settings, **details)]


def build_trainer(
    config: dict[str, Any], folder: Path, callbacks: list[Callback], loggers: list[Logger]
) -> Trainer:
    """Build the trainer, with a progress bar and, if ``patience`` is set, early stopping.

    Raises:
        ValueError: If a setting makes no sense, or several processes cannot share the run folder.
    """
    check_trainer_settings(config)
    callbacks = [*callbacks, RichProgressBar(refresh_rate=10)]
    if config["patience"] is not None:
        callbacks.append(Patience("val/loss", patience=config["patience"]))
    keep_freed_memory()
    quieten_lightning()
    # Lightning uses a torch function that will be removed: users cannot do anything about it.
    warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
    # SLURM may be installed on a machine and not be used for this run.
    warnings.filterwarnings("ignore", message=".*srun.* command is available")
    settings = dict(config["trainer"])
    if settings["accelerator"] == "auto" and not torch.cuda.is_available():
        settings["accelerator"] = "cpu"  # never Apple's GPU, which has no float64
    trainer: Trainer = construct(
        settings,
        default_root_dir=str(folder),
        plugins=[AtomicCheckpointIO()],
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


def check_trainer_settings(config: dict[str, Any]) -> None:
    """Refuse numbers that make no sense.

    Raises:
        ValueError: If there is one.
    """
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


def build_card(config: dict[str, Any], window: int | None) -> Card:
    """Return the description that the model files of a run carry."""
    arguments = dict(config["model"]["net"])
    network = network_name(arguments.pop("_target_"))
    return Card(
        network=network,
        arguments=arguments,
        window=window,
        normalisation=config["data"].get("normalisation", "minmax"),
        lattice=list(config["data"].get("lattices", [])),  # a user's scans have none
        config=config,
    )
