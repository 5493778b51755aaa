"""Image files as training data: folders, partners, resizing, and every way in which they fail."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from stm_experiments.data import ImageData, PatchSettings
from stm_experiments.data.module import PatchData
from stm_experiments.simulator import LATTICES

LIMITS = {"spread": 10.0, "azimuth_max": 45.0, "tilt_max": 45.0}
RANDOM = np.random.default_rng(0)


def data(root, lattices=("fcc",), resize=None, **settings):
    chosen = dict.fromkeys(lattices, LIMITS)
    source = ImageData(root=None if root is None else str(root), lattices=chosen, resize=resize)
    patches = {"window": 17, "batch_size": 32, "patches_per_image": 8, "num_workers": 0}
    return PatchData(source, PatchSettings(**{**patches, **settings}))


def pixels(height=32, width=32):
    return RANDOM.normal(5, 3, size=(height, width))


def put(folder, *names, array=None):
    """Write images, each of its own pixels unless they are given; return those of the last."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        image = pixels() if array is None else array
        if name.endswith(".npy"):
            np.save(folder / name, image)
        else:
            grey = image if image.dtype == np.uint8 else (25 * image + 100).clip(0, 255)
            Image.fromarray(grey.astype(np.uint8)).save(folder / name)
    return image


def normal(image):
    return 2 * (image - image.min()) / (image.max() - image.min()) - 1


def all_images(source):
    return source(0, 0, source.count)


def test_a_plain_folder(tmp_path):
    image = put(tmp_path / "train", "b.npy")
    put(tmp_path / "train", "a.png", "c.tiff", "a.TIF")
    put(tmp_path / "validation", "v.npy")
    put(tmp_path / "notes", "ignored.npy")
    (tmp_path / "train" / "readme.txt").write_text("not an image")
    images = data(tmp_path)
    assert set(images.sources) == {"train", "validation"}
    assert images.test_split == "validation"
    train = all_images(images.sources["train"])
    assert [file.noisy.name for file in images.sources["train"].files] == sorted(
        ["a.png", "b.npy", "c.tiff", "a.TIF"]
    )
    which = [file.noisy.name for file in images.sources["train"].files].index("b.npy")
    np.testing.assert_allclose(train.noisy[which, 0], normal(image), atol=1e-6)
    assert train.noisy.amin((1, 2, 3)).tolist() == [-1] * 4
    assert train.noisy.amax((1, 2, 3)).tolist() == [1] * 4
    assert train.lattice.tolist() == [list(LATTICES).index("fcc")] * 4
    assert train.orientation.isnan().all()
    put(tmp_path / "test", "t.npy")
    assert data(tmp_path).test_split == "test"


def test_one_folder_per_lattice(tmp_path):
    marked = {}
    for name, count in (("sc", 2), ("fcc", 3)):
        for number in range(count):
            marked[name, number] = put(tmp_path / name / "train", f"{number}.npy")
        put(tmp_path / name / "validation", "v.npy")
    names = list(LATTICES)
    train = all_images(data(tmp_path, ["fcc", "sc"]).sources["train"])
    assert [names[label] for label in train.lattice] == ["fcc"] * 3 + ["sc"] * 2
    wanted = [marked["fcc", 0], marked["fcc", 1], marked["fcc", 2], marked["sc", 0]]
    for image, pixels_ in zip(train.noisy[:, 0], wanted, strict=False):
        np.testing.assert_allclose(image, normal(pixels_), atol=1e-6)
    for batch in data(tmp_path, ["fcc", "sc"]).loader("train"):
        assert torch.equal(batch.lattice, train.lattice[batch.image])
    assert all_images(data(tmp_path, ["sc"]).sources["train"]).lattice.tolist() == [0, 0]


