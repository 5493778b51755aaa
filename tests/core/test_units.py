"""Quantities with SI prefixes."""

import pytest

from stm_experiments.core.units import amount, fitting_unit


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.23e-11, "m", "12.3 pm"),
        (9.996e-10, "m", "1 nm"),
        (-2e-16, "A", "-0.2 fA"),
        (0.0, "m", "0 m"),
        (1234.0, "V", "1230 V"),
        (0.5, "", "0.5"),
        (2e-6, "m", "2 µm"),
        (1e-9, "K", "1e-09 K"),
    ],
)
def test_amounts(value, unit, text):
    assert amount(value, unit) == text


def test_a_unit_fits_its_number():
    assert fitting_unit(3e-10, "m") == (1e-12, "pm")
    assert fitting_unit(3e-17, "m", smallest=-4) == (1e-12, "pm")
    assert fitting_unit(5.0, "A") == (1.0, "A")
    assert fitting_unit(1e-9, "Hz") == (1.0, "Hz")
