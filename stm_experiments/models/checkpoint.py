"""Model files that describe themselves: tensors and plain data, no code."""

import io
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from stm_experiments import models
from stm_experiments.core.files import atomic_write
from stm_experiments.models.interfaces import Card, Network, NetworkModule

WEIGHTS = Path(models.__file__).parent / "weights"  # of the models that come with the package


class CheckpointError(ValueError):
    """A model file that cannot be used; the message is one sentence that names the file."""


def read(path: str | Path) -> dict[str, Any]:
    """Read the dictionary of a checkpoint without executing anything in it.

    Raises:
        CheckpointError: If the file is missing, damaged or holds more than tensors and plain data.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder; a run's model is in its checkpoints/best.ckpt")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{path}: not a readable checkpoint (damaged, cut short, or holding more than tensors "
            "and plain data)"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a checkpoint of stm_experiments")
    return content


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that a reader sees the old file or the new one, never a part.

    Raises:
        OSError: If it cannot be written, as on a full disk; the error names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    try:
        with atomic_write(path) as part, part.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def save(net: Network, card: Card, path: Path) -> None:
    """Write a network alone, as a file for ``load``."""
    state = {f"net.{key}": value for key, value in net.state_dict().items()}
    write_checkpoint({"state_dict": state, "card": asdict(card)}, path)


def add_scores(folder: Path, scores: dict[str, Any]) -> None:
    """Write the test metrics of a run into the cards of its model files."""
    for path in (folder / "best.ckpt", folder / "last.ckpt"):
        if path.is_file():
            content = read(path)
            content["card"]["scores"] = scores
            write_checkpoint(content, path)


def start_from(path: str | Path, net: Network) -> None:
    """Copy the weights of a model file into a network of the same kind.

    Raises:
        CheckpointError: If the file cannot be used or holds another network.
    """
    trained = load(path)
    try:
        net.load_state_dict(trained.state_dict())
    except RuntimeError:
        raise CheckpointError(
            f"{path}: holds a {type(trained).__name__} that does not fit the {type(net).__name__} "
            "of this run"
        ) from None


def load_weights(path: str | Path, net: Network) -> Network:
    """Load bare weights, such as the published ones of the paper, into a network.

    Raises:
        CheckpointError: If the file cannot be used or holds another network's weights.
    """
    try:
        net.load_state_dict(read(path))
    except RuntimeError:
        name = type(net).__name__
        raise CheckpointError(f"{path}: does not hold the bare weights of {name}") from None
    return net.eval()


def load(path: str | Path) -> Network:
    """Load a trained network from a checkpoint; safe for files from strangers.

    The network is one of ``stm_experiments.models``, built by name from plain arguments.

    Args:
        path: A checkpoint of a run (``outputs/.../checkpoints/best.ckpt``), or the name of a model
            that comes with the package (``denoiser``).

    Returns:
        The network in evaluation mode, with its ``Card`` as ``.card``.

    Raises:
        CheckpointError: If the file cannot be used.
    """
    shipped = sorted(file.stem for file in WEIGHTS.glob("*.ckpt"))
    if str(path) in shipped and not Path(path).is_file():
        path = WEIGHTS / f"{path}.ckpt"
    elif Path(path).name == str(path) and not Path(path).exists():
        raise CheckpointError(
            f"{path}: no such checkpoint file, and no model of that name comes with the package "
            f"({', '.join(shipped) or 'none does'}); give the file of a trained one"
        )
    content = read(path)
    try:
        card = Card(**content["card"])
        state = content["state_dict"]
    except (KeyError, TypeError):
        raise CheckpointError(f"{path}: not a checkpoint of stm_experiments") from None
    if card.network not in models.__all__:
        raise CheckpointError(
            f"{path}: holds a network {card.network!r}, which {models.__name__} does not have"
        )
    try:
        net: NetworkModule = getattr(models, card.network)(**card.arguments)
        prefix = "net."
        net.load_state_dict(
            {key.removeprefix(prefix): value for key, value in state.items() if prefix in key}
        )
    except Exception as error:
        raise CheckpointError(
            f"{path}: its weights do not fit the network {card.network} that it names"
        ) from error
    net.card = card
    return net.eval()
