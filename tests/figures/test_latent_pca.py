import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from stm_experiments.figures.canvas import CATEGORY_COLOURS
from stm_experiments.figures.codes.latent_pca import latent_pca


def codes(n=300, dimensions=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dimensions)) * np.linspace(3, 0.3, dimensions) + 5


def variance_axes(figure):
    (axes,) = (axes for axes in figure.axes if axes.get_xlabel() == "principal component")
    return axes


@pytest.mark.parametrize("dimensions", [1, 2, 3, 10, 64])
def test_explained_variance_equals_the_svd(dimensions, drawn_texts):
    points = codes(dimensions=dimensions)
    figure = latent_pca(points, points[:, 0], "angle (rad)", None)
    texts = drawn_texts(figure)
    assert "angle (rad)" in texts
    heights = [bar.get_height() for bar in variance_axes(figure).patches]
    squares = np.linalg.svd(points - points.mean(0), compute_uv=False) ** 2
    np.testing.assert_allclose(heights, squares / squares.sum(), atol=1e-12)
    assert sum(heights) == pytest.approx(1)
    for number, part in enumerate(heights[:3], start=1):
        assert f"PC {number} ({part:.1%})" in texts


def test_classes_keep_their_colours_and_counts(drawn_texts):
    points, classes = codes(), np.arange(300) % 3
    names = ["sc", "bcc", "fcc"]
    figure = latent_pca(torch.tensor(points), torch.tensor(classes), "lattice", names)
    texts = drawn_texts(figure)
    assert {"lattice", "sc  (100)", "bcc  (100)", "fcc  (100)"} <= set(texts)
    flat = next(axes for axes in figure.axes if axes.name != "3d" and axes.collections)
    _, _, vectors = np.linalg.svd(points - points.mean(0), full_matrices=False)
    projected = (points - points.mean(0)) @ vectors[:2].T
    drawn = 0
    for layer in flat.collections:
        (colour,) = {tuple(colour[:3]) for colour in layer.get_facecolors()}
        for point in np.asarray(layer.get_offsets())[:3]:
            # The sign of a component is free.
            distances = np.abs(np.abs(projected) - np.abs(point)).sum(1)
            index = distances.argmin()
            assert distances[index] < 1e-9
            assert colour == to_rgba(CATEGORY_COLOURS[classes[index]])[:3]
        drawn += len(layer.get_offsets())
    assert drawn == 300
    # No class lies on top of the others: they take turns.
    order = [tuple(layer.get_facecolors()[0][:3]) for layer in flat.collections]
    assert order[:3] == order[3:6]


def test_many_codes_are_thinned_out_the_same_way_each_time(drawn_texts):
    points = codes(n=5000)
    figures = [latent_pca(points, points[:, 1], "x", None, most=500) for _ in range(2)]
    drawn = [np.asarray(figure.axes[1].collections[0].get_offsets()) for figure in figures]
    assert len(drawn[0]) == 500
    np.testing.assert_array_equal(*drawn)
    assert any("500 of 5,000" in text.replace("\n", " ") for text in drawn_texts(figures[0]))


def test_more_classes_than_colours(drawn_texts):
    names = [f"class {index}" for index in range(9)]
    figure = latent_pca(codes(n=90), np.arange(90) % 9, "lattice", names)
    assert sum(text.startswith("class ") for text in drawn_texts(figure)) == 9


def test_collapsed_codes_are_named_so(drawn_texts):
    figure = latent_pca(np.ones((20, 4)), np.zeros(20), "lattice", ["sc"])
    assert any("collapsed" in text for text in drawn_texts(figure))


def test_errors():
    with pytest.raises(ValueError, match="do not fit"):
        latent_pca(codes(), np.zeros(3), "x", None)
    with pytest.raises(ValueError, match="not finite"):
        latent_pca(np.full((4, 2), np.nan), np.zeros(4), "x", None)
    with pytest.raises(ValueError, match="class number"):
        latent_pca(codes(n=4), np.arange(4), "x", ["a", "b"])
