"""The variational objective: what it minimises, its two stages, and that resuming cannot tell."""

import csv
import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stm_experiments.models import RVAE, VAE, RVAECoordinates
from stm_experiments.training import Variational

# Six steps of the pose and six of the rest, on two small images.
SMALL = (
    *("experiment=mos2_rvae", "trainer=cpu", "trainer.max_epochs=6", "baselines=[2]"),
    *("data.size=97", "data.images_per_epoch=2", "data.validation_images=1", "data.test_images=1"),
    *("data.batch_size=60", "model.net.width=16"),
)


@pytest.fixture
def train_sites(compose_config):
    """Return a function: a small run on sites in a folder."""
    from stm_experiments.recipes.train import train

    def run(folder, *overrides):
        folder.mkdir(parents=True, exist_ok=True)
        return train(compose_config(*SMALL, *overrides, output_dir=folder))

    return run


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def module_of(net=None, **settings):
    return Variational(net or VAE(width=16), partial(torch.optim.Adam, lr=1e-3), **settings)


def test_the_loss_is_the_evidence_bound():
    module, patches = module_of(noise=0.2, beta=3.0), torch.randn(50, 1, 24, 24)
    seen = module.net.infer(patches)
    posterior = torch.distributions.Normal(seen.mean, (0.5 * seen.log_variance).exp())
    prior = torch.distributions.Normal(0.0, 1.0)
    divergence = torch.distributions.kl_divergence(posterior, prior).sum(1).mean()
    # Two draws alike, of which one has no divergence.
    both, alone = (module.evidence_loss(patches, draws(), weight) for weight in (1.0, 0.0))
    torch.testing.assert_close(both - alone, 3 * divergence, rtol=1e-3, atol=1e-3)
    codes = seen.mean + torch.randn(50, 2, generator=draws()) * posterior.scale
    squares = (module.net.generate(codes, seen.turn, seen.shift) - patches).square().sum() / 50
    torch.testing.assert_close(alone, squares / (2 * 0.2**2))


def test_a_capacity_is_what_the_divergence_is_drawn_to():
    patches, settings = torch.randn(50, 1, 24, 24), {"beta": 1.0}
    net = VAE(width=16)
    none = module_of(net, **settings)
    divergence = none.evidence_loss(patches, draws(), 1.0) - none.evidence_loss(
        patches, draws(), 0.0
    )
    for capacity in (2.0, 5.0):
        module = module_of(net, capacity=capacity, **settings)
        loss = module.evidence_loss(patches, draws(), 1.0) - none.evidence_loss(
            patches, draws(), 0.0
        )
        torch.testing.assert_close(loss, (divergence - capacity).abs(), rtol=1e-2, atol=1e-2)


def test_learned_noise_is_the_most_likely_one():
    patches, net = torch.randn(20, 1, 24, 24), VAE(width=16)
    learned = module_of(net, noise=None, beta=0.0).evidence_loss(patches, draws(), 1.0)

    def at(noise):
        loss = module_of(net, noise=noise, beta=0.0).evidence_loss(patches, draws(), 1.0)
        return loss + 576 * torch.log(torch.tensor(noise))

    rms = ((at(1.0) * 2 / 576) ** 0.5).item()
    assert at(rms) < min(at(0.9 * rms), at(1.1 * rms))
    torch.testing.assert_close(learned, at(rms) - 576 / 2, rtol=1e-3, atol=0.1)


def test_each_stage_has_a_rate_that_falls_and_only_its_part_learns():
    module = module_of(RVAE(width=16), pretraining=0.5)
    module._steps, module._pretraining_steps = 10, 5
    rates = [module.rate(step) for step in range(10)]
    assert rates[0] == rates[5] == 1
    assert max(rates[4], rates[9]) < 0.1
    batch = SimpleNamespace(noisy=torch.randn(8, 1, 24, 24))
    for step, learns in ((4, "transformer"), (5, "encoder")):
        module._trainer = SimpleNamespace(global_step=step)
        module.zero_grad()
        module.training_step(batch, 0).backward()
        for name in ("transformer", "encoder"):
            weights = getattr(module.net, name).parameters()
            assert all((weight.grad is not None) == (name == learns) for weight in weights)


def test_only_networks_with_a_pose_to_learn_are_pretrained():
    assert module_of(VAE(width=16)).pretraining == 0
    assert module_of(RVAECoordinates(width=16)).pretraining == 0
    assert module_of(RVAE(width=16)).pretraining > 0


@pytest.mark.parametrize(
    "wrong", ["beta=-1", "capacity=-1", "warm_up=2", "noise=0", "pretraining=1"]
)
def test_wrong_settings_are_refused(wrong):
    name, value = wrong.split("=")
    with pytest.raises(ValueError, match=name):
        module_of(**{name: float(value)})


@pytest.mark.parametrize("step", [3, 9])
def test_a_run_that_is_resumed_goes_on_in_its_stage(step, train_sites, check_resume, no_figures):
    settings = "model.pretraining=0.5"
    check_resume(Variational, step, lambda folder: train_sites(folder, settings))


def test_a_run_lists_every_site_and_other_images_can_follow(train_sites, tmp_path, command):
    from stm_experiments.find_sites import main
    from stm_experiments.simulator import LATTICES, NOISES, PRESETS, simulate

    train_sites(tmp_path / "run", "model=rvae_coordinates", "noise.defects.vacancies=0.1")
    rows = list(csv.DictReader((tmp_path / "run" / "sites.csv").open(encoding="utf-8")))
    assert len(rows) > 20
    assert {row["class"] for row in rows} == {"1", "2", "3"}
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 <= metrics["test/sites/auroc"] <= 1
    assert "test/sites/angle_error" in metrics
    pictures = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert {"sites", "worst_sites"} <= pictures

    image = simulate([LATTICES["mos2"]], [5], NOISES["none"], PRESETS["physical"], 97).noisy
    np.save(tmp_path / "own (1).npy", image[0, 0].numpy())
    model, out = tmp_path / "run" / "checkpoints" / "best.ckpt", tmp_path / "found"
    given = (f"checkpoint={model}", f"image={tmp_path / 'own (1).npy'}", "pixel_nm=0.02")
    code, _, errors = command(main, *given, f"hydra.run.dir={out}")
    assert code == 0, errors
    rows = list(csv.DictReader((out / "sites.csv").open(encoding="utf-8")))
    assert rows[0]["image"] == "own (1).npy"
    assert float(rows[0]["row_nm"]) == pytest.approx(0.02 * float(rows[0]["row_px"]), abs=1e-4)
    assert (out / "sites.png").is_file()
    code, _, errors = command(main, "checkpoint=denoiser", *given[1:], f"hydra.run.dir={out}2")
    assert code == 1
    assert "not a model of lattice sites" in errors


def test_the_terms_of_the_loss_are_logged_apart_and_the_numbers_traversed(train_in, tmp_path):
    train_in(tmp_path, "experiment=beta_vae", "model.net.width=16", "data.images_per_epoch=10")
    with (tmp_path / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        value = {name: float(text) for name, text in row.items()}
        assert value["val/kl"] > 0
        total = value["val/reconstruction"] + 4 * value["val/kl"]
        assert value["val/loss"] == pytest.approx(total, rel=1e-5)
    assert (tmp_path / "figures" / "traversals.png").is_file()
