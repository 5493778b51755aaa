"""Quantities with SI prefixes."""

import pytest

from stm_experiments.core.units import amount, fitting_unit, with_error


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


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.0404, 1.3e-5, "1.040400 ± 0.000013 nm"),
        (21.97, 0.0256, "21.970 ± 0.026 nm"),
        (90.0123, 0.0999, "90.01 ± 0.10 nm"),
        (1234.0, 350.0, "1234 ± 350 nm"),
        (2.5, 0.0, "2.5 ± 0 nm"),
    ],
)
def test_a_value_has_the_digits_of_its_error(value, error, text):
    assert with_error(value, error, " nm") == text
