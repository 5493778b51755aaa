"""What a notebook and a terminal show of results: pictures and facts, no arrays."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import stm_experiments as stm
from stm_experiments.core.display.drawing import MOST, draw_curves, draw_points
from stm_experiments.io import Scan
from stm_experiments.lattice.fit import find_lattice
from stm_experiments.models import CAEA
from stm_experiments.models.interfaces import Card

RUN = Path(stm.__file__).parents[1] / "docs" / "data" / "paper_published" / "paper_baseline_fcc"
SCORES = {"test/mse_noisy": 0.2, "PCA-10/test/mse_noisy": 0.1, "test/mse_noisy_ci95": 0.01}


@pytest.fixture(scope="module")
def shown():
    """Everything that shows itself, by name."""
    rows, columns = np.mgrid[:64, :80].astype(float)
    waves = np.cos(2 * np.pi * columns / 8) + np.cos(2 * np.pi * rows / 8)
    scan = Scan(1e-11 * waves, rows >= 0, "m", (0.1, 0.1), "Z", name="<b>.sxm")
    net = CAEA()
    net.card = Card("CAEA", {"latent": 10}, 17, lattice=["<fcc>"], scores=SCORES, config={"a": 1})
    return {
        "scan": scan,
        "denoised": stm.denoise(scan, "denoiser"),
        "fit": find_lattice(scan),
        "card": net.card,
        "net": net,
        "untrained": CAEA(),
        "run": stm.read_run(RUN),
    }


NAMES = ("scan", "denoised", "fit", "card", "net", "untrained", "run")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_well_formed_and_has_the_colours_of_its_surroundings(shown, name):
    page = ElementTree.fromstring(shown[name]._repr_html_())  # fails on markup in names
    for element in page.iter():
        for colour in ("black", "white", "#000", "#fff", "background"):
            assert colour not in " ".join(element.attrib.values()).split("base64,")[0]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("net", "untrained")])
def test_the_text_is_one_short_line_without_arrays(shown, name):
    text = repr(shown[name])
    assert "array(" not in text
    assert "\n" not in text
    assert len(text) < 250


def test_a_lattice_shows_its_sites_and_what_was_measured(shown):
    fit = shown["fit"]
    page = fit._repr_html_()
    assert page.count("h0") == fit.occupied.sum()
    assert page.count("<circle") == (~fit.occupied).sum()
    assert re.search(r"a = (0\.800|0\.799)\d+ ± 0\.0\d+ nm", page)
    assert f"{len(fit.sites)} sites" in repr(fit)


def test_a_card_shows_the_error_beside_that_of_the_baselines(shown):
    page = shown["card"]._repr_html_()
    widths = [
        float(bar.get("width")) for bar in ElementTree.fromstring(page).iter() if "rect" in bar.tag
    ]
    assert len(widths) == 2  # the interval is no bar
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01)
    assert "CAEA" not in shown["net"]._repr_html_()
    assert "6,212 weights" in shown["net"]._repr_html_()
    assert "mean squared error" not in shown["untrained"]._repr_html_()


def test_a_run_shows_its_curves_and_its_result(shown):
    page = shown["run"]._repr_html_()
    assert page.count("<polyline") == 2
    assert "val/loss 0.022" in page
    assert "<rect" in page


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        (RUN / "x", "no such folder"),
        (RUN.parent, "a sweep: .*such as paper_"),
        (RUN.parents[2], "no run in"),
    ],
)
def test_a_folder_that_is_no_run_is_refused(folder, message):
    with pytest.raises(ValueError, match=message):
        stm.read_run(folder)


def test_a_result_shows_the_scan_before(shown):
    box = shown["denoised"]._repr_html_()
    assert box.count("<img") == 3
    assert "removed, without its plane" in box


def test_pictures_stay_small_and_leave_out_what_is_no_number():
    places = np.stack(np.mgrid[:100, :100], -1).reshape(-1, 2).astype(float)
    assert MOST <= draw_points(places, places[:, 0] >= 0, [], "").count("h0") <= 1.2 * MOST
    curve = {"a": [(0.0, 1.0), (1.0, float("nan")), (2.0, 3.0)]}
    assert "nan" not in draw_curves(curve, "epoch", "loss")
    assert draw_curves({"a": [(0.0, float("inf"))]}, "epoch", "loss") == ""
