import pytest

from stm_experiments.core.texts import (
    did_you_mean,
    encodable,
    printable,
    shortened,
    spreadsheet_text,
)


def test_control_characters_are_shown_and_not_sent():
    assert printable("\x1b[31mred\a Ω\n\u202ex") == "\\x1b[31mred\\x07 Ω\n\\u202ex"
    name = b"scan\xff.sxm".decode("utf-8", "surrogateescape")
    assert printable(name) == "scan\\xff.sxm"
    assert printable(ValueError(name)).encode() == b"scan\\xff.sxm"
    assert encodable(name).encode() == b"scan\\udcff.sxm"
    assert printable("\U000e0001") == "\\U000e0001"


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@SUM(A1)", "\t=1", " =cmd|' /C calc'!A0"])
def test_formulas_get_an_apostrophe(text):
    assert spreadsheet_text(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "sc", "-1.5e-3", "+2", "-inf", "a=b", "\N{EN DASH}"])
def test_numbers_and_plain_texts_stay(text):
    assert spreadsheet_text(text) == text


def test_a_misspelt_word_has_a_likely_one_or_none():
    assert did_you_mean("planes", ["facet", "plane"]) == " (did you mean 'plane'?)"
    assert did_you_mean("x", ["facet", "plane"]) == ""


def test_a_long_text_keeps_its_start_and_says_its_length():
    assert shortened("abc", 3) == "abc"
    assert shortened("ab cd", 3) == "ab... (5 characters)"
