"""Tables of the benchmarks in the terminal."""

from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stm_experiments.core.texts import prepare_output, printable
from stm_experiments.reporting.result_table import NO_VALUE, ResultTable


def wide_console(width: int) -> Console:
    """Return a console of at least so many columns: wrapped lines are better than cut ones."""
    prepare_output()
    console = Console()
    return console if console.is_terminal and console.width >= width else Console(width=width)


def printed_table(table: ResultTable, title: str, caption: str = "", block: int = 0) -> Table:
    """Return a table for the terminal; columns without a single entry are left out.

    Args:
        table: The whole table.
        title: What it is.
        caption: How to read it.
        block: Rows that agree in so many first columns belong together.
    """
    texts = [i for i, _ in enumerate(table.columns) if all(r[i].value is None for r in table.rows)]
    names = [i for i in texts if any(row[i].text != NO_VALUE for row in table.rows)]
    shown = [i for i, _ in enumerate(table.columns) if i in names or i not in texts]
    title, caption = escape(printable(title)), escape(printable(caption))
    rich = Table(title=title, caption=caption, caption_justify="left", box=SIMPLE_HEAD)
    for i in shown:
        side: Literal["left", "right"] = "left" if i in names else "right"
        rich.add_column(_safe(table.columns[i]), justify=side, no_wrap=True)
    previous = None
    for row in table.rows:
        first_columns = [cell.text for cell in row[:block]]
        if first_columns != previous:
            rich.add_section()
        rich.add_row(*(_safe(row[i].text, "bold" if row[i].bold else "") for i in shown))
        previous = first_columns
    return rich


def _safe(text: str, style: str = "") -> Text:
    """Return a text that users may have written, with neither markup nor control characters."""
    return Text(printable(text), style)
