"""How images are cut into batches: a pure function of (seed, split, epoch), however it is run."""

import numpy as np
import pytest
import torch

from stm_experiments.core.batch import concatenate
from stm_experiments.data import Batch, ImageData, PatchLoader, PatchSettings, SimulatedData
from stm_experiments.data.loader import Consumer, Place
from stm_experiments.data.patches import cut_patches, dihedral_offsets, grid_positions
from stm_experiments.simulator import NOISES

LIMITS = {"spread": 10.0, "azimuth_max": 45.0, "tilt_max": 45.0}
# 40 images cross the boundary between a chunk of 32 and the next; 200 patches and batches of 48
# leave a last batch of 8.
SETTINGS = {
    "window": 17,
    "batch_size": 48,
    "patches_per_image": 5,
    "sampling": "random",
    "stride": 16,
    "augment": True,
    "fresh": True,
    "num_workers": 0,
    "seed": 3,
    "need_clean": True,
}


def simulated_source(split, fresh, seed=3, images=40):
    data = SimulatedData(
        lattices={"sc": LIMITS, "fcc": LIMITS},
        noise=NOISES["paper"],
        size=64,
        images_per_epoch=images,
        validation_images=images,
        test_images=images,
    )
    return data.splits(PatchSettings(**{**SETTINGS, "fresh": fresh, "seed": seed}))[split]


@pytest.fixture(scope="module")
def image_source(tmp_path_factory):
    """40 image files of 60 x 64 px."""
    root = tmp_path_factory.mktemp("images")
    (root / "train").mkdir()
    random = np.random.default_rng(0)
    for number in range(40):
        np.save(root / "train" / f"{number:02}.npy", random.normal(size=(60, 64)))
    data = ImageData(root=str(root), lattices={"sc": LIMITS})
    return data.splits(PatchSettings(**{**SETTINGS, "need_clean": False}))["train"]


def loader(source=None, split="train", epoch=0, batch=0, consumer=None, **settings):
    settings = {**SETTINGS, **settings}
    if source is None:
        source = simulated_source(split, settings["fresh"], settings["seed"])
    consumer = consumer or Consumer(place=lambda: Place(epoch, batch))
    return PatchLoader(source, split, PatchSettings(**settings), consumer)


def join(batches):
    return concatenate(list(batches))


def same(a, b):
    return all(
        (x is None and y is None) or torch.allclose(x, y, rtol=0, atol=0, equal_nan=True)
        for x, y in zip(a[:6], b[:6], strict=True)
    )


def places(batch):
    """Sorted (image, row, column) of all patches."""
    rows = torch.cat([batch.image[:, None], batch.position], 1)
    return sorted(map(tuple, rows.tolist()))


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_change_nothing(workers):
    place = [0, 0]
    consumer = Consumer(place=lambda: Place(*place))
    ahead, alone = (loader(consumer=consumer, num_workers=count) for count in (workers, 0))
    for epoch in (0, 1):  # the second epoch's images are simulated during the first
        place[0] = epoch
        assert same(join(ahead), join(alone))
    ahead.close()


@pytest.mark.parametrize("sampling", ["random", "grid"])
@pytest.mark.parametrize("kind", ["fresh", "fixed", "images", "fixed images"])
def test_batch_size_changes_nothing(kind, sampling, image_source):
    settings = {"fresh": "fixed" not in kind, "sampling": sampling}
    source = image_source if "images" in kind else None
    sequences = [
        join(loader(source, epoch=1, batch_size=size, **settings)) for size in (7, 64, 256, 1024)
    ]
    assert len(sequences[0].noisy) == loader(source, **settings).patches_per_epoch >= 200
    for other in sequences[1:]:
        assert same(sequences[0], other)


def test_batches_have_the_size_that_was_asked_for():
    batches = list(loader())
    assert [len(batch.noisy) for batch in batches] == [48, 48, 48, 48, 8]
    assert len(loader()) == 5


