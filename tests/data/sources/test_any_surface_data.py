"""Surfaces of any kind as a source of patches, and a training with them."""

import json
import math

import pytest
import torch

from stm_experiments.data import AnySurfaceData, PatchSettings
from stm_experiments.data.module import PatchData
from stm_experiments.models import SurfaceDenoiser
from stm_experiments.models.checkpoint import load
from stm_experiments.simulator import NOISES


def source(**changes):
    counts = {"images_per_epoch": 6, "validation_images": 2, "test_images": 2}
    return AnySurfaceData(**{"noise": NOISES["white"], "size": 64, **counts, **changes})


def splits(settings=None, **changes):
    return source(**changes).splits(settings or PatchSettings(window=48))


def test_images_are_fresh_in_training_and_fixed_in_validation():
    train, validation = (splits()[name] for name in ("train", "validation"))
    assert torch.equal(train(0, 2, 4).noisy, train(0, 0, 6).noisy[2:4])
    assert not torch.equal(train(0, 0, 2).noisy, train(1, 0, 2).noisy)
    assert torch.equal(validation(0, 0, 2).noisy, validation(1, 0, 2).noisy)
    assert not torch.equal(validation(0, 0, 2).noisy, train(0, 0, 2).noisy)


def test_noisy_images_fill_the_range_and_clean_ones_follow():
    images = splits(strength=(1.0, 1.0))["train"](0, 0, 6)
    low, high = torch.quantile(images.noisy.flatten(1), torch.tensor([0.01, 0.99]), dim=1)
    torch.testing.assert_close(low, torch.full((6,), -1.0), rtol=0, atol=0.02)
    torch.testing.assert_close(high, torch.full((6,), 1.0), rtol=0, atol=0.02)
    noise = (images.noisy - images.clean).flatten(1)
    assert (noise.mean(1).abs() < 6 * noise.std(1) / math.sqrt(noise.shape[1])).all()


def test_every_other_image_has_the_other_noise():
    one, other = NOISES["white"], NOISES["any_scan"]
    mixed = splits(noise=one, other_noise=other)["train"](0, 0, 2).noisy
    assert torch.equal(mixed[0], splits(noise=one)["train"](0, 0, 2).noisy[0])
    assert torch.equal(mixed[1], splits(noise=other)["train"](0, 0, 2).noisy[1])


def test_patches_are_cut_from_pairs():
    settings = PatchSettings(window=48, batch_size=3, num_workers=0, need_clean=True)
    batch = next(iter(PatchData(source(), settings).loader("train")))
    assert batch.noisy.shape == batch.clean.shape == (3, 1, 48, 48)
    assert batch.truth == {}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": 40}, "data.size=40 px is smaller than the patches of 48 px"),
        ({"strength": (0.0, 1.0)}, "data.strength is a range"),
        ({"strength": (2.0, 1.0)}, "data.strength is a range"),
        ({"normalisation": "best"}, "data.normalisation is plane or minmax"),
        ({"images_per_epoch": 0}, "images_per_epoch"),
        ({"noise": NOISES["paper"]}, "known lattice only"),
    ],
)
def test_settings_without_sense_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        splits(**changes)


def test_the_denoiser_of_any_surface_trains(train_in, tmp_path):
    train_in(
        tmp_path, "experiment=denoise_any", "data.size=64", "data.patch=64", "data.batch_size=4",
        "data.patches_per_image=1", "data.images_per_epoch=8", "model.net.width=4", "baselines=[]",
    )  # fmt: skip
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert math.isfinite(metrics["test/mse_clean"])
    net = load(tmp_path / "checkpoints" / "best.ckpt")
    assert isinstance(net, SurfaceDenoiser)
    assert net.card.normalisation == "plane"
