import pytest

from stm_experiments.figures.loss_panels import curve_style, loss_panels
from stm_experiments.reporting.paper import CONFIGURATIONS, LATTICES


def curves(value=1.0):
    points = [(epoch, value / epoch) for epoch in range(1, 6)]
    return {
        lattice: {name: {"train/loss": points, "val/loss": points} for name in CONFIGURATIONS}
        for lattice in LATTICES
    }


def test_six_panels_share_their_axes_and_hold_seven_lines_each():
    figure = loss_panels(curves(), "title")
    assert len(figure.axes) == 6
    for axes in figure.axes:
        assert len(axes.lines) == 7
        assert axes.get_yscale() == "log"
        assert axes.get_ylim() == figure.axes[0].get_ylim()
        assert axes.get_xlim() == figure.axes[0].get_xlim()
    assert [axes.get_title() for axes in figure.axes[:3]] == list(LATTICES)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(CONFIGURATIONS)
    low, high = figure.axes[0].get_ylim()
    assert low < 0.2 < 1 < high
    assert list(figure.axes[0].lines[0].get_ydata()) == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]


def test_a_name_looks_the_same_in_every_column_even_if_one_lacks_it():
    losses = curves()
    del losses["bcc"]["baseline"]
    panels = loss_panels(losses, "title").axes
    assert panels[0].lines[1].get_color() == panels[1].lines[0].get_color()


def test_styles_stay_distinct_beyond_the_palette():
    looks = [(curve_style(i)["color"], curve_style(i)["linestyle"]) for i in range(14)]
    assert len(set(looks)) == 14


def test_diverged_losses_are_left_out_and_nothing_is_refused():
    losses = curves()
    losses["sc"]["baseline"]["val/loss"] = [(1, float("nan")), (2, -1.0), (3, 0.5)]
    figure = loss_panels(losses, "title")
    assert list(figure.axes[3].lines[0].get_ydata()) == [0.5]
    with pytest.raises(ValueError, match="at least one"):
        loss_panels({"sc": {"baseline": {}}}, "title")