def test_an_epoch_can_be_iterated_again_after_it_was_abandoned():
    patches = loader()
    first = next(iter(patches))
    assert same(first, next(iter(patches)))
    assert same(join(patches), join(patches))


def test_two_iterations_at_once_do_not_disturb_each_other():
    patches = loader()
    for one, other, wanted in zip(patches, patches, loader(), strict=True):
        assert same(one, wanted)
        assert same(other, wanted)


def test_no_image_is_simulated_twice():
    source, calls = simulated_source("train", True), []

    class Recording:
        count, fixed = source.count, source.fixed

        def __call__(self, *key):
            calls.append(key)
            return source(*key)

    place = [0, 0]
    patches = loader(Recording(), consumer=Consumer(place=lambda: Place(*place)))
    for epoch in range(3):
        place[0] = epoch
        batches = iter(patches)
        for _ in range(len(patches)):  # like the trainer, which never asks for one too many
            next(batches)
    assert calls == [(e, *chunk) for e in range(3) for chunk in ((0, 32), (32, 40))]


def test_fresh_epochs_show_other_images():
    now, later = (join(loader(epoch=epoch)) for epoch in (0, 1))
    assert not np.intersect1d(now.orientation.numpy(), later.orientation.numpy()).size
    assert places(now) != places(later)


def test_fixed_epochs_show_the_same_patches_in_another_order():
    now, later = (join(loader(epoch=epoch, fresh=False, augment=False)) for epoch in (0, 1))
    assert not torch.equal(now.noisy, later.noisy)
    assert places(now) == places(later)
    order = [
        np.lexsort(torch.cat([b.image[:, None], b.position], 1).T.numpy()) for b in (now, later)
    ]
    assert torch.equal(now.noisy[order[0]], later.noisy[order[1]])


def test_files_give_new_positions_each_epoch_only_when_fresh(image_source):
    fresh = [places(join(loader(image_source, epoch=epoch))) for epoch in (0, 1)]
    assert fresh[0] != fresh[1]
    fixed = [places(join(loader(image_source, epoch=epoch, fresh=False))) for epoch in (0, 1)]
    assert fixed[0] == fixed[1]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_held_out_patches_never_change(split):
    now = join(loader(split=split))
    assert same(now, join(loader(split=split, epoch=5)))
    assert torch.equal(now.image, now.image.sort().values)  # and are not shuffled


def test_splits_and_seeds_show_other_images():
    sources = [simulated_source(split, True) for split in ("train", "validation", "test")]
    sources += [simulated_source("train", True, seed=4)]
    images = torch.cat([source(0, 0, 3).noisy for source in sources]).flatten(1)
    distance = torch.cdist(images, images) + 1e9 * torch.eye(len(images))
    assert distance.min() > 1
    assert torch.equal(images[:3], simulated_source("train", True)(0, 0, 3).noisy.flatten(1))


def test_a_batch_mixes_patches_of_many_images():
    assert len(next(iter(loader(patches_per_image=64, batch_size=256))).image.unique()) == 32
    fixed = next(iter(loader(patches_per_image=64, batch_size=512, fresh=False)))
    assert len(fixed.image.unique()) == 40


@pytest.mark.parametrize("sampling", ["random", "grid"])
@pytest.mark.parametrize("fresh", [True, False])
def test_an_epoch_can_be_entered_at_any_batch(fresh, sampling):
    settings = {"fresh": fresh, "sampling": sampling}
    whole = list(loader(epoch=1, **settings))
    for done in range(len(whole) + 1):
        rest = list(loader(epoch=1, batch=done, **settings))
        assert len(rest) == len(whole) - done
        assert all(same(a, b) for a, b in zip(rest, whole[done:], strict=True))


def test_an_epoch_that_was_entered_in_its_middle_is_followed_by_a_whole_one():
    place = [1, 3]
    patches = loader(consumer=Consumer(place=lambda: Place(*place)), num_workers=1)
    list(patches)
    place[:] = 2, 0
    assert same(join(patches), join(loader(epoch=2)))
    patches.close()


