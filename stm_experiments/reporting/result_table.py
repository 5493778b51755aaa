"""Tables as plain data: one content for the page, CSV, Markdown and LaTeX."""

import csv
import io
import math
from collections.abc import Sequence
from typing import NamedTuple

NOTHING = "\N{EN DASH}"


class Cell(NamedTuple):
    """One cell.

    Attributes:
        text: What is shown.
        value: The number behind it, unrounded: for sorting, and in the CSV.
        bold: Whether it is the best of its kind.
        link: Where it leads, relative to the report.
        note: Why it is empty, or what stands behind it.
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


class Table(NamedTuple):
    """A table.

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


def number(value: float | None, digits: int = 4, half: float | None = None, note: str = "") -> Cell:
    """A number with, where there is one, half its interval; a dash where there is none.

    A note says why a number is missing; where it is not, the note is left out.
    """
    if value is None or not math.isfinite(value):
        return Cell(NOTHING, note=note)
    text = f"{value:.{digits}f}"
    if half is None or not math.isfinite(half):
        return Cell(text, value)
    return Cell(f"{text} ± {half:.{digits}f}", value, low=value - half, high=value + half)


def embolden(rows: Sequence[list[Cell]], column: int, smallest: bool) -> None:
    """Marks the best number of a column of some rows, ties included, unless all are equal."""
    known = [value for row in rows if (value := row[column].value) is not None]
    if len(set(known)) > 1:
        best = min(known) if smallest else max(known)
        for row in rows:
            if row[column].value == best:
                row[column] = row[column]._replace(bold=True)


def to_csv(table: Table) -> str:
    """Numbers unrounded, the ends of their intervals in columns of their own; one heading line."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns: list[list[object]] = []
    for i, heading in enumerate(_headings(table)):
        cells = [row[i] for row in table.rows]
        columns.append([heading, *map(_csv_value, cells)])
        if any(cell.low is not None for cell in cells):
            columns.append([f"{heading} low", *(cell.low for cell in cells)])
            columns.append([f"{heading} high", *(cell.high for cell in cells)])
    writer.writerows(zip(*columns, strict=True))
    return file.getvalue()


def _csv_value(cell: Cell) -> object:
    """The number, or the text; a link's number only sorts it."""
    if cell.text == NOTHING:
        return None
    return cell.text if cell.value is None or cell.link else cell.value


def to_markdown(table: Table) -> str:
    """A pipe table; numbers are right-aligned, the best are bold."""
    lines = [_headings(table)]
    lines.append(["---:" if numeric else "---" for numeric in _numeric(table)])
    for row in table.rows:
        texts = [cell.text.replace("\\", "\\\\").replace("|", "\\|") for cell in row]
        texts = [" ".join(text.split()) for text in texts]
        lines.append([f"**{t}**" if c.bold else t for t, c in zip(texts, row, strict=True)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_latex(table: Table) -> str:
    """A tabular with rules of the booktabs package; the best are bold."""
    alignment = "".join("r" if numeric else "l" for numeric in _numeric(table))
    lines = [f"\\begin{{tabular}}{{{alignment}}}", "\\toprule"]
    lines.append(" & ".join(latex_text(heading) for heading in _headings(table)) + r" \\")
    lines.append("\\midrule")
    for row in table.rows:
        texts = [latex_text(cell.text) for cell in row]
        texts = [f"\\textbf{{{t}}}" if c.bold else t for t, c in zip(texts, row, strict=True)]
        lines.append(" & ".join(texts) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def latex_text(text: str) -> str:
    """A text with everything escaped that means something to LaTeX."""
    special = {character: f"\\{character}" for character in "&%$#_{}"}
    special |= {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        ">": "$>$",
        "±": r"$\pm$",
        "²": "$^2$",
        NOTHING: "--",
    }
    return "".join(special.get(character, character) for character in " ".join(text.split()))


def _headings(table: Table) -> list[str]:
    """Headings that stand alone: the group's before its columns' own."""
    groups = [text for text, width in table.groups for _ in range(width)]
    groups = groups or [""] * len(table.columns)
    return [f"{g}: {c}" if g else c for g, c in zip(groups, table.columns, strict=True)]


def _numeric(table: Table) -> list[bool]:
    """Which columns hold numbers."""
    return [any(row[i].value is not None for row in table.rows) for i in range(len(table.columns))]
