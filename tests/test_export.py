"""The command that writes a trained network for other programs."""

import importlib.util
import io
import zipfile

import numpy as np
import pytest
import torch

from stm_experiments.export import main
from stm_experiments.models import CAEA, Denoiser
from stm_experiments.models.checkpoint import card_of, save
from stm_experiments.models.exports import checked


@pytest.fixture
def checkpoint(tmp_path):
    save(CAEA(4), card_of(CAEA(4), latent=4), tmp_path / "small.ckpt")
    return tmp_path / "small.ckpt"


def test_the_command_names_the_files_and_how_far_they_are_from_pytorch(
    command, checkpoint, tmp_path
):
    arguments = (f"checkpoint={checkpoint}", "format=torchscript", f"hydra.run.dir={tmp_path}/out")
    code, out, errors = command(main, *arguments)
    assert (code, errors) == (0, "")
    for line, part in zip(out.splitlines(), ("", "_encoder", "_decoder"), strict=True):
        path = tmp_path / "out" / f"small{part}.torchscript.pt"
        assert line == f"{path}: differs from PyTorch by at most 0.0e+00 (bound 1e-04)"
        assert path.is_file()


def test_bad_input_is_one_sentence(command, checkpoint, tmp_path, monkeypatch):
    out = f"hydra.run.dir={tmp_path}/out"
    code, _, errors = command(main, f"checkpoint={checkpoint}", "format=onxx", out)
    assert code == 1
    assert "format is one of onnx, torchscript, torch_export, bioimageio, not 'onxx'" in errors
    assert "did you mean 'onnx'" in errors
    code, _, errors = command(main, f"checkpoint={checkpoint}.", out)
    assert (code, errors) == (1, f"error: {checkpoint}.: no such checkpoint file\n")
    code, _, errors = command(main, "checkpoint=destripe", out)
    assert code == 1
    assert errors.startswith("error: destripe: destripe cannot be exported, as it fills gaps")
    monkeypatch.setattr(checked, "find_spec", lambda _: None)
    for form, extra in (("onnx", "export"), ("bioimageio", "bioimageio")):
        code, _, errors = command(
            main, f"checkpoint={checkpoint}", f"format={form}", f"hydra.run.dir={tmp_path}/{form}"
        )
        assert code == 1
        assert errors == f"error: format={form} needs: pip install 'stm_experiments[{extra}]'\n"


@pytest.mark.skipif(
    importlib.util.find_spec("bioimageio") is None, reason="needs the extra bioimageio"
)
def test_the_library_of_the_zoo_runs_a_package_on_an_image_in_nm(command, tmp_path):
    net = Denoiser(4).eval()
    torch.nn.init.normal_(net.leave.weight, std=0.1)
    card = card_of(net, width=4)
    card.normalisation = "plane"
    save(net, card, tmp_path / "net.ckpt")
    code, out, errors = command(
        main, f"checkpoint={tmp_path}/net.ckpt", "format=bioimageio", f"hydra.run.dir={tmp_path}/o"
    )
    assert (code, errors) == (0, "")
    assert "net.bioimageio.zip, which bioimageio.core has validated" in out
    with zipfile.ZipFile(tmp_path / "o" / "net.bioimageio.zip") as package:
        image, output = (
            np.load(io.BytesIO(package.read(f"{name}.npy"))) for name in ("input", "output")
        )
        page = package.read("README.md").decode()
    low, high = np.percentile(image, (1, 99), (1, 2, 3), keepdims=True)
    with torch.no_grad():
        expected = net(torch.from_numpy((2 * (image - low) / (high - low) - 1).astype(np.float32)))
    assert 0.05 < np.ptp(image) < 0.2  # nm
    np.testing.assert_allclose(output, expected, atol=1e-4)
    assert "Subtract the plane of a scan" in page
