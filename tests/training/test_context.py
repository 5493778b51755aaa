"""Context codes: what is learnt, from what, and that a resumed run cannot tell."""

import csv
import json
import math

import pytest
import torch

from stm_experiments import load
from stm_experiments.core.batch import Batch
from stm_experiments.core.descriptions import DESCRIPTIONS
from stm_experiments.training import Context
from stm_experiments.training.contrastive import contrast

SMALL = (
    *("experiment=context_code", "lattice=[sc,fcc]", "model.net.width=32", "model.net.latent=3"),
    *("data.images_per_epoch=10", "data.validation_images=4", "data.test_images=8"),
    *("data.patches_per_image=8", "trainer.max_epochs=3", "baselines=[10]"),
)


def test_each_patch_brings_the_description_of_its_image(compose_config):
    from stm_experiments.app import build
    from stm_experiments.app.settings import resolve

    small = ("data.size=96", "data.images_per_epoch=20")
    config = resolve(compose_config("experiment=context_code", *small))
    data = build.build_data(config, 17)
    batch = next(iter(data.loader("train")))
    images = data.sources["train"](0, 0, 20)
    described = DESCRIPTIONS[config["model"]["net"]["description"]].describe(images.noisy)
    torch.testing.assert_close(batch.truth["description"], described[batch.image])
    torch.testing.assert_close(data.descriptions(7), described[:7])


def test_a_run_is_resumed_exactly_and_says_what_its_codes_tell(
    train_in, check_resume, tmp_path, no_figures
):
    whole = check_resume(Context, 3, lambda folder: train_in(folder, *SMALL))

    metrics = json.loads((whole / "metrics.json").read_text())
    for head in ("", "PCA-10/", "untrained/"):
        for name in ("probe", "knn", "ari"):
            assert -1 <= metrics[f"{head}test/latent/{name}"] <= 1

    # A model that starts from this one keeps the meaning of the codes.
    best = whole / "checkpoints" / "best.ckpt"
    train_in(tmp_path / "other", *SMALL, f"init={best}", "seed=1")
    before, after = (
        load(folder / "checkpoints" / "best.ckpt") for folder in (whole, tmp_path / "other")
    )
    assert before.targets.is_fitted
    assert torch.equal(before.targets.coordinates, after.targets.coordinates)
    assert not torch.equal(before.encoder[0].weight, after.encoder[0].weight)


def test_what_cannot_be_described_is_refused(command, tmp_path):
    from stm_experiments.train import main

    few = ("data.images_per_epoch=5", "data.validation_images=5", "data.size=64")
    code, _, errors = command(
        main, "experiment=context_code", *few, "trainer=cpu", f"hydra.run.dir={tmp_path}/few"
    )
    assert code == 1
    assert "5 images are too few for 10 coordinates" in errors
    for unknown in ("model.net.description=colour", "model.net.targets=colour"):
        code, _, errors = command(
            main, "experiment=context_code", unknown, f"hydra.run.dir={tmp_path}/unknown"
        )
        assert code == 1
        assert f"{unknown.split('=')[0]} is one of" in errors


def test_labels_are_learnt_and_needed(compose_config):
    from stm_experiments.app import build
    from stm_experiments.app.settings import resolve

    config = resolve(compose_config("model=labelled_code", "model.net.width=64"))
    module = build.build_model(config)
    patches = torch.randn(4, 1, 17, 17)
    lattice = torch.tensor([0, 1, 2, 0])
    batch = Batch(patches, None, lattice, torch.zeros(4, 3), lattice, torch.zeros(4, 2), {})
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss = module.loss(batch)
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    with pytest.raises(ValueError, match="images whose lattices are known"):
        module.loss(batch._replace(lattice=lattice - 1))


def test_contrast_asks_which_patches_are_of_one_image(train_in, tmp_path, no_figures):
    images = torch.tensor([0, 0, 1, 1])
    together = torch.tensor([[1.0, 0], [2, 0], [0, 1], [0, 3]])
    apart = together[[0, 2, 1, 3]]
    assert contrast(together, images) < 0.001
    assert contrast(apart, images) > 5
    # A code of one direction cannot tell: the partner is one of three others.
    same = torch.ones(4, 2, requires_grad=True)
    assert contrast(same, images).item() == pytest.approx(math.log(3))
    alone = contrast(same, torch.arange(4))
    alone.backward()
    assert alone == 0
    assert same.grad.abs().sum() == 0

    small = ("model=contrastive_code", *(key for key in SMALL if "latent" not in key))
    train_in(tmp_path / "run", *small, "data.batch_size=80")
    losses = read_losses(tmp_path / "run")
    assert all(0 < loss < 2 * math.log(400) for loss in losses)
    assert losses[-1] < losses[0]


def read_losses(run):
    with (run / "metrics.csv").open() as lines:
        return [float(row["val/loss"]) for row in csv.DictReader(lines)]