@pytest.mark.parametrize("slope", [0.01, 300.0, -2.5])
def test_a_partner_that_is_an_affine_map_is_recovered(tmp_path, slope):
    noisy = put(tmp_path / "train", "a.npy")
    put(tmp_path / "train_clean", "a.npy", array=slope * noisy - 7)
    images = all_images(data(tmp_path, need_clean=True).sources["train"])
    assert images.noisy.dtype == images.clean.dtype == torch.float32
    np.testing.assert_allclose(images.clean, images.noisy, atol=1e-6)


def test_a_partner_is_fitted_by_least_squares(tmp_path):
    noisy = put(tmp_path / "train", "a.npy")
    partner = put(tmp_path / "train_clean", "a.npy", array=noisy + pixels())
    clean = all_images(data(tmp_path, need_clean=True).sources["train"]).clean[0, 0].numpy()
    residual = normal(noisy) - clean
    assert np.corrcoef(clean.ravel(), partner.ravel())[0, 1] == pytest.approx(1, abs=1e-6)
    assert residual.mean() == pytest.approx(0, abs=1e-6)
    assert np.corrcoef(residual.ravel(), partner.ravel())[0, 1] == pytest.approx(0, abs=1e-6)


def test_missing_partners_are_left_out_and_logged_only_where_they_are_needed(tmp_path, caplog):
    for split in ("train", "validation", "test"):
        put(tmp_path / split, "a.npy", "b.npy", "c.npy")
    put(tmp_path / "train_clean", "a.npy", "c.npy")
    put(tmp_path / "validation_clean", "b.npy")
    with caplog.at_level(logging.WARNING):
        needed = data(tmp_path, need_clean=True)
    names = {
        split: [file.noisy.stem for file in source.files]
        for split, source in needed.sources.items()
    }
    assert names == {"train": ["a", "c"], "validation": ["b"], "test": ["a", "b", "c"]}
    assert len(caplog.messages) == 3
    assert sum("b.npy has no noise-free partner" in message for message in caplog.messages) == 1
    assert all_images(needed.sources["validation"]).clean is not None
    assert all_images(needed.sources["test"]).clean is None

    caplog.clear()
    with caplog.at_level(logging.WARNING):
        not_needed = data(tmp_path)
    assert not any(str(tmp_path / "train") in message for message in caplog.messages)
    assert not_needed.sources["train"].count == 3
    assert all_images(not_needed.sources["train"]).clean is None
    assert next(iter(not_needed.loader("train"))).clean is None


@pytest.mark.parametrize("shape", [(33, 33), (40, 30)])
def test_resizing_is_pillows_and_comes_after_the_normalisation(tmp_path, shape):
    noisy, clean = (
        put(tmp_path / folder, "a.npy", array=pixels(*shape)) for folder in ("train", "train_clean")
    )
    images = all_images(data(tmp_path, need_clean=True, resize=32).sources["train"])

    def resized(image):
        image = Image.fromarray(image.astype(np.float32))
        return np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR))

    np.testing.assert_array_equal(images.noisy[0, 0], resized(normal(noisy)))
    assert images.noisy.max() < 1  # the other order would stretch it to 1 again
    slope, shift = np.polyfit(clean.ravel(), normal(noisy).ravel(), 1)
    np.testing.assert_allclose(images.clean[0, 0], resized(slope * clean + shift), atol=1e-5)


@pytest.mark.parametrize(
    "name", ["Si(111) 7x7, a=b.png", "[1,2]{x}*?.png", "ünï 走査.png", "it's.png", "${x}.png"]
)
def test_odd_file_names(tmp_path, name):
    root = tmp_path / name.removesuffix(".png")
    noisy = put(root / "train", name)
    put(root / "train_clean", name, array=noisy)
    images = all_images(data(root, need_clean=True).sources["train"])
    assert images.noisy.shape == (1, 1, 32, 32)
    torch.testing.assert_close(images.clean, images.noisy, atol=1e-6, rtol=0)


