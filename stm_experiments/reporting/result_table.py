"""Tables of results as plain data: one content for the page, CSV, Markdown and LaTeX."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from stm_experiments.core.texts import spreadsheet_text

NO_VALUE = "\N{EN DASH}"
NO_RUN = "no finished run"


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: What is shown.
        value: The number behind the text, unrounded, for sorting and for the CSV.
        bold: Whether the number is the best of its kind.
        link: Address to which the cell leads, relative to the report.
        note: Why the cell is empty, or a comment on its content.
        low: Lower end of the interval or range that is shown with the number.
        high: Upper end.
    """

    text: str
    value: float | None = None
    bold: bool = False
    link: str = ""
    note: str = ""
    low: float | None = None
    high: float | None = None


class ResultTable(NamedTuple):
    """A table of results.

    Attributes:
        name: File name without ending, and anchor on the page.
        columns: Headings.
        rows: Cells.
        groups: Headings over several columns: (text, number of columns); empty for none.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    groups: tuple[tuple[str, int], ...] = ()

    @property
    def headings(self) -> list[str]:
        """Headings that stand alone: the group's text before that of each column."""
        groups = [text for text, width in self.groups for _ in range(width)]
        groups = groups or [""] * len(self.columns)
        return [f"{g}: {c}" if g else c for g, c in zip(groups, self.columns, strict=True)]

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        return [any(row[i].value is not None for row in self.rows) for i in range(self.width)]

    @property
    def numbers(self) -> list[bool]:
        """Whether each column shows numbers; that of a link serves sorting only."""
        columns = range(self.width)
        return [any(r[i].value is not None and not r[i].link for r in self.rows) for i in columns]

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.columns)

    @property
    def dashes(self) -> str:
        """What the dashes of the table mean; empty if there is nothing to say."""
        cells = (cell for row in self.rows for cell in row)
        notes = dict.fromkeys(cell.note for cell in cells if cell.note and cell.text == NO_VALUE)
        return f"A dash: {'; '.join(notes)}." if notes else ""


def number(value: float | None, digits: int = 4, half: float | None = None, note: str = "") -> Cell:
    """Return the cell of a number; a dash if there is none.

    Args:
        value: The number; None, NaN or infinite: there is none.
        digits: Decimal places.
        half: Half the number's interval, if known; shown after the number.
        note: Why the number is missing; left out if it is not.
    """
    if value is None or not math.isfinite(value):
        return Cell(NO_VALUE, note=note)
    text = f"{value:.{digits}f}"
    if half is None or not math.isfinite(half):
        return Cell(text, value)
    return Cell(f"{text} ± {half:.{digits}f}", value, low=value - half, high=value + half)


def embolden(rows: Sequence[list[Cell]], column: int, *, smallest: bool) -> None:
    """Mark the best numbers of a column in some rows of a table, unless all are equal.

    Args:
        rows: The rows that compete; their cells are replaced.
        column: Index of the column.
        smallest: Whether the smallest number is the best, or the largest.
    """
    values = [value for row in rows if (value := row[column].value) is not None]
    if len(set(values)) > 1:
        best = min(values) if smallest else max(values)
        for row in rows:
            if row[column].value == best:
                row[column] = row[column]._replace(bold=True)


def to_csv(table: ResultTable) -> str:
    """Return the table as CSV: unrounded numbers, the ends of intervals in columns of their own.

    Texts that a spreadsheet would run as formulas get an apostrophe.
    """
    columns = []
    for i, heading in enumerate(table.headings):
        cells = [row[i] for row in table.rows]
        columns.append(pd.Series(map(_csv_value, cells), name=heading, dtype=object))
        if any(cell.low is not None for cell in cells):
            for end, values in (("low", [c.low for c in cells]), ("high", [c.high for c in cells])):
                columns.append(pd.Series(values, name=f"{heading} {end}", dtype=object))
    return str(pd.concat(columns, axis="columns").to_csv(index=False, lineterminator="\n"))


def _csv_value(cell: Cell) -> object:
    """Return a cell's number, or its text; the number of a link serves sorting only."""
    if cell.text == NO_VALUE:
        return None
    return spreadsheet_text(cell.text) if cell.value is None or cell.link else cell.value


def to_markdown(table: ResultTable) -> str:
    """Return the table with pipes between columns; numbers are right-aligned, the best bold."""
    lines = [table.headings]
    lines.append(["---:" if numeric else "---" for numeric in table.numeric])
    for row in table.rows:
        texts = [cell.text.replace("\\", "\\\\").replace("|", "\\|") for cell in row]
        texts = [" ".join(text.split()) for text in texts]
        lines.append([f"**{t}**" if c.bold else t for t, c in zip(texts, row, strict=True)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_latex(table: ResultTable) -> str:
    """Return the table as a tabular with the rules of the booktabs package; the best are bold."""
    texts = [[" ".join(cell.text.split()) for cell in row] for row in table.rows]
    bold = [["textbf: --rwrap;" if cell.bold else "" for cell in row] for row in table.rows]
    frame = pd.DataFrame(texts, columns=table.headings, dtype=object)
    styles = pd.DataFrame(bold, columns=table.headings, dtype=object)
    style = frame.style.hide(axis="index").apply(lambda _: styles, axis=None)
    style = style.format(_latex_symbols, escape="latex")
    style = style.format_index(_latex_symbols, escape="latex", axis="columns")
    alignment = "".join("r" if numeric else "l" for numeric in table.numeric)
    return str(style.to_latex(hrules=True, column_format=alignment))


def _latex_symbols(text: str) -> str:
    """Replace the characters of an escaped text that LaTeX's text fonts lack."""
    symbols = ((">", "$>$"), ("<", "$<$"), ("±", r"$\pm$"), ("²", "$^2$"), (NO_VALUE, "--"))
    for symbol, replacement in symbols:
        text = text.replace(symbol, replacement)
    return text
