"""Pictures of scans whose pixels are not square: the right aspect, a scale bar in nm."""

import numpy as np
import pytest
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from stm_experiments.figures.scans.frame_comparison import CorrelationCurve, frame_comparison
from stm_experiments.figures.scans.scan_sheet import Line, scan_sheet
from stm_experiments.figures.site_map import site_map
from stm_experiments.figures.whole_image import whole_image

IMAGE = np.random.default_rng(0).random((40, 90))


def as_scan_sheet(pixel):
    line = Line((0, 39), (0, 89), np.arange(5.0), np.arange(5.0), "nm")
    return scan_sheet(IMAGE, "m", pixel, line, "scan", "as recorded")


def as_frame_comparison(pixel):
    ring = np.linspace(0.1, 0.5, 9)
    curve = CorrelationCurve("b", ring, ring, ring)
    return frame_comparison(IMAGE, IMAGE, IMAGE - 0.5, [curve], "m", pixel, "a and b", "numbers")


def as_site_map(pixel):
    places = np.array([[3.0, 4.0], [20.0, 50.0]])
    return site_map(IMAGE, places, np.array([0, 1]), np.array([1]), "sites", pixel)


def as_whole_image(pixel):
    return whole_image(IMAGE, IMAGE, "m", pixel, "scan")


@pytest.mark.parametrize("pixel", [(0.3, 0.1), (0.1, 0.2)])
@pytest.mark.parametrize(
    ("draw", "panels"),
    [(as_scan_sheet, 1), (as_frame_comparison, 3), (as_site_map, 2), (as_whole_image, 3)],
)
def test_a_length_is_as_long_down_as_across(draw, panels, pixel, drawn_texts):
    figure = draw(pixel)
    drawn_texts(figure)
    for axes in figure.axes[:panels]:
        origin, down, across = axes.transData.transform([(0, 0), (0, 30), (30, 0)])
        heights, widths = abs(down - origin)[1] / 30, abs(across - origin)[0] / 30  # of a px
        assert heights / widths == pytest.approx(pixel[0] / pixel[1], rel=1e-3)
        (bar,) = (each for each in axes.artists if isinstance(each, AnchoredSizeBar))
        number, unit = bar.txt_label.get_text().split()
        assert unit == "nm"
        width = bar.size_bar.get_children()[0].get_width()
        assert width * pixel[1] == pytest.approx(float(number))
