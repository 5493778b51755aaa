"""Codes of known structure: what separates is found, what is noise or an image's name is not."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

from stm_experiments.latent.codes import Codes, pool, thin_out, variance_shares
from stm_experiments.latent.probes import (
    can_tell_lattices,
    few_images_accuracy,
    image_folds,
    kmeans_ari,
    lattice_confusion,
    measure_lattice,
    probe_accuracy,
    silhouette,
)

LATTICES, IMAGES, PATCHES = 3, 150, 8


def make(values, images=IMAGES, patches=PATCHES, lattices=LATTICES):
    """Codes from a function of (lattice [n], image [n], generator) to [n,D]."""
    image = torch.arange(images).repeat_interleave(patches)
    lattice = image % lattices
    random = torch.Generator().manual_seed(1)
    codes = values(lattice, image, random).float()
    return Codes(codes, lattice, image, torch.full((len(image), 3), torch.nan))


def separable(lattice, image, random):
    corners = 10 * torch.eye(4)
    return corners[lattice] + torch.randn(len(lattice), 4, generator=random)


def noise(lattice, image, random):
    return torch.randn(len(lattice), 4, generator=random)


def image_names(lattice, image, random):
    names = torch.randn(int(image.max()) + 1, 12, generator=random)
    return names[image] + 1e-3 * torch.randn(len(image), 12, generator=random)


def test_separable_lattices_are_found():
    measures = measure_lattice(make(separable), 15)
    assert measures["probe"] == measures["knn"] == 1
    assert measures["ari"] == 1
    assert measures["silhouette"] > 0.55
    # An affine map of the codes changes no answer of the probe.
    moved = make(separable)
    moved = moved._replace(codes=moved.codes * torch.tensor([1, 100, 0.01, 3]) + 1000)
    assert probe_accuracy(moved) == 1


def test_labels_of_three_images_are_enough_where_lattices_cluster():
    assert few_images_accuracy(make(separable), 3) > 0.999
    assert few_images_accuracy(make(noise), 3) == pytest.approx(1 / 3, abs=0.05)
    assert math.isnan(few_images_accuracy(make(separable, images=9), 3))  # none is left to test


def test_the_confusion_is_what_the_accuracy_is_the_mean_of():
    codes = make(lambda *known: 0.1 * separable(*known) + noise(*known))
    confusion = lattice_confusion(codes)
    assert confusion.sum(1) == pytest.approx(np.ones(3))
    assert np.trace(confusion) / 3 == pytest.approx(probe_accuracy(codes))


def test_noise_gives_chance():
    measures = measure_lattice(make(noise), 15)
    # 1200 independent rows: standard error 0.014.
    assert measures["probe"] == pytest.approx(1 / 3, abs=0.05)
    assert measures["knn"] == pytest.approx(1 / 3, abs=0.05)
    assert measures["ari"] == pytest.approx(0, abs=0.03)
    assert measures["silhouette"] == pytest.approx(0, abs=0.02)


def test_recognising_images_is_no_merit():
    codes = make(image_names)
    measures = measure_lattice(codes, 15)
    # 150 independent images: standard error 0.04. A split by patch would give 1.
    assert measures["probe"] == pytest.approx(1 / 3, abs=0.12)
    assert measures["knn"] == pytest.approx(1 / 3, abs=0.12)
    assert measures["ari"] == pytest.approx(0, abs=0.05)
    assert measures["silhouette"] == pytest.approx(0, abs=0.02)
    # The plain silhouette is fooled a little: a patch's nearest neighbours are of its own lattice.
    assert silhouette_score(codes.codes, codes.lattice) > measures["silhouette"] + 0.01


def test_images_are_never_divided():
    codes = make(noise)
    fold = image_folds(codes.image, codes.lattice)
    assert set(fold) == set(range(5))
    for one in codes.image.unique():
        assert len(set(fold[codes.image == one])) == 1
    for number in range(5):
        here = torch.from_numpy(fold == number)
        assert codes.lattice[here].unique(return_counts=True)[1].tolist() == [80, 80, 80]
    few = make(noise, images=8, lattices=4)
    assert set(image_folds(few.image, few.lattice)) == {0, 1}
    alone = make(noise, images=4, lattices=4)
    with pytest.raises(ValueError, match="at least two images"):
        image_folds(alone.image, alone.lattice)


def test_when_lattices_can_be_told():
    assert can_tell_lattices(make(noise, images=6))
    assert not can_tell_lattices(make(noise, images=5))  # one image of the last lattice
    assert not can_tell_lattices(make(noise, lattices=1))


def test_the_same_every_time_and_in_any_order():
    codes = make(lambda *known: 0.1 * separable(*known) + noise(*known))
    measures = measure_lattice(codes, 15)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    assert measure_lattice(codes, 15) == measures
    mixed = codes.select(torch.randperm(len(codes.image)))
    assert probe_accuracy(mixed) == pytest.approx(measures["probe"], abs=0.01)
    assert 0.4 < measures["probe"] < 1


def test_collapsed_codes_give_chance():
    measures = measure_lattice(make(lambda lattice, *_: torch.ones(len(lattice), 4)), 15)
    assert measures == pytest.approx({"probe": 1 / 3, "knn": 1 / 3, "ari": 0, "silhouette": 0})


def test_silhouette_equals_scikit_learn_with_one_row_per_image():
    codes = make(lambda *known: separable(*known) / 5, patches=1)
    points = StandardScaler().fit_transform(codes.codes.double().numpy())
    expected = silhouette_score(points, codes.lattice.numpy())
    assert silhouette(codes) == pytest.approx(expected, abs=1e-9)


def test_silhouette_by_hand():
    # One dimension, lattice 0 at 0 and 2 (images 0, 1), lattice 1 at 8 and 10 (images 2, 3), each
    # twice. Distances are in one unit, so that standardising changes nothing.
    position = torch.tensor([0.0, 0, 2, 2, 8, 8, 10, 10])[:, None]
    image = torch.arange(4).repeat_interleave(2)
    codes = Codes(position, image // 2, image, torch.zeros(8, 3))
    # From 0: a = 2 (its twin left out), b = 9; from 2: a = 2, b = 7; the other lattice likewise.
    assert silhouette(codes) == pytest.approx((7 / 9 + 5 / 7) / 2)


def test_kmeans_needs_no_names():
    codes = make(separable)
    renamed = codes._replace(lattice=2 - codes.lattice)
    assert kmeans_ari(renamed) == kmeans_ari(codes) == 1


def test_pooling_shows_what_single_patches_hide():
    # Lattices differ in the spread of their codes alone: their means are the same.
    def spread(lattice, image, random):
        return torch.randn(len(lattice), 3, generator=random) * (1.0 + lattice[:, None])

    codes = make(spread, images=60, patches=64)
    assert probe_accuracy(codes) < 0.5
    assert probe_accuracy(pool(codes)) > 0.95
    assert probe_accuracy(codes) < probe_accuracy(pool(codes, 4, groups=8)) < 0.95


def test_pool_by_hand():
    rows = torch.tensor([[0.0, 0.0], [2.0, 4.0], [1.0, 1.0], [1.0, 3.0], [4.0, 2.0]])
    image = torch.tensor([7, 7, 2, 2, 2])
    codes = Codes(rows, image, image, image[:, None] * torch.ones(1, 3))
    pooled = pool(codes)
    expected = [[2, 2, 3, 0, 1], [1, 2, 2, 4, 8]]  # mean of both, var, cov, var
    torch.testing.assert_close(pooled.codes, torch.tensor(expected).double())
    assert pooled.image.tolist() == pooled.lattice.tolist() == [2, 7]
    assert pooled.orientation[:, 2].tolist() == [2, 7]
    one = pool(codes._replace(codes=rows[:, :1]))
    torch.testing.assert_close(one.codes, torch.tensor([[2.0, 3.0], [1.0, 2.0]]).double())


def test_groups_share_no_patch():
    codes = make(lambda lattice, *_: torch.arange(len(lattice))[:, None], images=4, patches=10)
    pools = pool(codes, 3, groups=8)
    assert pools.image.tolist() == sorted([0, 1, 2, 3] * 3)
    whole = pool(codes)
    assert whole.codes[:, 0].tolist() == [4.5, 14.5, 24.5, 34.5]
    assert len(pools.codes.unique(dim=0)) == 12
    assert torch.equal(pool(codes, 3, groups=8).codes, pools.codes)
    with pytest.raises(ValueError, match="No image has 11"):
        pool(codes, 11)
    with pytest.raises(ValueError, match="at least two patches"):
        pool(codes, 1)
    with pytest.raises(ValueError, match="more than one lattice"):
        pool(codes._replace(image=codes.image * 0))


def test_thin_takes_the_same_number_of_each_image():
    codes = make(noise, images=4)
    thinned = thin_out(codes, 3)
    assert thinned.image.tolist() == sorted([0, 1, 2, 3] * 3)
    assert torch.equal(thin_out(codes, 3).codes, thinned.codes)
    assert not torch.equal(thin_out(codes, 3, seed=1).codes, thinned.codes)
    assert torch.equal(thin_out(codes, 100).codes, codes.codes)


def test_variance_shares_by_hand():
    # Lattice means -1 and 1, image means 0.5 off these, patches 0.25 off those.
    image = torch.arange(4).repeat_interleave(2)
    lattice = image // 2
    values = (2.0 * lattice - 1) + (image % 2 - 0.5) + 0.5 * (torch.arange(8) % 2 - 0.5)
    shares = variance_shares(Codes(values[:, None], lattice, image, torch.zeros(8, 3)))
    total = 1 + 0.25 + 0.0625
    expected = {"lattice": 1 / total, "image": 0.25 / total, "patch": 0.0625 / total}
    assert shares == pytest.approx(expected)
    assert math.fsum(shares.values()) == pytest.approx(1)
    assert variance_shares(Codes(torch.full((8, 2), 0.1), lattice, image, torch.zeros(8, 3))) == {}
