import subprocess
import sys

import numpy as np
import pytest
import tifffile

from stm_experiments import checkpoint, load
from stm_experiments.checkpoint import Card
from stm_experiments.formats.image import denormalise, normalise
from stm_experiments.models import PCA
from stm_experiments.simulator import render_topographs

NAME = "Si(111) 7x7, a=b [ü].npy"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scan in metres with an awkward name, and a PCA that can represent any patch."""
    folder = tmp_path_factory.mktemp("scan")
    image = render_topographs("sc", [0.3, 0.4, 0.1], size=40)[0, 0].numpy()
    rows, columns = np.mgrid[:40, :40]
    np.save(folder / NAME, 1e-10 * image + 2e-11 * rows - 1e-11 * columns + 3e-7)
    identity = PCA(25, window=5)
    identity.components.copy_(identity.components.new_ones(25).diag())
    card = Card("PCA", {"components": 25, "window": 5}, window=5)
    checkpoint.save(identity, card, folder / "model.ckpt")
    return folder


def reconstruct(folder, *overrides):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "stm_experiments.reconstruct",
            f"checkpoint={folder}/model.ckpt",
            *overrides,
        ],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("normalisation", ["minmax", "plane"])
def test_an_identity_gives_the_image_back_in_its_units(folder, normalisation):
    run = folder / normalisation
    done = reconstruct(
        folder,
        f"image={folder}/{NAME}",
        f"normalisation={normalisation}",
        "stride=3",
        "unit=m",
        "pixel_nm=.1",
        f"hydra.run.dir={run}",
    )
    assert done.returncode == 0, done.stderr
    before = np.load(folder / NAME)
    stem = "Si(111) 7x7, a=b [ü]_reconstructed"
    after = np.load(run / f"{stem}.npy")
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6 * np.ptp(before))
    single = tifffile.imread(run / f"{stem}.tiff")
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, after.astype(np.float32))
    assert (run / f"{stem}.png").stat().st_size > 10_000


def test_errors_are_one_sentence(folder):
    for overrides, reason in (
        ((f"image={folder}/absent.png",), "no such file"),
        ((f"image={folder}/{NAME}", "stride=6"), "stride must be between 1 and the window"),
        ((f"image={folder}/{NAME}", "normalisation=best"), "minmax or plane"),
    ):
        done = reconstruct(folder, *overrides, f"hydra.run.dir={folder}/wrong")
        assert done.returncode == 1
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.strip().count("\n") == 0


def test_a_loaded_model_carries_its_card(folder):
    net = load(folder / "model.ckpt")
    assert net.card.window == 5
    assert not net.training
    x, affine = normalise(np.load(folder / NAME))
    assert denormalise(x, affine).dtype == np.float64
