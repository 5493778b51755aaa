"""Pictures of scans for notebooks: their numbers and units, and xarray."""

import numpy as np
import pytest

import stm_experiments as stm
from stm_experiments.io import Scan

ROWS, COLUMNS = np.mgrid[:40, :60].astype(float)


@pytest.fixture
def scan():
    data = 1e-11 * np.cos(2 * np.pi * COLUMNS / 6) + 1e-12 * ROWS + 3e-7
    return Scan(data, ROWS < 30, "m", (0.2, 0.1), "Z", name="a.sxm", metadata={"bias_V": 0.1})


def test_a_scan_is_drawn_levelled_in_its_units(scan, drawn_texts):
    figure = stm.plot(scan)
    assert "height (pm)" in drawn_texts(figure)
    assert figure.get_size_inches()[0] == pytest.approx(3.5)
    drawn = figure.axes[0].images[0].get_array()
    assert np.ptp(drawn[:30]) == pytest.approx(20, rel=0.05)
    assert np.ma.getmaskarray(drawn)[30:].all() or np.isnan(drawn[30:]).all()


def test_a_profile_is_in_nm_and_a_spectrum_in_inverse_nm(scan, drawn_texts):
    figure = stm.profile(scan, (10, 0), (10, 59))
    assert "distance (nm)" in drawn_texts(figure)
    (line,) = figure.axes[0].lines
    assert line.get_xdata()[-1] == pytest.approx(5.9)
    assert np.ptp(line.get_ydata()) == pytest.approx(20, rel=0.01)
    image = stm.spectrum(scan).axes[0].images[0]
    power = np.asarray(image.get_array())
    left, right, *_ = image.get_extent()
    column = np.unravel_index(power.argmax(), power.shape)[1]
    frequency = left + (column + 0.5) * (right - left) / power.shape[1]
    assert abs(frequency) == pytest.approx(1 / 0.6, rel=0.05)


def test_two_scans_are_compared_in_one_unit(scan, drawn_texts):
    other = scan.with_data(scan.data + 1e-12 * np.sin(ROWS))
    assert "residual (after - before)" in drawn_texts(stm.compare(scan, other))
    volts = Scan(scan.data, scan.mask, "V", scan.pixel_size, "Z")
    with pytest.raises(ValueError, match="one scan is in 'm', the other in 'V'"):
        stm.compare(scan, volts)


def test_xarray_has_the_coordinates_or_says_what_is_missing(scan, monkeypatch):
    pytest.importorskip("xarray", reason="the extra notebooks is not installed")
    array = scan.to_xarray()
    assert array.dims == ("y", "x")
    assert float(array.x[-1]) == pytest.approx(5.9)
    assert array.attrs["units"] == "m"
    assert array.attrs["bias_V"] == 0.1
    assert int(array.isnull().sum()) == 600


def test_without_xarray_it_is_one_sentence(scan, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'stm_experiments\[notebooks\]'"):
        scan.to_xarray()
