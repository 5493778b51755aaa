"""Formats and colours of pictures; categories; what is drawn for a value."""

import itertools
import re

import numpy as np
import pytest
from matplotlib import colormaps

from stm_experiments.figures.canvas import category, quantity, save_figure
from stm_experiments.figures.scans.spectrum import decibels, draw_decibels
from stm_experiments.figures.style import set_style
from stm_experiments.figures.topograph_sheets import topograph_sheet
from stm_experiments.figures.whole_image import whole_image

IMAGE = np.random.default_rng(0).random((24, 24))


@pytest.fixture(autouse=True)
def plain_style():
    yield
    set_style({})


def test_every_format_has_the_texts_as_texts(tmp_path):
    set_style({"format": ["svg", "pdf", "png"], "colormap": "cividis"})
    figure = topograph_sheet([IMAGE], ["Si(111) $7x7$ ä"], None)
    assert figure.axes[0].images[0].get_cmap() == colormaps["cividis"]
    assert save_figure(figure, tmp_path / "a.b.png") == [".png", ".svg", ".pdf"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.pdf", "a.b.png", "a.b.svg"]
    svg = (tmp_path / "a.b.svg").read_text(encoding="utf-8")
    assert re.search(r"<text[^>]*>Si\(111\) \$7x7\$ ä</text>", svg)
    pdf = (tmp_path / "a.b.pdf").read_bytes()
    assert b"/Type3" not in pdf  # journals refuse such fonts
    assert b"/Type42" in pdf or b"/TrueType" in pdf or b"CIDFontType2" in pdf
    first = (tmp_path / "a.b.svg").read_bytes()
    save_figure(topograph_sheet([IMAGE], ["Si(111) $7x7$ ä"], None), tmp_path / "a.b.png")
    assert (tmp_path / "a.b.svg").read_bytes() == first  # no dates, no random names


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "jpg"}, "figures.format has no 'jpg': choose from png, svg, pdf"),
        ({"colormap": "infernal"}, "no map 'infernal' .did you mean 'inferno'"),
        ({"dpi": 300}, "figures.dpi has no effect"),
    ],
)
def test_an_unknown_style_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        set_style(settings)


def test_categories_differ_in_more_than_colour():
    styles = [category(number) for number in range(56)]
    assert len(set(styles)) == 56
    for one, other in itertools.pairwise(styles):
        assert one.colour != other.colour
        assert one.marker != other.marker


@pytest.mark.parametrize(
    ("limits", "unit", "label", "drawn"),
    [
        ((3e-7, 3.0002e-7), "m", "height (pm)", 20.0),
        ((1e-10, 3e-10), "A", "current (pA)", 300.0),
        ((-1.17001e5, -1.17e5), "", "intensity above -1.17e+05 (arb. units)", 1.0),
        ((0.0, 2e-10), "", "intensity (10⁻¹⁰ arb. units)", 2.0),
        ((5e-9, 5.001e-9), "A", "current above 5 nA (pA)", 1.0),
        ((0.0, 0.0), "", "intensity (arb. units)", 0.0),
    ],
)
def test_offsets_and_powers_of_ten_are_in_the_label(limits, unit, label, drawn):
    scale = quantity(limits, unit)
    assert scale.label == label
    assert scale.ends(limits)[1] == pytest.approx(drawn, abs=1e-3)


@pytest.mark.parametrize("shape", [(16, 16), (60, 250), (250, 60), (300, 40), (40, 300), (90, 90)])
@pytest.mark.parametrize("more", [0, 1, 2])
def test_panels_are_equal_at_any_aspect_ratio(shape, more):
    image = np.random.default_rng(0).random(shape)
    extra = {"clean": image, "uncertainty": image}
    others = {name: extra[name] for name in list(extra)[:more]}
    figure = whole_image(image, image, "m", 0.1, "scan", **others)
    sizes = []
    for axes in figure.axes[: 3 + more]:
        axes.apply_aspect()
        sizes.append(axes.get_window_extent().size)
    np.testing.assert_allclose(sizes, np.broadcast_to(sizes[0], (3 + more, 2)), atol=0.6)
    assert sizes[0][1] / sizes[0][0] == pytest.approx(shape[0] / shape[1], rel=0.02) or max(
        shape
    ) > 6 * min(shape)


def test_the_spectrum_of_a_noisy_lattice_ends_behind_its_peaks():
    rows, columns = np.mgrid[:200, :200]
    lattice = np.cos(2 * np.pi * columns / 12) + np.cos(2 * np.pi * (rows + columns / 3) / 14)
    rng = np.random.default_rng(0)
    noisy = lattice + 0.3 * rng.normal(size=lattice.shape) + rng.normal(size=(200, 1))
    power = np.abs(np.fft.fftshift(np.fft.fft2(noisy - noisy.mean()))) ** 2
    axes = topograph_sheet([IMAGE], ["x"], None).axes[0]
    draw_decibels(axes, decibels(power, power.max()), (0.1, 0.1))
    assert 1 / 1.2 < axes.get_xlim()[1] < 2 / 1.2  # 1/nm; Nyquist is 5
