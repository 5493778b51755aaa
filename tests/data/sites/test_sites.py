"""Patches around lattice sites."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree

from stm_experiments.data import PatchSettings, SiteData
from stm_experiments.data.loader import Consumer, Place
from stm_experiments.data.module import PatchData
from stm_experiments.data.sites.simulated_sites import find_simulated_sites
from stm_experiments.data.sites.site_loader import SiteImages, SiteLoader, listed_images
from stm_experiments.data.sites.sites import (
    add_hollows,
    cut_squares,
    disc,
    make_site_image,
    turn_and_shift,
)
from stm_experiments.lattice.fit import find_lattice
from stm_experiments.simulator import LATTICES, NOISES, PRESETS, simulate

PHYSICAL = PRESETS["physical"]


@pytest.fixture(scope="module")
def images():
    lattices = [LATTICES["mos2"]] * 2
    topographs = simulate(lattices, [1, 2], NOISES["mos2_stem"], PHYSICAL, 161)
    return find_simulated_sites(topographs, lattices, window=24, width=3.0)


def test_a_honeycomb_has_hollows_and_a_close_packing_none():
    perfect = simulate([LATTICES["mos2"]], [3], NOISES["none"], PHYSICAL, 161)
    fit = find_lattice(perfect.noisy[0, 0].numpy())
    sites = add_hollows(fit)
    hollows = sites.position[sites.kind == 2]
    assert len(hollows) > 0.8 * (sites.kind == 0).sum()
    assert not sites.occupied[sites.kind == 2].any()
    distance = KDTree(fit.sites).query(hollows, 3)[0]
    np.testing.assert_allclose(distance, 18 / math.sqrt(3), atol=0.6)
    dense = simulate([LATTICES["srtio3"]], [3], NOISES["none"], PHYSICAL, 161)
    fit = find_lattice(dense.noisy[0, 0].numpy())
    assert len(add_hollows(fit).position) == len(fit.sites)


def test_sites_are_where_the_atoms_are(images):
    for image in images:
        assert set(np.unique(image.truth["kind"])) == {0, 1, 2}
        for kind in range(3):
            assert len(np.unique(image.kind[image.truth["kind"] == kind])) == 1
        assert 0 < (image.truth["defect"] > 0).mean() < 0.1
        assert image.truth["defect_nearby"].mean() < 0.6
        # One scale: the window shows three distances of neighbours.
        scale = image.image.shape[-1] / image.recorded.shape[-1]
        assert scale == pytest.approx(24 / (3 * image.spacing), rel=0.02)


@pytest.mark.parametrize("pixel_nm", [(0.03, 0.01), (0.01, 0.02)])
def test_patches_are_square_in_nm(pixel_nm):
    """Every third row, or every second column, of an image gives the sites and patches of all."""
    perfect = simulate([LATTICES["mos2"]], [3], NOISES["none"], PHYSICAL, 181)
    data = perfect.noisy[0, 0].double().numpy()
    whole = make_site_image("whole", data, 24, 3.0, pixel_nm=(0.01, 0.01))
    steps = [round(side / 0.01) for side in pixel_nm]
    part = make_site_image("part", data[:: steps[0], :: steps[1]], 24, 3.0, pixel_nm=pixel_nm)
    assert part.spacing == pytest.approx(whole.spacing, rel=0.02)
    distance, same = KDTree(whole.position).query(part.position * steps)
    near = distance < 1
    assert near.mean() > 0.95
    cut = cut_squares(part.image, part.place[near], 24)
    expected = cut_squares(whole.image, whole.place[same[near]], 24)
    assert (cut - expected).square().mean() < 0.02 * expected.square().mean()


def test_patches_show_molybdenum_in_the_middle(images):
    image = images[0]
    patches = cut_squares(image.image, image.place, 24)
    middle = patches[:, 0, 11:13, 11:13].mean((1, 2)).numpy()
    perfect = image.truth["defect"] == 0
    bright, faint, hollow = (middle[perfect & (image.truth["kind"] == k)] for k in range(3))
    assert bright.min() > faint.max() > faint.mean() > hollow.mean()


def test_turning_a_patch_is_cutting_it_turned(images):
    image = images[0]
    place = image.place[:20]
    angle = torch.linspace(-3, 3, 20)
    wide = cut_squares(image.image, place, 28)
    none = torch.zeros(20, 2), torch.zeros(20, dtype=torch.bool)
    turned = turn_and_shift(wide, 24, angle, *none)
    expected = cut_squares(image.image, place, 24, angle) * disc(24)
    assert (turned - expected).square().mean() < 0.02 * expected.square().mean()
    quarter = turn_and_shift(wide, 24, torch.full((20,), math.pi / 2), *none)
    inner = wide[..., 2:-2, 2:-2] * disc(24)
    # From axis 1 towards axis 0: clockwise, as rows are counted downwards.
    torch.testing.assert_close(quarter, torch.rot90(inner, -1, (2, 3)), atol=1e-4, rtol=0)


def test_mirroring_and_shifting(images):
    wide = cut_squares(images[0].image, images[0].place[:4], 28)
    still, mirrored = torch.zeros(4), torch.ones(4, dtype=torch.bool)
    inner = wide[..., 2:-2, 2:-2] * disc(24)
    flipped = turn_and_shift(wide, 24, still, torch.zeros(4, 2), mirrored)
    torch.testing.assert_close(flipped, inner.flip(-1), atol=1e-4, rtol=0)
    moved = turn_and_shift(wide, 24, still, torch.tensor([[1.0, 0.0]] * 4), ~mirrored)
    torch.testing.assert_close(moved, wide[..., 1:-3, 2:-2] * disc(24), atol=1e-4, rtol=0)


def loader(images, epoch=0, batch=0):
    settings = PatchSettings(window=24, batch_size=32, augment=True)
    consumer = Consumer(place=lambda: Place(epoch, batch))
    return SiteLoader(SiteImages(images), "train", settings, consumer)


def test_an_epoch_is_a_pure_function_of_its_number(images):
    first = list(loader(images, epoch=4))
    again = list(loader(images, epoch=4, batch=2))
    other = list(loader(images, epoch=5))
    assert len(again) == len(first) - 2
    for one, two in zip(first[2:], again, strict=True):
        assert torch.equal(one.noisy, two.noisy)
        assert torch.equal(one.position, two.position)
    assert not torch.equal(first[0].noisy, other[0].noisy)
    assert sum(len(batch.noisy) for batch in first) == loader(images).patches_per_epoch


def test_an_image_of_ones_own(tmp_path, images):
    np.save(tmp_path / "own.npy", images[0].recorded)
    np.save(tmp_path / "flat.npy", np.ones((64, 64)))
    settings = PatchSettings(window=24, batch_size=16, augment=True)
    data = PatchData(SiteData(root=str(tmp_path), pixel_nm=0.02), settings)
    (image,) = listed_images(data.sources)
    assert len(image.kind) == len(images[0].kind)
    assert image.pixel_nm == (0.02, 0.02)
    assert data.test_split == "validation"
    parts = [data.loader(split).patches_per_epoch for split in ("train", "validation")]
    assert sum(parts) == len(image.kind)
    assert len(data.samples(8).noisy) == 8
    again = PatchData(SiteData(str(tmp_path / "own.npy"), patches_per_epoch=700), settings)
    assert sum(len(batch.noisy) for batch in again.loader("train")) == 700
    with pytest.raises(ValueError, match=r"data\.root"):
        PatchData(SiteData(root=None), settings)
    with pytest.raises(ValueError, match=r"data\.sampling must be 'random' for patches around"):
        SiteData(str(tmp_path / "own.npy")).splits(PatchSettings(window=24, sampling="grid"))
    with pytest.raises(ValueError, match="none of the 1 images can be used"):
        PatchData(SiteData(str(tmp_path / "flat.npy")), settings)
