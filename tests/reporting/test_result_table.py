import csv
import io

import pytest

from stm_experiments.reporting.result_table import (
    NO_VALUE,
    Cell,
    ResultTable,
    embolden,
    number,
    to_csv,
    to_latex,
    to_markdown,
)


@pytest.fixture
def table():
    rows = [
        [Cell("a_b & 50 % | c", 7, link="folder/"), number(1.23456, 3, 0.1)],
        [Cell("<x> ~^\\{}#$"), number(2.0, 3)],
        [Cell("two\nlines"), number(None, note="not measured")],
    ]
    embolden(rows, 1, smallest=True)
    return ResultTable("name", ("what", "MSE"), rows, (("", 1), ("ours", 1)))


def test_numbers_show_their_interval_and_missing_ones_a_dash():
    assert number(1.25, 3, 0.5) == Cell("1.250 ± 0.500", 1.25, low=0.75, high=1.75)
    assert number(float("nan"), note="why") == Cell(NO_VALUE, note="why")
    assert number(float("inf")).value is None
    assert number(2.0, 1, float("nan")) == Cell("2.0", 2.0)


def test_the_best_are_bold_unless_all_are_equal(table):
    assert [row[1].bold for row in table.rows] == [True, False, False]
    rows = [[number(1.0)], [number(1.0)]]
    embolden(rows, 0, smallest=False)
    assert not any(row[0].bold for row in rows)


def test_csv_holds_unrounded_numbers_and_the_ends_of_intervals(table):
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert list(rows[0]) == ["what", "ours: MSE", "ours: MSE low", "ours: MSE high"]
    assert [row["ours: MSE"] for row in rows] == ["1.23456", "2.0", ""]
    assert float(rows[0]["ours: MSE high"]) == 1.23456 + 0.1
    # The number of a link only sorts it.
    assert [row["what"] for row in rows] == ["a_b & 50 % | c", "<x> ~^\\{}#$", "two\nlines"]


def test_markdown_is_escaped_and_aligned(table):
    assert to_markdown(table).splitlines() == [
        "| what | ours: MSE |",
        "| ---: | ---: |",
        "| a_b & 50 % \\| c | **1.235 ± 0.100** |",
        "| <x> ~^\\\\{}#$ | 2.000 |",
        f"| two lines | {NO_VALUE} |",
    ]


def test_latex_is_escaped(table):
    assert to_latex(table).splitlines() == [
        r"\begin{tabular}{rr}",
        r"\toprule",
        r"what & ours: MSE \\",
        r"\midrule",
        r"a\_b \& 50 \% | c & \textbf{1.235 $\pm$ 0.100} \\",
        r"$<$x$>$ \textasciitilde \textasciicircum \textbackslash \{\}\#\$ & 2.000 \\",
        r"two lines & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_a_table_without_rows_has_its_headings():
    empty = ResultTable("name", ("a", "b"), [])
    assert to_csv(empty) == "a,b\n"
    assert to_latex(empty).splitlines()[2] == r"a & b \\"


def test_dashes_are_explained_once(table):
    assert table.dashes == "A dash: not measured."
    assert ResultTable("name", ("a",), [[number(None)]]).dashes == ""
