"""Export a network, and compare what was written with PyTorch."""

import json
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch

from stm_experiments.models.exports.formats import FORMATS, Format
from stm_experiments.models.exports.parts import Part, parts_of
from stm_experiments.models.interfaces import Card, Network
from stm_experiments.models.networks.destripe import Destripe
from stm_experiments.models.networks.surface_denoiser import SurfaceDenoiser
from stm_experiments.models.networks.swin_denoiser import SwinDenoiser

BOUND = 1e-4  # largest difference from PyTorch, on the scale of the images, [-1, 1]

# How an image is brought to [-1, 1], for users of other programs, by the names in cards.
SCALES = {
    "minmax": "x = 2 (v - min) / (max - min) - 1, with the smallest and the largest value v of the "
    "whole image, before patches are cut from it",
    "plane": "subtract the least-squares plane of the image (fitted without outliers), then "
    "x = 2 (v - p1) / (p99 - p1) - 1, with the 1st and 99th percentile of the image; values beyond "
    "them stay outside of [-1, 1]",
}
_FIRST_ESTIMATE = "it takes the eigenvectors of each image's own patches"
# Why no format holds a network, by its class.
UNEXPORTABLE: dict[type, str] = {
    Destripe: "it fills gaps by a solver of SciPy, outside of PyTorch",
    SurfaceDenoiser: _FIRST_ESTIMATE,
    SwinDenoiser: _FIRST_ESTIMATE,
}


class Written(NamedTuple):
    """A file of an exported network.

    Attributes:
        path: The file.
        difference: Largest difference from PyTorch, on the scale of the output.
    """

    path: Path
    difference: float


def exportable(net: Network, name: str) -> Card:
    """Return the card of a network that can be exported.

    Args:
        net: The network.
        name: Its file, for the message.

    Raises:
        ValueError: If no format can hold it.
    """
    for kind, reason in UNEXPORTABLE.items():
        if isinstance(net, kind):
            raise ValueError(
                f"{name}: {net.label} cannot be exported, as {reason}: run it by "
                "stm_experiments.denoise or the command stm-reconstruct"
            )
    assert net.card is not None  # every loaded network has one
    return net.card


def describe(card: Card, multiple: int) -> dict[str, str]:
    """Return the metadata of an exported network: what to give it, what it returns, its card.

    Args:
        card: Of the network.
        multiple: px of which the sides of images of any size are multiples.
    """
    side = "height and width are " + (
        f"{card.window} px"
        if card.window
        else "any number of px"
        if multiple == 1
        else f"multiples of {multiple} px"
    )
    scale = SCALES.get(card.normalisation, card.normalisation)
    return {
        "input": f"float32 [batch, 1, height, width]; {side}; on [-1, 1]: {scale}",
        "output": "images on the same scale: invert the map of the input",
        "codes": "float32 [batch, length], of encoder and decoder",
        "card": json.dumps(asdict(card)),
    }


def export(net: Network, name: str, format_name: str, stem: Path) -> Iterator[Written]:
    """Write a network, and encoder and decoder of an autoencoder, and compare each with PyTorch.

    Args:
        net: A loaded network.
        name: Its file, for messages.
        format_name: One of ``FORMATS``.
        stem: Path of the files without their ending.

    Yields:
        The files.

    Raises:
        ValueError: If the network cannot be exported, or differs from PyTorch by more than
            ``BOUND``; the file is deleted.
        RuntimeError: If a library is not installed.
    """
    form = FORMATS[format_name]
    facts = describe(exportable(net, name), form.multiple)
    require(form.needs, format_name, "export")
    for part in parts_of(net, form.multiple):
        path = stem.with_name(f"{stem.name}{part.ending}{form.suffix}")
        try:
            # Of sizes in Python's numbers, which the comparison looks at, and of old functions.
            with torch.no_grad(), warnings.catch_warnings(action="ignore"):
                write(part, form, facts, path)
                difference = largest_difference(part, form, path)
        except Refused as error:
            path.unlink(missing_ok=True)
            raise ValueError(f"{name}: no {format_name} file of {net.label}: {error}") from error
        yield Written(path, difference)


def require(modules: Iterable[str], format_name: str, extra: str) -> None:
    """Check that the libraries of a format are installed.

    Args:
        modules: Their names.
        format_name: For the message.
        extra: Of the package, which installs them.

    Raises:
        RuntimeError: If one is not.
    """
    if not all(find_spec(name) for name in modules):
        raise RuntimeError(f"format={format_name} needs: pip install 'stm_experiments[{extra}]'")


class Refused(Exception):
    """Why a part of a network cannot be exported."""


def write(part: Part, form: Format, facts: dict[str, str], path: Path) -> None:
    """Write a part of a network.

    Raises:
        Refused: If the format cannot hold it.
    """
    try:
        form.write(part, facts, path)
    except OSError:
        raise
    except Exception as error:  # each exporter has errors of its own
        raise Refused(_reason(error)) from error


def largest_difference(part: Part, form: Format, path: Path) -> float:
    """Return the largest difference between a file and PyTorch, at sizes of all kinds.

    Raises:
        Refused: If the file does not run at these sizes, or it differs by more than ``BOUND``.
    """
    try:
        run = form.read(path)
        pairs = [(run(images), part.module(images)) for images in part.trials]
    except Exception as error:
        raise Refused(f"what was written does not run at every size ({_reason(error)})") from error
    if any(ours.shape != theirs.shape for theirs, ours in pairs):
        raise Refused("what was written returns other shapes")
    # Codes may be of any size.
    difference = max(
        float((theirs - ours).abs().max() / ours.abs().max().clamp(min=1)) for theirs, ours in pairs
    )
    if not difference <= BOUND:
        raise Refused(f"what was written differs from PyTorch by {difference:.2g}")
    return difference


def _reason(error: BaseException) -> str:
    """Return the first line of the innermost error."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {first}"
