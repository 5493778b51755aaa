import json

import pytest
import torch

from stm_experiments.evaluate import main
from stm_experiments.models import CAEA, checkpoint
from stm_experiments.models.checkpoint import Card, CheckpointError
from stm_experiments.recipes.evaluate import load_models

SMALL = (
    "data.size=48",
    "data.images_per_epoch=2",
    "data.test_images=4",
    "data.patches_per_image=20",
    "baselines=[4]",
)


@pytest.fixture
def models(tmp_path):
    """Two model files that describe themselves, and one of bare weights."""
    for name in ("fcc", "sc"):
        torch.manual_seed(len(name))
        net = CAEA()
        card = Card("CAEA", {"latent": 10}, 17, lattice=[name])
        checkpoint.save(net, card, tmp_path / f"{name}.ckpt")
    torch.save(net.state_dict(), tmp_path / "bare.pth")
    return tmp_path


def test_models_and_lattices_make_a_matrix(models, command):
    code, printed, _ = command(
        main,
        f"checkpoint={models}/*.ckpt",
        "lattice=[sc,fcc]",
        f"hydra.run.dir={models}/run",
        *SMALL,
    )
    assert code == 0
    metrics = json.loads((models / "run" / "metrics.json").read_text())
    for key in (
        "CAE-A fcc fcc/test/sc/mse_noisy",
        "CAE-A sc sc/test/fcc/mse_noisy",
        "PCA-4/test/sc/mse_noisy",
    ):
        assert f"{metrics[key]:.5f}" in printed
    assert "trained on (row) and tested on (column)" in " ".join(printed.split())
    rows = (models / "run" / "matrix.csv").read_text().splitlines()
    assert rows[0] == "model,sc,fcc"
    assert float(rows[1].split(",")[1]) == metrics["CAE-A fcc fcc/test/sc/mse_noisy"]
    assert (models / "run" / "matrix.png").stat().st_size > 5000


def test_bare_weights_score_as_the_same_network_does(models, command):
    command(main, f"checkpoint={models}/sc.ckpt", f"hydra.run.dir={models}/a", *SMALL)
    command(main, f"checkpoint={models}/bare.pth", "net=cae_a", f"hydra.run.dir={models}/b", *SMALL)
    card, bare = (json.loads((models / run / "metrics.json").read_text()) for run in "ab")
    assert card == {name.replace("bare/", "CAE-A sc/"): value for name, value in bare.items()}


def test_weights_of_another_network_are_refused(models):
    with pytest.raises(CheckpointError, match="does not hold the bare weights of CAEA"):
        checkpoint.load_weights(models / "bare.pth", CAEA(3))


def test_no_model_of_a_pattern_is_dropped(tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    for name in ("best", "last"):
        checkpoint.save(
            CAEA(), Card("CAEA", {"latent": 10}, 17, lattice=["fcc"]), folder / f"{name}.ckpt"
        )
    assert len(load_models(f"{folder}/*.ckpt", None)) == 2
