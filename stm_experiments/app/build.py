"""From the settings of a run to its objects: network, data, loggers, trainer, card."""

from dataclasses import fields
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from stm_experiments.app.construct import construct
from stm_experiments.app.messages import choices
from stm_experiments.core.config_files import config_dir
from stm_experiments.data import DataSource, PatchSettings
from stm_experiments.data.module import PatchData
from stm_experiments.models.checkpoint import network_name
from stm_experiments.models.interfaces import Card, Network
from stm_experiments.training import Reconstruction


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
    if not (isinstance(net, Network) and isinstance(net, nn.Module)):
        wanted = [name for name in vars(Network) if not name.startswith("_")]
        missing = [name for name in wanted if not hasattr(net, name)]
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
