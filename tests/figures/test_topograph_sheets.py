import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from stm_experiments.figures.patch_montage import patch_montage
from stm_experiments.figures.topograph_sheets import artefact_sheet, topograph_sheet


def scale_bar(axes):
    (bar,) = (artist for artist in axes.artists if isinstance(artist, AnchoredSizeBar))
    return bar.size_bar.get_children()[0].get_width(), bar.txt_label.get_text()


@pytest.mark.parametrize("shared", [True, False])
def test_sheet(shared, drawn_texts):
    rng = np.random.default_rng(0)
    images = [rng.normal(size=size) for size in ((60, 60), (40, 80), (90, 50), (64, 64), (17, 17))]
    titles = ["simple cubic (100), noisy", "bcc", "fcc", "hexagonal 1", "a longer title than most"]
    spreads = [4.0, 5.5, 7.3, 16.0, 40.0]
    figure = topograph_sheet(images, titles, spreads, columns=3, shared_scale=shared)
    texts = drawn_texts(figure)
    assert sum(text == "height (arbitrary units)" for text in texts) == (1 if shared else 5)
    for axes, image, title, spread in zip(figure.axes, images, titles, spreads, strict=False):
        assert axes.get_title().replace("\n", " ") == title
        np.testing.assert_array_equal(axes.images[0].get_array(), image)
        length, label = scale_bar(axes)
        number, unit = label.split()
        assert unit == "a"
        assert length == pytest.approx(float(number) * spread)
        assert 0.1 * image.shape[1] < length < 0.4 * image.shape[1]
    limits = {axes.images[0].get_clim() for axes in figure.axes if axes.images}
    assert len(limits) == (1 if shared else 5)


def test_artefacts_have_a_scale_each_and_one_bar(drawn_texts):
    rng = np.random.default_rng(0)
    images = {f"artefact {k}, {k} c": k * rng.normal(size=(40, 40)) for k in range(1, 9)}
    figure = artefact_sheet(images, 10.0)
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in drawn] == list(images)
    assert len({axes.images[0].get_clim() for axes in drawn}) == 8
    assert sum(text.endswith(" a") for text in drawn_texts(figure)) == 1
    with pytest.raises(ValueError, match="no images"):
        artefact_sheet({}, 10.0)


def test_single_image_without_lattice_constant(drawn_texts):
    figure = topograph_sheet([torch.rand(1, 257, 257)], ["scan"], None)
    assert "50 px" in drawn_texts(figure)
    assert scale_bar(figure.axes[0]) == (50, "50 px")


def test_a_lattice_constant_of_16_px_gives_a_bar_of_five():
    assert scale_bar(topograph_sheet([np.eye(257)], ["sc"], [16.0]).axes[0]) == (80, "5 a")


def test_sheet_errors():
    with pytest.raises(ValueError, match="0 images"):
        topograph_sheet([], [], [])
    with pytest.raises(ValueError, match="1 spreads"):
        topograph_sheet([np.eye(4), np.eye(4)], ["a", "b"], [1.0])
    with pytest.raises(ValueError, match="positive length"):
        topograph_sheet([np.eye(4)], ["a"], [0.0])


@pytest.mark.parametrize("with_clean", [True, False])
def test_montage_outlines_what_it_cuts(with_clean, drawn_texts):
    clean = np.add.outer(np.arange(100.0), 0.01 * np.arange(120.0))  # tells rows from columns
    noisy = clean + 0.001
    positions, window = np.array([[0, 30], [40, 80], [83, 103], [60, 5]]), 17
    patches = np.stack([noisy[r : r + window, c : c + window] for r, c in positions])
    figure = patch_montage(noisy, clean if with_clean else None, positions, window, patches)
    texts = drawn_texts(figure)
    whole = [axes for axes in figure.axes if axes.get_title() in ("clean", "noisy")]
    assert len(whole) == 1 + with_clean
    cut = {axes.get_title(): axes.images[0].get_array() for axes in figure.axes if axes.images}
    for axes in whole:
        image = axes.images[0].get_array()
        outlines = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert len(outlines) == len(positions)
        numbers = [text.get_text() for text in axes.texts]
        assert numbers == ["1", "2", "3", "4"]
        for number, outline in zip(numbers, outlines, strict=True):
            # px (row, column) covers the data square around (x=column, y=row).
            x, y = outline.get_xy()
            row, column = round(y + 0.5), round(x + 0.5)
            assert (outline.get_width(), outline.get_height()) == (window, window)
            inside = image[row : row + window, column : column + window]
            np.testing.assert_allclose(inside, cut[number], atol=0.002)
    assert sum(text == "1" for text in texts) == len(whole) + 1


def test_montage_shows_patches_that_do_not_overlap_and_says_so(drawn_texts):
    image = np.eye(64)
    positions = np.stack([np.arange(30), np.arange(30)], axis=1)
    patches = torch.stack([torch.tensor(image[i : i + 8, i : i + 8]) for i in range(30)])[:, None]
    figure = patch_montage(image, None, positions, 8, patches, most=1)
    assert any("1 of 30 patches are shown" in text for text in drawn_texts(figure))


def test_montage_errors():
    image, patches = np.eye(32), np.zeros((2, 8, 8))
    with pytest.raises(ValueError, match="do not fit"):
        patch_montage(image, None, np.zeros((3, 2)), 8, patches)
    with pytest.raises(ValueError, match="outside"):
        patch_montage(image, None, np.array([[0, 0], [25, 0]]), 8, patches)
    with pytest.raises(ValueError, match="differ in size"):
        patch_montage(image, np.eye(31), np.zeros((2, 2)), 8, patches)