def refused(root, *parts, **settings):
    """The one sentence with which a folder is refused, at the latest when patches are cut."""
    with pytest.raises(ValueError, match=r"\w") as info:
        next(iter(data(root, **settings).loader("train")))
    message = str(info.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message
    return message


def test_folders_that_hold_no_images_are_refused(tmp_path):
    refused(None, "data.root=<folder>")
    refused(tmp_path / "nowhere", "there is no folder", tmp_path / "nowhere")
    refused(tmp_path, tmp_path, "holds none of the folders train, validation, test")
    (tmp_path / "train").mkdir()
    refused(tmp_path, tmp_path / "train", "holds no images")
    (tmp_path / "train" / "a.txt").write_text("")
    refused(tmp_path, "holds no images (.png")
    put(tmp_path / "train", "a.npy")
    refused(tmp_path, "model.target=clean needs noise-free partners", need_clean=True)
    refused(tmp_path, "choose one lattice", lattices=("sc", "fcc"))
    put(tmp_path / "sc" / "train", "a.npy")
    refused(tmp_path, "no folder for fcc", lattices=("sc", "fcc"))
    only_validation = tmp_path / "other"
    put(only_validation / "validation", "a.npy")
    refused(only_validation, "no train images")


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((32, 32), 7.0), "constant"),
        (np.where(np.arange(1024).reshape(32, 32) == 77, np.nan, 1.0), "NaN"),
        (np.where(np.arange(1024).reshape(32, 32) == 77, np.inf, 1.0), "infinite"),
        (RANDOM.normal(size=(4, 32, 32)), "shape (4, 32, 32)"),
        (np.array([[object()]]), "cannot be read"),
    ],
)
def test_unusable_images_are_refused_by_name(tmp_path, array, reason):
    put(tmp_path / "train", "a.npy", "c.npy")
    np.save(tmp_path / "train" / "b.npy", array, allow_pickle=True)
    refused(tmp_path, tmp_path / "train" / "b.npy", reason)


def test_damaged_and_coloured_files_are_refused_by_name(tmp_path):
    put(tmp_path / "train", "a.png", array=pixels(64, 64))
    whole = (tmp_path / "train" / "a.png").read_bytes()
    (tmp_path / "train" / "a.png").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path, tmp_path / "train" / "a.png")
    (tmp_path / "train" / "a.png").write_text("no image at all")
    refused(tmp_path, tmp_path / "train" / "a.png", "not a PNG file")
    put(tmp_path / "train", "a.png", array=RANDOM.integers(0, 255, (32, 32, 3), dtype=np.uint8))
    refused(tmp_path, tmp_path / "train" / "a.png", "colour")


def test_sizes_that_do_not_fit_are_refused(tmp_path):
    put(tmp_path / "train", "a.npy")
    put(tmp_path / "train", "b.npy", array=pixels(32, 40))
    refused(tmp_path, tmp_path / "train" / "b.npy", "32x40 px", "32x32 px", "data.resize")
    assert all_images(data(tmp_path, resize=32).sources["train"]).noisy.shape[-2:] == (32, 32)
    put(tmp_path / "train_clean", "a.npy")
    put(tmp_path / "train_clean", "b.npy")
    refused(tmp_path, tmp_path / "train_clean" / "b.npy", "noisy partner", need_clean=True)
    refused(tmp_path, "data.resize", "17 px", resize=16)
    refused(tmp_path, "data.resize", resize="big")


@pytest.mark.parametrize("sampling", ["random", "grid"])
@pytest.mark.parametrize("side", [16, 12, 1])
def test_images_smaller_than_the_patch_are_refused(tmp_path, sampling, side):
    put(tmp_path / "train", "a.npy", array=pixels(40, side) if side > 1 else pixels(side, 40))
    refused(tmp_path, "smaller than the network's 17 px patch", sampling=sampling)


def test_an_image_of_the_size_of_the_patch_is_one_patch(tmp_path):
    image = put(tmp_path / "train", "a.npy", array=pixels(17, 17))
    batch = next(iter(data(tmp_path, sampling="grid").loader("train")))
    assert batch.noisy.shape == (1, 1, 17, 17)
    np.testing.assert_allclose(batch.noisy[0, 0], normal(image), atol=1e-6)
