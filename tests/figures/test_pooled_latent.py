import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from stm_experiments.figures.canvas import CATEGORY_COLOURS
from stm_experiments.figures.codes.pooled_latent import pooled_latent
from stm_experiments.latent.codes import Codes, pool, thin_out
from stm_experiments.latent.probes import probe_accuracy


def grouped(images=30, patches=20, lattices=3, dimensions=4):
    """Codes whose spread alone differs between lattices."""
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(images), patches)
    lattice = image % lattices
    points = rng.normal(size=(len(image), dimensions)) * (1.0 + lattice[:, None])
    return points, image, lattice


def test_pooled_codes_stand_beside_single_ones(drawn_texts):
    points, image, lattice = grouped(patches=200)
    names = ["sc", "bcc", "fcc"]
    figure = pooled_latent(points, torch.tensor(image), lattice, names)
    texts = drawn_texts(figure)
    left, right = figure.axes
    drawn = [sum(len(layer.get_offsets()) for layer in axes.collections) for axes in (left, right)]
    assert drawn == [15 * 48, 15]  # of one half of the images
    codes = Codes(
        torch.tensor(points), torch.tensor(lattice), torch.tensor(image), torch.zeros(6000, 3)
    )
    for axes, rows in ((left, thin_out(codes, 48)), (right, pool(codes))):
        assert f"{probe_accuracy(rows):.0%} recognised (chance 33%)" in axes.get_title()
    assert {"sc  (5)", "bcc  (5)", "fcc  (5)"} <= set(texts)
    colours = {
        tuple(colour[:3]) for layer in right.collections for colour in layer.get_facecolors()
    }
    assert colours == {to_rgba(colour)[:3] for colour in CATEGORY_COLOURS[:3]}
    # The lattices stand apart as whole images and on top of each other as patches.
    assert spread_ratio(right) < 0.15
    assert spread_ratio(left) > 0.9


def spread_ratio(axes):
    """Part of the variance of the points that lies within colours."""
    points = np.concatenate([np.asarray(layer.get_offsets()) for layer in axes.collections])
    faces = [layer.get_facecolors()[[0] * len(layer.get_offsets())] for layer in axes.collections]
    _, colour = np.unique(np.concatenate(faces), axis=0, return_inverse=True)
    within = sum(points[colour == c].var(0) * np.mean(colour == c) for c in np.unique(colour))
    return float(np.min(within / points.var(0)))


@pytest.mark.parametrize("dimensions", [1, 2, 64])
@pytest.mark.parametrize("lattices", [2, 5])
def test_any_number_of_dimensions_and_lattices(dimensions, lattices, drawn_texts):
    points, image, lattice = grouped(lattices=lattices, dimensions=dimensions)
    names = [f"class {number}" for number in range(6)]
    texts = drawn_texts(pooled_latent(points, image, lattice, names))
    assert sum(text.startswith("class") for text in texts) == lattices


def test_collapsed_codes_are_named_so(drawn_texts):
    _, image, lattice = grouped()
    texts = drawn_texts(pooled_latent(np.full((600, 4), 0.1), image, lattice, ["a", "b", "c"]))
    assert any("collapsed" in text for text in texts)
    assert any("33% recognised (chance 33%)" in text for text in texts)


def test_the_caption_says_where_the_variance_lies(drawn_texts):
    """Codes that cluster by lattice are not said not to."""
    points, image, lattice = grouped()
    for shift, explained in ((0.0, True), (100.0, False)):
        figure = pooled_latent(points + shift * lattice[:, None], image, lattice, "abc")
        caption = " ".join(" ".join(drawn_texts(figure)).split())
        assert "of the variance of the codes lies between patches of the same image" in caption
        assert ("Single patches do not cluster" in caption) is explained


def test_errors():
    points, image, lattice = grouped()
    with pytest.raises(ValueError, match="class number"):
        pooled_latent(points, image, lattice, ["sc", "bcc"])
    with pytest.raises(ValueError, match="do not fit"):
        pooled_latent(points, image[:5], lattice, ["sc", "bcc", "fcc"])
    with pytest.raises(ValueError, match="told apart"):
        pooled_latent(points, image, lattice * 0, ["sc"])
    with pytest.raises(ValueError, match="at least two patches"):
        pooled_latent(points, np.arange(600), lattice, ["sc", "bcc", "fcc"])
