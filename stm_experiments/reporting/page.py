"""The report page: one HTML file that needs no network, from plain data."""

import base64
import io
import json
import os
from collections.abc import Iterable
from html import escape
from pathlib import Path
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from stm_experiments.core.files import atomic_write_text
from stm_experiments.reporting.result_table import (
    NOTHING,
    Cell,
    Table,
    to_csv,
    to_latex,
    to_markdown,
)

THUMBNAIL_WIDTH = 640  # px
IMAGE_BYTES = 5_000_000  # of all thumbnails together; further ones are links
HERE = Path(__file__).parent


class Page:
    """Collects sections; knows where the page will stand, for its links.

    Args:
        folder: Where index.html is to be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sections: list[tuple[str, str, str]] = []  # anchor, heading, content
        self._scripts: list[str] = []
        self._image_bytes = 0

    def section(self, anchor: str, heading: str, *content: str) -> None:
        """Adds a section of HTML."""
        self._sections.append((anchor, heading, "\n".join(content)))

    def data(self, name: str, content: object) -> None:
        """Adds plain data for the page's script."""
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)
        text = text.replace("<", "\\u003c")  # no way out of the script element
        self._scripts.append(f'<script type="application/json" id="{name}">{text}</script>')

    def link(self, path: Path) -> str:
        """A file or folder as seen from the page."""
        relative = Path(os.path.relpath(path.absolute(), self.folder.absolute())).as_posix()
        return quote(relative) + ("/" if path.is_dir() else "")

    def picture(self, path: Path, caption: str, width: int = THUMBNAIL_WIDTH) -> str:
        """A picture with its caption, linked to the full file; small where it is larger."""
        target, label = escape(self.link(path)), escape(caption)
        uri = thumbnail(path, width) if self._image_bytes < IMAGE_BYTES else ""
        self._image_bytes += len(uri)
        if not uri:
            return f'<figure><figcaption><a href="{target}">{label}</a></figcaption></figure>'
        return (
            f'<figure><a href="{target}"><img src="{uri}" alt="{label}"></a>'
            f"<figcaption>{label}</figcaption></figure>"
        )

    def table(self, table: Table, caption: str = "") -> str:
        """A sortable table with links to its CSV, Markdown and LaTeX, which are written too."""
        links = []
        for ending, text in (
            ("csv", to_csv(table)),
            ("md", to_markdown(table)),
            ("tex", to_latex(table)),
        ):
            name = f"{table.name}.{ending}"
            (self.folder / name).write_text(text, encoding="utf-8")
            links.append(f'<a href="{quote(name)}">{ending}</a>')
        note = f"<p class='note'>{escape(caption)} {dashes(table)}</p>"
        return f"{table_html(table)}{note}<p class='files'>This table as {', '.join(links)}</p>"

    def write(self, title: str, header: str) -> Path:
        """Writes index.html whole.

        Args:
            title: Plain text.
            header: HTML above the first section.
        """
        contents = "".join(f'<a href="#{a}">{escape(h)}</a>' for a, h, _ in self._sections)
        body = "\n".join(
            f'<section id="{anchor}"><h2>{escape(heading)}</h2>\n{content}\n</section>'
            for anchor, heading, content in self._sections
        )
        css, script = (
            HERE.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
        )
        text = (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
            f"<style>\n{css}</style>\n</head>\n<body>\n<header>\n<h1>{escape(title)}</h1>\n"
            f"{header}\n<nav>{contents}</nav>\n</header>\n<main>\n{body}\n</main>\n"
            f"{''.join(self._scripts)}\n<script>\n{script}</script>\n</body>\n</html>\n"
        )
        path = self.folder / "index.html"
        atomic_write_text(path, text)
        return path


def thumbnail(path: Path, width: int) -> str:
    """A picture as a data URI of at most this width, or nothing if it cannot be read."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, UnidentifiedImageError):
        return ""
    small.thumbnail((width, 4 * width))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=82, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def table_html(table: Table) -> str:
    """The table alone; its headings are buttons once the script runs."""
    head = ""
    if table.groups:
        cells = [f'<th colspan="{width}">{escape(text)}</th>' for text, width in table.groups]
        head = f'<tr class="groups">{"".join(cells)}</tr>'
    headings = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "\n".join(f"<tr>{''.join(map(cell_html, row))}</tr>" for row in table.rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(table.name)}">'
        f'<table class="sortable" id="table-{escape(table.name)}"><thead>{head}'
        f'<tr class="headings">{headings}</tr></thead>\n<tbody>{rows}</tbody></table></div>'
    )


def cell_html(cell: Cell) -> str:
    """One cell: numbers carry their unrounded value for sorting."""
    text = escape(cell.text)
    if cell.bold:
        text = f"<b>{text}</b>"
    if cell.link:
        # Folder names are long words: they may break after an underscore.
        text = f'<a href="{escape(cell.link)}">{text.replace("_", "_<wbr>")}</a>'
    attributes = ""
    if cell.value is not None:
        attributes += f' data-v="{cell.value!r}"'
    if cell.text == NOTHING or (cell.value is not None and not cell.link):
        attributes += ' class="n"'
    if cell.note:
        attributes += f' title="{escape(cell.note)}"'
    return f"<td{attributes}>{text}</td>"


def dashes(table: Table) -> str:
    """What the table's dashes mean, as HTML."""
    cells = (cell for row in table.rows for cell in row)
    notes = dict.fromkeys(cell.note for cell in cells if cell.note and cell.text == NOTHING)
    return f"A dash: {escape('; '.join(notes))}." if notes else ""


def paragraphs(lines: Iterable[str]) -> str:
    """Texts as a list."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
