"""How a scan shows itself in a notebook and in a terminal."""

import base64
import io
import re

import numpy as np
from PIL import Image

import stm_experiments
from stm_experiments.io import Scan


def tilted_stripes(shape=(40, 60), pixel_size=(0.2, 0.1), **facts):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    data = 1e-9 * (rows + 1e-3 * (columns % 4 < 2))
    return Scan(data, np.ones(shape, bool), "m", pixel_size, "Z", name="a.sxm", **facts)


def picture_in(page):
    encoded = re.search(r"base64,([^\"]+)", page)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))


def test_a_scan_says_in_one_line_what_it_is():
    scan = tilted_stripes()
    assert repr(scan) == "<Scan a.sxm: Z (forward), 60 x 40 px, 6 x 8 nm, 0 m to 39 nm>"
    result = stm_experiments.denoise(scan)
    assert repr(result).startswith("<Denoised a.sxm: Z (forward), 60 x 40 px")


def test_the_picture_has_the_shape_of_the_sample_and_no_tilt():
    page = tilted_stripes()._repr_html_()
    picture = picture_in(page)
    assert picture.shape == (256, 192, 3)  # 8 nm x 6 nm
    column = picture[:, 96].astype(int)
    assert np.ptp(column[:, 0]) < 10  # the tilt along the columns is gone
    assert np.ptp(picture[128, :, 0].astype(int)) > 100  # the stripes are drawn


def test_what_was_not_measured_is_grey():
    scan = tilted_stripes()
    scan.mask[20:] = False
    picture = picture_in(scan._repr_html_())
    assert (picture[-20:] == 128).all()
    assert "50 % measured" in scan._repr_html_()


def test_text_of_a_file_is_no_markup():
    scan = tilted_stripes(metadata={"comment": "<script>alert(1)</script>"})
    assert "<script>" not in scan._repr_html_()
    assert "&lt;script&gt;" in scan._repr_html_()


def test_a_result_shows_what_was_judged():
    result = stm_experiments.denoise(tilted_stripes((64, 64)))
    assert result.history[-1].split(":")[0] in result._repr_html_()
