import numpy as np
import pytest

from stm_experiments.figures.anomalous_sites import anomalous_sites
from stm_experiments.figures.canvas import save_figure

DRAWS = np.random.default_rng(0)


@pytest.mark.parametrize("count", [1, 3, 11])
def test_patches_stand_above_their_reconstructions_and_residuals(tmp_path, count):
    patches = DRAWS.normal(size=(count, 1, 24, 24))
    names = [f"site {number}" for number in range(count)]
    figure = anomalous_sites(patches, 0.9 * patches, names, np.arange(count), "anomalies")
    with_images = [axes for axes in figure.axes if axes.images]
    assert len(with_images) == 3 * count
    assert sum("site" in axes.get_title() for axes in with_images) == count
    columns = min(count, 8)
    residual = figure.axes[2 * columns].images[0].get_array()
    np.testing.assert_allclose(residual, 0.1 * patches[0, 0])
    save_figure(figure, tmp_path / "anomalies.png")
