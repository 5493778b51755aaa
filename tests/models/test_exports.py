"""Networks as files for other programs: they compute what PyTorch computes, at every size."""

import json
import math

import pytest
import torch
from torch import nn

from stm_experiments.models import (
    CAEA,
    MLP,
    RVAE,
    VAE,
    ContextCode,
    Denoiser,
    Destripe,
    StripeCAE,
    SurfaceDenoiser,
    SwinDenoiser,
)
from stm_experiments.models.checkpoint import Card, card_of, load, save
from stm_experiments.models.exports import FORMATS, export
from stm_experiments.models.interfaces import Autoencoder, NetworkModule

NETWORKS = {
    "CAEA": (CAEA, {"latent": 4}),
    "MLP": (MLP, {"latent": 3, "width": 16, "window": 9}),
    "VAE": (VAE, {"width": 8, "window": 8}),
    "RVAE": (RVAE, {"width": 8, "window": 8, "translation": 0.2}),
    "ContextCode": (ContextCode, {"width": 16, "window": 9}),
    "Denoiser": (Denoiser, {"width": 4}),
    "StripeCAE": (StripeCAE, {"filters": 2}),
}
# ONNX takes seconds a network; one of each kind of tensors, paths through padding, and geometry.
CASES = [(name, form) for name in NETWORKS for form in ("torchscript", "torch_export")]
CASES += [(name, "onnx") for name in ("CAEA", "RVAE", "Denoiser")]
ONNX = ("onnx", "onnxruntime", "onnxscript")


def loaded(name, folder):
    """Return a network of random weights that was saved and loaded."""
    build, arguments = NETWORKS[name]
    net = build(**arguments)
    for parameter in net.parameters():  # the last layer of some is 0
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    save(net, card_of(net, **arguments), folder / f"{name}.ckpt")
    return load(folder / f"{name}.ckpt")


@pytest.mark.parametrize(("name", "form"), CASES)
def test_files_are_pytorch_at_sizes_that_the_writer_has_not_seen(name, form, tmp_path):
    if form == "onnx":
        for library in ONNX:
            pytest.importorskip(library)
    net = loaded(name, tmp_path)
    files = {file.path.name: file for file in export(net, name, form, tmp_path / "net")}
    suffix = FORMATS[form].suffix
    parts = ["", "_encoder", "_decoder"] if isinstance(net, Autoencoder) else [""]
    assert list(files) == [f"net{part}{suffix}" for part in parts]
    assert all(file.difference < 1e-5 for file in files.values())
    runs = [FORMATS[form].read(file.path) for file in files.values()]
    for batch, *sides in ((7, 24, 88), (2, 56, 48)):
        height, width = sides if net.window is None else (net.window, net.window)
        images = torch.rand(batch, 1, height, width) * 2 - 1
        with torch.no_grad():
            expected = net(images)
        assert (expected - images).abs().max() > 1e-3  # the identity would say nothing
        torch.testing.assert_close(runs[0](images), expected, atol=1e-5, rtol=1e-5)
        if len(runs) > 1 and not isinstance(net, VAE):  # whose codes leave the pose out
            torch.testing.assert_close(runs[2](runs[1](images)), expected, atol=1e-5, rtol=1e-5)


def test_an_onnx_file_says_how_images_are_scaled_and_what_it_holds(tmp_path):
    for library in ONNX:
        pytest.importorskip(library)
    import onnxruntime

    net = loaded("Denoiser", tmp_path)
    net.card.normalisation, net.card.lattice = "plane", ["fcc"]
    (file,) = export(net, "Denoiser", "onnx", tmp_path / "net")
    session = onnxruntime.InferenceSession(file.path)
    assert session.get_inputs()[0].shape == ["batch", 1, "height", "width"]
    facts = session.get_modelmeta().custom_metadata_map
    assert "least-squares plane" in facts["input"]
    assert "any number of px" in facts["input"]
    card = json.loads(facts["card"])
    assert (card["network"], card["arguments"], card["lattice"]) == (
        "Denoiser", {"width": 4}, ["fcc"],
    )  # fmt: skip


def test_files_of_pytorch_hold_the_card(tmp_path):
    net = loaded("Denoiser", tmp_path)
    for form, read in (
        ("torchscript", lambda path, facts: torch.jit.load(path, _extra_files=facts)),
        ("torch_export", lambda path, facts: torch.export.load(path, extra_files=facts)),
    ):
        (file,) = export(net, "Denoiser", form, tmp_path / "net")
        facts = {"card.json": ""}
        read(file.path, facts)
        facts = json.loads(facts["card.json"])
        assert json.loads(facts["card"])["network"] == "Denoiser"
        assert ("multiples of 8 px" in facts["input"]) == (form == "torch_export")


@pytest.mark.parametrize("net", [Destripe(4, 4), SurfaceDenoiser(4), SwinDenoiser()])
@pytest.mark.parametrize("form", FORMATS)
def test_networks_that_no_format_holds_are_refused_with_the_reason(net, form, tmp_path):
    with pytest.raises(
        ValueError, match=r"cannot be exported, as it (fills|takes).*stm-reconstruct"
    ):
        list(export(net, "a.ckpt", form, tmp_path / "net"))
    assert not list(tmp_path.iterdir())


class OfItsBatch(NetworkModule):
    """Depends on the number of images in a way that a trace does not see."""

    window = 8

    def forward(self, images):
        return images * math.sqrt(images.shape[0] + int(images.numel() > 128))


class OutsideOfPyTorch(NetworkModule):
    window = 8

    def forward(self, images):
        return torch.from_numpy(images.numpy() + 1)


@pytest.mark.parametrize(
    ("net", "form", "reason"),
    [
        (OfItsBatch(), "torchscript", r"what was written differs from PyTorch by 0\.\d+"),
        (OutsideOfPyTorch(), "torch_export", r"RuntimeError: \.numpy\(\) is not supported"),
    ],
)
def test_what_differs_or_cannot_be_written_is_refused_and_deleted(net, form, reason, tmp_path):
    net.card = Card("mine.Net", {}, 8)
    with pytest.raises(ValueError, match=f"a.ckpt: no {form} file of network: {reason}"):
        list(export(net.eval(), "a.ckpt", form, tmp_path / "net"))
    assert not list(tmp_path.iterdir())
