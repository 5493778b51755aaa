"""Packages for the BioImage Model Zoo, which Fiji, napari and ilastik read."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from stm_experiments.core.files import atomic_write_text
from stm_experiments.models.exports.checked import SCALES, export, exportable, require
from stm_experiments.models.exports.formats import OPSET
from stm_experiments.models.exports.parts import parts_of
from stm_experiments.models.interfaces import Card, Network

LEAST_SIDE = 16  # px, of networks for any image size
# Percentiles of an image that become -1 and 1, by the names in cards.
PERCENTILES = {"minmax": (0.0, 100.0), "plane": (1.0, 99.0)}
README = """# {label}

A network of stm_experiments for scanning tunnelling microscopy images: images in, images out.

The package scales each image to [-1, 1]. The network was trained on images that are scaled so:
{scale}.
{plane}Give it heights in nm, not in m: the zoo's programs add 1e-6 to the range of an image before
they divide by it.

Trained on lattices: {lattices}. Test scores: `{scores}`.
"""


def write_package(net: Network, name: str, stem: Path) -> Path:
    """Write a package with the network as ONNX, and let the zoo's own library run and validate it.

    Args:
        net: A loaded network.
        name: Its file, for messages.
        stem: Path of the package without its ending.

    Returns:
        The package, a ZIP file.

    Raises:
        ValueError: If the network cannot be exported, or the library refuses the package, which is
            then deleted.
        RuntimeError: If a library is not installed.
    """
    card = exportable(net, name)
    require(("bioimageio",), "bioimageio", "bioimageio")
    from bioimageio.core import test_model
    from bioimageio.spec import save_bioimageio_package

    path = stem.with_name(f"{stem.name}.bioimageio.zip")
    with TemporaryDirectory() as folder:
        weights, *_ = export(net, name, "onnx", Path(folder) / stem.name)
        model = describe_model(net, card, weights.path)
        # The library prints its progress, and every table of the validation.
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            save_bioimageio_package(model, output_path=path)
            summary = test_model(path, weight_format="onnx")
    if summary.status != "passed":
        path.unlink()
        faults = "; ".join(error.msg for detail in summary.details for error in detail.errors)
        raise ValueError(f"{name}: bioimageio.core does not pass the package ({faults})")
    return path


def describe_model(net: Network, card: Card, weights: Path) -> Any:
    """Return the description of a package, with test images and a page on the model beside it.

    Args:
        net: A loaded network.
        card: Its card.
        weights: The ONNX file, in whose folder the other files are written.
    """
    from bioimageio.spec.model import v0_5 as spec

    whole = next(parts_of(net, 1))
    scaled = whole.example.numpy()
    # The test image is a corrugation of an angstrom, in nm.
    given, result = weights.with_name("input.npy"), weights.with_name("output.npy")
    image = (0.05 * (scaled + 3)).astype(np.float32)
    low, high = np.percentile(image, PERCENTILES[card.normalisation], (1, 2, 3), keepdims=True)
    prepared = torch.from_numpy((2 * (image - low) / (high - low) - 1).astype(np.float32))
    with torch.no_grad():
        np.save(result, net(prepared).numpy())
    np.save(given, image)
    page = weights.with_name("README.md")
    atomic_write_text(page, describe_page(net, card))
    batch, channel = spec.BatchAxis(), spec.ChannelAxis(channel_names=[spec.Identifier("height")])
    sides = [spec.AxisId("y"), spec.AxisId("x")]
    size = net.window or spec.ParameterizedSize(min=LEAST_SIDE, step=1)
    inputs, outputs = spec.TensorId("images"), spec.TensorId("output")
    least, most = PERCENTILES[card.normalisation]
    return spec.ModelDescr(
        name=f"STM {net.label} {weights.stem}".replace("_", " "),
        description=f"{net.label} of stm_experiments for scanning tunnelling microscopy images",
        documentation=spec.FileDescr(source=page),
        tags=["scanning-tunnelling-microscopy", "2d"],
        inputs=[
            spec.InputTensorDescr(
                id=inputs,
                axes=[batch, channel, *(spec.SpaceInputAxis(id=side, size=size) for side in sides)],
                test_tensor=spec.FileDescr(source=given),
                preprocessing=[
                    spec.ScaleRangeDescr(
                        kwargs=spec.ScaleRangeKwargs(
                            axes=[spec.AxisId("channel"), *sides],
                            min_percentile=least,
                            max_percentile=most,
                        )
                    ),
                    spec.ScaleLinearDescr(kwargs=spec.ScaleLinearKwargs(gain=2, offset=-1)),
                ],
            )
        ],
        outputs=[
            spec.OutputTensorDescr(
                id=outputs,
                axes=[
                    batch,
                    channel,
                    *(
                        spec.SpaceOutputAxis(
                            id=side,
                            size=net.window or spec.SizeReference(tensor_id=inputs, axis_id=side),
                        )
                        for side in sides
                    ),
                ],
                test_tensor=spec.FileDescr(source=result),
            )
        ],
        weights=spec.WeightsDescr(onnx=spec.OnnxWeightsDescr(source=weights, opset_version=OPSET)),
        config=spec.Config.model_validate({"stm_experiments": {"card": json.dumps(asdict(card))}}),
    )


def describe_page(net: Network, card: Card) -> str:
    """Return the page on a model."""
    levelled = card.normalisation == "plane"
    return README.format(
        label=net.label,
        scale=SCALES[card.normalisation],
        plane="Subtract the plane of a scan before you give it to the package.\n" * levelled,
        lattices=", ".join(card.lattice) or "none by name",
        scores=json.dumps(card.scores),
    )
