import numpy as np

from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.site_map import site_map

DRAWS = np.random.default_rng(0)


def test_a_map_shows_every_class_and_numbers_the_anomalies(tmp_path):
    image, positions = DRAWS.normal(size=(60, 80)), DRAWS.uniform(5, 55, (30, 2))
    image[:3] = np.nan
    labels, anomalies = np.arange(30) % 3, np.array([7, 2])
    figure = site_map(image, positions, labels, anomalies, "a $name_1")
    left, right = figure.axes
    assert left.get_title() == "30 sites in 3 classes"
    assert sum(len(dots.get_offsets()) for dots in left.collections) == 30
    names = [text.get_text() for text in left.get_legend().get_texts()]
    assert names == ["1 (10)", "2 (10)", "3 (10)"]
    assert [text.get_text() for text in right.texts] == ["1", "2"]
    # Columns are drawn along x.
    np.testing.assert_allclose(right.collections[0].get_offsets(), positions[anomalies][:, ::-1])
    save_figure(figure, tmp_path / "map.png")
