"""Pictures of sites: drawn whole, whatever the numbers."""

import numpy as np
import pytest

from stm_experiments.figures import save
from stm_experiments.figures.site_map import site_map, worst_sites

DRAWS = np.random.default_rng(0)


def test_a_map_shows_every_class_and_numbers_the_strangest(tmp_path):
    image, position = DRAWS.normal(size=(60, 80)), DRAWS.uniform(5, 55, (30, 2))
    image[:3] = np.nan
    labels, worst = np.arange(30) % 3, np.array([7, 2])
    figure = site_map(image, position, labels, worst, "a $name_1")
    left, right = figure.axes
    assert sum(len(dots.get_offsets()) for dots in left.collections) == 30
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["1", "2", "3"]
    assert [text.get_text() for text in right.texts] == ["1", "2"]
    # Columns are drawn along x.
    np.testing.assert_allclose(right.collections[0].get_offsets(), position[worst][:, ::-1])
    save(figure, tmp_path / "map.png")


@pytest.mark.parametrize("count", [1, 3, 11])
def test_the_strangest_patches_stand_above_what_was_made_of_them(tmp_path, count):
    patches = DRAWS.normal(size=(count, 1, 24, 24))
    names = [f"site {number}" for number in range(count)]
    figure = worst_sites(patches, 0.9 * patches, names, np.arange(count), "worst")
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 3 * count
    assert sum("site" in axes.get_title() for axes in shown) == count
    save(figure, tmp_path / "worst.png")
