"""Pairs with and without stripes of a few clean images; stripes that go along with patches."""

import numpy as np
import pytest
import torch

from stm_experiments.app import build
from stm_experiments.app.settings import resolve
from stm_experiments.data import PatchSettings, StripedData
from stm_experiments.data.module import PatchData
from stm_experiments.simulator import NOISES


def make_source(tmp_path=None, **changes):
    settings = {
        "root": None if tmp_path is None else str(tmp_path),
        "lattices": {"fcc": {}, "hex1": {}},
        "noise": NOISES["none"],
        "size": 65,
        "clean_images": 5,
        "pairs": 12,
        "images_per_epoch": None,
        "validation_images": 4,
        "test_images": 4,
        "stripes": 3,
        "widest": 5,
    }
    return StripedData(**{**settings, **changes})


def data(tmp_path=None, **changes):
    patches = PatchSettings(window=48, batch_size=6, num_workers=0, need_clean=True)
    return PatchData(make_source(tmp_path, **changes), patches)


def folder_of(tmp_path, count):
    for number in range(count):
        np.save(tmp_path / f"{number}.npy", np.random.default_rng(number).random((70, 60)))
    return tmp_path


def test_pairs_differ_in_their_stripes_alone():
    batch = next(iter(data().loader("train")))
    mask = batch.truth["stripes"]
    assert batch.noisy.shape == (6, 1, 48, 48)
    assert torch.equal(batch.noisy[~mask], batch.clean[~mask])
    assert torch.equal(mask.all(3), mask.any(3))
    lines = mask[:, 0, :, 0].sum(1)
    assert lines.min() >= 1
    assert lines.max() <= 3 * 5
    # Uniform noise from black to white.
    noise = batch.noisy[mask]
    assert noise.min() < -0.98
    assert noise.max() > 0.98
    assert noise.std() == pytest.approx(2 / 12**0.5, abs=0.03)
    assert batch.clean.min() >= -1
    assert batch.clean.max() <= 1


def test_pairs_are_the_same_every_time_and_gone_through_by_turns():
    source = data(images_per_epoch=8).sources["train"]
    assert (source.count, source.pairs) == (8, 12)
    first, second = source(0, 0, 8), source(1, 0, 8)
    again = data(images_per_epoch=8).sources["train"]
    assert torch.equal(first.noisy, again(0, 0, 8).noisy)
    assert torch.equal(first.noisy[:4], second.noisy[4:]), "pairs 0-3 come again after 8-11"
    assert not torch.equal(first.noisy[:4], second.noisy[:4])
    assert torch.equal(first.noisy[3:5], source(0, 3, 5).noisy)


def test_pairs_of_one_image_differ():
    source = data().sources["train"]
    assert not torch.equal(source.pair(0).clean, source.pair(5).clean)
    assert [source.clean.lattice(number).name for number in (0, 1, 2)] == ["fcc", "hex1", "fcc"]
    assert source(0, 0, 3).lattice.tolist() == [2, 3, 2]


def test_images_of_validation_are_others():
    train, validation = (data().sources[split].clean[0] for split in ("train", "validation"))
    assert not torch.equal(train, validation)


def test_a_folder_is_split_by_files(tmp_path):
    sources = data(folder_of(tmp_path, 7)).sources
    names = {split: [path.stem for path in s.clean.files] for split, s in sources.items()}
    assert names == {"train": ["0", "1", "2", "5", "6"], "validation": ["3"], "test": ["4"]}
    assert sources["train"](0, 0, 3).noisy.shape == (3, 1, 48, 48)
    levels = 255 * sources["train"].clean[0]
    assert torch.allclose(levels, levels.round(), atol=1e-3)


@pytest.mark.parametrize(("count", "sentence"), [(4, "holds 4 images"), (0, "at least 5")])
def test_too_small_folders_are_refused(tmp_path, count, sentence):
    with pytest.raises(ValueError, match=sentence):
        data(folder_of(tmp_path, count))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        data(tmp_path / "nowhere")


def test_simulated_patches_carry_their_stripes(compose_config):
    settings = resolve(
        compose_config(
            "experiment=destripe", "data.size=97", "data.images_per_epoch=4",
            "data.patches_per_image=8", "data.batch_size=16", "noise.stripes.replaced=0.05",
        )
    )  # fmt: skip
    module = build.build_data(settings, None)
    batch = next(iter(module.loader("train")))
    mask = batch.truth["stripes"]
    assert mask.shape == batch.noisy.shape == (16, 1, 64, 64)
    assert mask.dtype == torch.bool
    far = (batch.noisy - batch.clean).abs()
    assert far[mask].mean() > 3 * far[~mask].mean()


def test_other_data_know_of_no_stripes(compose_config):
    settings = resolve(compose_config("data.size=64", "data.images_per_epoch=2"))
    assert next(iter(build.build_data(settings, 17).loader("train"))).truth == {}


@pytest.mark.parametrize(
    "setting", [{"augment": True}, {"patches_per_image": 4}, {"sampling": "grid"}, {"fresh": False}]
)
def test_settings_that_pairs_cannot_follow_are_refused(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=rf"data\.{name} must be .* for striped pairs"):
        make_source().splits(PatchSettings(window=48, **setting))