def test_ranks_share_each_batch():
    whole = list(loader())
    parts = [list(loader(consumer=Consumer(rank=rank, ranks=3))) for rank in range(3)]
    for number, batch in enumerate(whole):
        for rank in range(3):
            share = Batch(*(part[rank::3] for part in batch[:6]), truth={})
            assert same(parts[rank][number], share)
            assert parts[rank][number].total == len(batch.noisy)


def test_the_eight_symmetries_are_turns_and_flips():
    height, width, window = 20, 33, 5
    images = torch.randn(3, 1, height, width)
    offsets = dihedral_offsets(window, width)
    assert offsets.shape == (8, window**2)
    for image, row, column in [(0, 0, 0), (2, height - window, width - window), (1, 3, 27)]:
        first = torch.full((8,), image * height * width + row * width + column)
        cut = cut_patches(images, first, offsets)
        plain = images[image, :, row : row + window, column : column + window]
        turned = [torch.rot90(p, k, (1, 2)) for p in (plain, plain.flip(2)) for k in range(4)]
        assert torch.equal(cut, torch.stack(turned))
        assert torch.equal(cut_patches(images, first[:1], offsets[:1])[0], plain)


def test_positions_say_where_a_patch_was_cut(image_source):
    for source in (simulated_source("train", True), image_source):
        batch = next(iter(loader(source, epoch=2, augment=False)))
        assert batch.position.min() >= 0
        for i in range(len(batch.noisy)):
            image = source(2, int(batch.image[i]), int(batch.image[i]) + 1)
            row, column = batch.position[i].tolist()
            window = (0, slice(None), slice(row, row + 17), slice(column, column + 17))
            assert torch.equal(batch.noisy[i], image.noisy[window])
            if batch.clean is not None:
                assert torch.equal(batch.clean[i], image.clean[window])
            assert batch.lattice[i] == image.lattice[0]
            assert torch.equal(batch.orientation[i].isnan(), image.orientation[0].isnan())
            assert torch.equal(batch.orientation[i].nan_to_num(), image.orientation[0].nan_to_num())


def test_augmented_patches_are_turned_with_their_clean_partners():
    batch = join(loader(patches_per_image=40, batch_size=1600))
    images = simulated_source("train", True)(0, 0, 40)
    cells = torch.zeros(8, 8)  # symmetry, row modulo 8: neither favours any of the other
    offsets = dihedral_offsets(17, 64)
    first = batch.image * 64**2 + batch.position[:, 0] * 64 + batch.position[:, 1]
    for turn in range(8):
        noisy = cut_patches(images.noisy, first, offsets[turn : turn + 1])
        clean = cut_patches(images.clean, first, offsets[turn : turn + 1])
        is_turned = (noisy == batch.noisy).flatten(1).all(1)
        assert torch.equal(clean[is_turned], batch.clean[is_turned])
        cells[turn] = (batch.position[is_turned, 0] % 8).bincount(minlength=8)
    assert cells.sum() == 1600
    assert ((cells.sum(1) - 200).abs() < 5 * 200**0.5).all()
    assert ((cells - 25).abs() < 5 * 25**0.5).all()


def test_random_positions_cover_the_whole_image():
    batch = join(loader(patches_per_image=50, batch_size=2000))
    for axis in (0, 1):
        hits = batch.position[:, axis].bincount()
        assert len(hits) == 64 - 17 + 1
        assert ((hits - 2000 / 48).abs() < 5 * (2000 / 48) ** 0.5).all()


def test_a_grid_covers_every_step_of_every_image_once(image_source):
    assert grid_positions(20, 21, 17, 4).tolist() == [[0, 0], [0, 4]]
    for source, height in ((None, 64), (image_source, 60)):
        patches = loader(source, sampling="grid", stride=4)
        rows, columns = range(0, height - 16, 4), range(0, 64 - 16, 4)
        wanted = [(i, r, c) for i in range(40) for r in rows for c in columns]
        assert patches.patches_per_epoch == len(wanted)
        assert places(join(patches)) == wanted
