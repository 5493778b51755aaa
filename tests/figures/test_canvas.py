from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from matplotlib._pylab_helpers import Gcf
from PIL import Image

from stm_experiments.figures.canvas import as_image, height_limits, save_figure
from stm_experiments.figures.topograph_sheets import topograph_sheet
from stm_experiments.figures.training_curves import training_curves


def curves():
    return training_curves({"val/loss": [(1, 0.03), (2, 0.02)]}, "run")


def test_saved_png_is_loadable_and_alone(tmp_path):
    path = tmp_path / "new folder" / "curves.png"
    save_figure(curves(), path)
    save_figure(curves(), path)  # replaces
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape[1] >= 1200
    assert pixels.std() > 5
    assert [entry.name for entry in path.parent.iterdir()] == ["curves.png"]


def test_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "curves.png"
    save_figure(curves(), path)
    before = path.read_bytes()
    broken = curves()
    broken.savefig = None  # type: ignore[method-assign]
    with pytest.raises(TypeError):
        save_figure(broken, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.png"):
        save_figure(curves(), tmp_path / "curves.jpg")


def test_threads_draw_the_same_picture(tmp_path):
    image = np.random.default_rng(0).normal(size=(32, 32))

    def draw(index):
        path = tmp_path / f"{index}.png"
        save_figure(topograph_sheet([image], ["sc"], [8.0]), path)
        return path.read_bytes()

    with ThreadPoolExecutor(3) as pool:
        pictures = list(pool.map(draw, range(3)))
    assert pictures[0] == pictures[1] == pictures[2]
    assert not Gcf.figs  # pyplot holds no figure


def test_images_of_any_kind():
    expected = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(as_image(torch.tensor(expected).bfloat16().requires_grad_()), expected)
    assert np.array_equal(as_image(expected[None]), expected)
    assert np.isnan(as_image(np.array([[np.inf, 1.0]]))[0, 0])
    with pytest.raises(ValueError, match="expected an image"):
        as_image(np.zeros((2, 3, 3)))


def test_height_limits_ignore_what_is_not_finite():
    assert height_limits([np.array([1.0, np.nan, 3.0]), np.array([2.0, np.inf])]) == (1.0, 3.0)
    assert height_limits([np.array([np.nan])]) == (0.0, 1.0)
    low, high = height_limits([np.zeros(4)])
    assert low < 0 < high
