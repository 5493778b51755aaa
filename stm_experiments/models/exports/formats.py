"""The formats of exported networks: how each one is written, and read again to compare it."""

import io
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.export import Dim

from stm_experiments.core.files import atomic_write
from stm_experiments.models.exports.parts import Part

OPSET = 18  # version of the operators of ONNX, which programs of 2023 and later know
SIDE = 8  # px: sides of torch.export; others take other paths through the padding of the networks
FACTS = "card.json"  # name of the metadata in files of PyTorch

Facts = Mapping[str, str]
Run = Callable[[Tensor], Tensor]


class Format(NamedTuple):
    """A format of exported networks.

    Attributes:
        suffix: Of its files.
        needs: Modules of the extra ``export`` by which files are written and checked.
        multiple: px of which the sides of images of any size are multiples.
        write: Writes a part of a network, with the metadata, to a file.
        read: Returns a function that runs a file.
    """

    suffix: str
    needs: tuple[str, ...]
    multiple: int
    write: Callable[[Part, Facts, Path], None]
    read: Callable[[Path], Run]


def write_onnx(part: Part, facts: Facts, path: Path) -> None:
    """Write ONNX, with the metadata as properties of the model.

    Raises:
        onnx.checker.ValidationError: If what was written is not valid.
    """
    import onnx

    # Of every step, and of operators of packages that are not installed.
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    program = torch.onnx.export(
        part.module,
        (part.example,),
        dynamo=True,
        dynamic_shapes=(part.free,),
        input_names=[part.given],
        output_names=[part.result],
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(facts)
    model = program.model_proto
    onnx.checker.check_model(model)
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


def read_onnx(path: Path) -> Run:
    """Return a function that runs an ONNX file by ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: images.numpy()})[0])

    return run


def write_torchscript(part: Part, facts: Facts, path: Path) -> None:
    """Write TorchScript, for programs in C++ and for Fiji; the metadata is an extra file in it."""
    script = torch.jit.trace(part.module, (part.example,), check_trace=False)
    buffer = io.BytesIO()
    torch.jit.save(script, buffer, _extra_files={FACTS: json.dumps(facts)})
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def read_torchscript(path: Path) -> Run:
    """Return a function that runs a TorchScript file."""
    script: Any = torch.jit.load(str(path), map_location="cpu")

    def run(images: Tensor) -> Tensor:
        output: Tensor = script(images)
        return output

    return run


def write_torch_export(part: Part, facts: Facts, path: Path) -> None:
    """Write a program of ``torch.export``; the metadata is an extra file in it."""
    shapes = {
        axis: SIDE * Dim(name, min=2) if axis else Dim.AUTO for axis, name in part.free.items()
    }
    program = torch.export.export(part.module, (part.example,), dynamic_shapes=(shapes,))
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={FACTS: json.dumps(facts)})
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def read_torch_export(path: Path) -> Run:
    """Return a function that runs a file of ``torch.export``."""
    module: Any = torch.export.load(path).module()

    def run(images: Tensor) -> Tensor:
        output: Tensor = module(images)
        return output

    return run


FORMATS: dict[str, Format] = {
    "onnx": Format(".onnx", ("onnx", "onnxruntime", "onnxscript"), 1, write_onnx, read_onnx),
    "torchscript": Format(".torchscript.pt", (), 1, write_torchscript, read_torchscript),
    "torch_export": Format(".pt2", (), SIDE, write_torch_export, read_torch_export),
}
