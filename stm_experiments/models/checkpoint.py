"""Model files that describe themselves: tensors and plain data, no code."""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stm_experiments import models
from stm_experiments.core.files import MODEL_BYTES, atomic_write, read_bytes
from stm_experiments.core.plugins import find_class, plugin_classes, plugins_in_use, use_plugins
from stm_experiments.core.texts import did_you_mean
from stm_experiments.models.interfaces import Card, Network, NetworkModule

WEIGHTS = Path(models.__file__).parent / "weights"  # of the models that come with the package
LARGEST_DESCRIPTION = 64 * 2**20  # bytes of everything in a file that is not a tensor
LARGEST_CONSTANTS = 2**24  # values that a network computes when it is built and that no file holds


class CheckpointError(ValueError):
    """A model file that cannot be used; the message is one sentence that names the file."""


def read(path: str | Path) -> dict[str, Any]:
    """Read the dictionary of a checkpoint without executing anything in it.

    Raises:
        CheckpointError: If the file is missing, damaged or holds more than tensors and plain data.
    """
    path = Path(path)
    data = _read_regular_file(path)
    try:
        _verify_archive(data)
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{path}: not a readable checkpoint (damaged, cut short, or holding more than tensors "
            "and plain data)"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a checkpoint of stm_experiments")
    return content


def _read_regular_file(path: Path) -> bytes:
    """Read a file whole, without waiting for a pipe or a device.

    Raises:
        CheckpointError: If it is missing, too large or not a regular file.
    """
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder; a run's model is in its checkpoints/best.ckpt")
    try:
        return read_bytes(path, MODEL_BYTES)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint file") from None
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise CheckpointError(f"{path}: cannot be opened ({reason})") from None
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def _verify_archive(data: bytes) -> None:
    """Compare the checksums of all parts of a checkpoint, which torch does not do.

    Raises:
        ValueError: If a part is damaged, or would take more memory than the file has bytes.
        zipfile.BadZipFile: If the file is not an archive as torch writes it.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise ValueError("it has compressed parts")
        if sum(part.file_size for part in parts) > len(data):
            raise ValueError("its parts overlap")
        descriptions = [part for part in parts if part.filename.endswith(".pkl")]
        if sum(part.file_size for part in descriptions) > LARGEST_DESCRIPTION:
            raise ValueError("its description is too long")
        # torch allows this class, which takes any memory that a few bytes ask for.
        if any(b"\nbytearray\n" in archive.read(part) for part in descriptions):
            raise ValueError("it holds more than tensors and plain data")
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"{damaged} is damaged")


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that a reader sees the old file or the new one, never a part.

    Raises:
        OSError: If it cannot be written, as on a full disk; the error names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def save(net: Network, card: Card, path: str | Path) -> None:
    """Write a network alone, as a file for ``load``."""
    state = {f"net.{key}": value for key, value in net.state_dict().items()}
    write_checkpoint({"state_dict": state, "card": asdict(card)}, Path(path))


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
    content = read(path)
    try:
        net.load_state_dict(content)
    except (RuntimeError, TypeError, AttributeError):
        name = type(net).__name__
        raise CheckpointError(f"{path}: does not hold the bare weights of {name}") from None
    return net.eval()


def shipped_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(file.stem for file in WEIGHTS.glob("*.ckpt"))


def load(path: str | Path, plugins: Sequence[str] = ()) -> Network:
    """Load a trained network from a checkpoint; safe for files from strangers.

    The network is one of ``stm_experiments.models``, built by name from plain arguments, or of a
    plugin that you name here, on the command line or in ``STM_PLUGINS``. No file names one.

    Args:
        path: A checkpoint of a run (``outputs/.../checkpoints/best.ckpt``), or the name of a model
            that comes with the package (``denoiser``).
        plugins: Importable modules with networks of your own, such as ``mypackage.networks``.

    Returns:
        The network in evaluation mode, with its ``Card`` as ``.card``.

    Raises:
        CheckpointError: If the file cannot be used.
    """
    shipped = shipped_models()
    source = str(path)
    if str(path) in shipped and not Path(path).is_file():
        path = WEIGHTS / f"{path}.ckpt"
    elif Path(path).name == str(path) and not Path(path).exists():
        raise CheckpointError(
            f"{path}: no such checkpoint file, and no model of that name comes with the package "
            f"({', '.join(shipped) or 'none does'}){did_you_mean(str(path), shipped)}; give the "
            "file of a trained one"
        )
    content = read(path)
    try:
        card = Card(**content["card"])
        state = content["state_dict"]
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{path}: not a checkpoint of stm_experiments") from None
    if plugins:
        use_plugins([*plugins_in_use(), *plugins])
    build = network_class(card.network)
    if build is None:
        raise CheckpointError(f"{path}: holds a network {card.network!r}, {_absence(card.network)}")
    try:
        prefix = "net."
        weights = {key.removeprefix(prefix): value for key, value in state.items() if prefix in key}
        with torch.device("meta"):  # takes no memory
            blueprint: NetworkModule = build(**card.arguments)
        check_fit(blueprint, weights)
        _check_memory(blueprint, weights, os.path.getsize(path))
        net: NetworkModule = build(**card.arguments)
        net.load_state_dict(weights)
    except Exception as error:
        raise CheckpointError(
            f"{path}: its weights do not fit the network {card.network} that it names"
        ) from error
    card.source = f"{source}, weights {fingerprint(weights)}"
    net.card = card
    return net.eval()


def card_of(net: NetworkModule, **arguments: Any) -> Card:
    """Return the description of a network that was trained without a run, for ``save``.

    Args:
        net: The network.
        arguments: Those with which it was built, other than its defaults.

    Raises:
        ValueError: If it could not be loaded again: its class is none of ``stm_experiments.models``
            or of a plugin in use, or it is not built the same from these arguments.
    """
    of_plugin = [path for path in plugin_classes() if find_class(path) is type(net)]
    card = Card((of_plugin or [type(net).__name__])[0], arguments, net.window)
    check_loadable(net, card)
    return card


def network_name(target: str) -> str:
    """Return the name by which model files know a network.

    Args:
        target: Dotted path of its class.
    """
    module, _, name = target.rpartition(".")
    return name if module == models.__name__ else target


def network_class(name: str) -> Callable[..., Any] | None:
    """Return the class of a network by the name in a model file; None if there is none.

    Networks of the package have a plain name, those of a plugin that is in use a dotted one.
    """
    if name in models.__all__:
        found: Callable[..., Any] = getattr(models, name)
        return found
    kind = find_class(name) if isinstance(name, str) else None
    return kind if kind is not None and issubclass(kind, nn.Module) else None


def _absence(name: str) -> str:
    """Return why there is no network of a name, as a clause."""
    module = name.rpartition(".")[0] if isinstance(name, str) else ""
    if not module:
        return f"which {models.__name__} does not have"
    if module in plugins_in_use():
        return f"which the plugin {module} does not have"
    absent = f"which {models.__name__} does not have"
    return f"{absent}; if you trust it, name it, plugins=[{module}]"


def check_loadable(net: Network, card: Card) -> None:
    """Check that a network can be built again from its card, as ``load`` will build it.

    Raises:
        ValueError: If it cannot.
    """
    build = network_class(card.network)
    if build is None:
        raise ValueError(
            f"model.net: no file could be loaded that holds {card.network}, which is no network of "
            f"{models.__name__} or of your plugins"
        )
    try:
        with torch.device("meta"):
            check_fit(build(**card.arguments), net.state_dict())
    except Exception as error:
        raise ValueError(
            f"model.net: {card.network} could not be loaded from a file after the training, as it "
            "is not built the same again from its settings alone "
            f"({type(error).__name__}: {error})"
        ) from error


def fingerprint(weights: dict[str, Tensor]) -> str:
    """Return eight hexadecimal digits that tell weights from any others, in all likelihood."""
    digest = hashlib.blake2b(digest_size=4)
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_fit(net: nn.Module, weights: dict[str, Tensor]) -> None:
    """Compare the names and shapes of weights with those of a network or a training.

    Raises:
        ValueError: If they differ.
    """
    expected = {key: value.shape for key, value in net.state_dict().items()}
    if {key: value.shape for key, value in weights.items()} != expected:
        raise ValueError("the weights have other names or shapes")


def _check_memory(blueprint: nn.Module, weights: dict[str, Tensor], size: int) -> None:
    """Refuse a small file from which a large network would be built.

    Args:
        blueprint: The network, without memory.
        weights: Its weights in the file.
        size: Size of the file, bytes.

    Raises:
        ValueError: If the weights repeat the same bytes, or the network's constants are too many.
    """
    if sum(value.numel() * value.element_size() for value in weights.values()) > size:
        raise ValueError("the weights take more memory than the file has bytes")
    constants = [value for name, value in blueprint.named_buffers() if name not in weights]
    if sum(value.numel() for value in constants) > LARGEST_CONSTANTS:
        raise ValueError("the network computes too many constants")
