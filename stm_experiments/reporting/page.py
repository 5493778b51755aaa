"""The report page: one HTML file that needs no network, from templates and plain data."""

import base64
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL.Image import Image

from stm_experiments.core.files import atomic_write_text
from stm_experiments.core.images import read_picture
from stm_experiments.latent.patch_sheet import COLUMNS as SHEET_COLUMNS
from stm_experiments.latent.patch_sheet import NAME as SHEET
from stm_experiments.reporting.result_table import (
    NO_VALUE,
    ResultTable,
    to_csv,
    to_latex,
    to_markdown,
)

TEMPLATES = Path(__file__).parent / "templates"
TABLE_FORMATS = {"csv": to_csv, "md": to_markdown, "tex": to_latex}
THUMBNAIL_WIDTH = 640  # px
IMAGE_BYTES = 3_500_000  # of all thumbnails together, so that the page stays below 10 MB


class Picture(NamedTuple):
    """A picture on the page.

    Attributes:
        link: Address of the full file, relative to the page.
        thumbnail: The small picture as a data URI; empty: the caption is the link.
        caption: What is shown.
    """

    link: str
    thumbnail: str
    caption: str


class Page:
    """A page with its tables, in a folder.

    Args:
        folder: Where index.html and the tables are written.

    Attributes:
        problems: Pictures that could not be shown, each with its reason.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        self._image_bytes = 0

    def link(self, path: Path) -> str:
        """Return the address of a file or folder relative to the page."""
        relative = Path(os.path.relpath(path.absolute(), self.folder.absolute())).as_posix()
        return quote(os.fsencode(relative)) + ("/" if path.is_dir() else "")

    def picture(self, path: Path, caption: str, width: int = THUMBNAIL_WIDTH) -> Picture:
        """Return a picture for the page: a link alone if the thumbnails are too large together.

        Args:
            path: The picture's file.
            caption: What it shows.
            width: Width of the thumbnail in px, at most.
        """
        thumbnail = ""
        if self._image_bytes < IMAGE_BYTES:
            try:
                thumbnail = make_thumbnail(path, width)
            except (ValueError, OSError) as error:
                self.problems.append(str(error))
        self._image_bytes += len(thumbnail)
        return Picture(self.link(path), thumbnail, caption)

    def sheet(self, run: Path) -> tuple[str, int]:
        """Return the patches of a run's latent.csv as a data URI, and their side in px.

        The URI is empty if there are none, or if all pictures together are too large.
        """
        path = run / SHEET
        if not path.is_file() or self._image_bytes >= IMAGE_BYTES:
            return "", 0
        try:
            picture = read_picture(path)
        except (ValueError, OSError) as error:
            self.problems.append(str(error))
            return "", 0
        uri = _data_uri(picture.convert("L"), 60)
        self._image_bytes += len(uri)
        return uri, picture.width // SHEET_COLUMNS

    def write(self, content: Mapping[str, object]) -> Path:
        """Write index.html, and each table of the content as CSV, Markdown and LaTeX.

        Args:
            content: What the template `report.html.jinja` shows, by name.
        """
        for table in content.values():
            if isinstance(table, ResultTable):
                for ending, export in TABLE_FORMATS.items():
                    atomic_write_text(self.folder / f"{table.name}.{ending}", export(table))
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.globals.update(no_value=NO_VALUE, table_formats=list(TABLE_FORMATS))
        path = self.folder / "index.html"
        css, script = (
            (TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
        )
        template = environment.get_template("report.html.jinja")
        atomic_write_text(path, template.render(content, css=css, script=script))
        return path


def make_thumbnail(path: Path, width: int) -> str:
    """Return a picture as a data URI of at most this width.

    Raises:
        ValueError: As ``read_picture``.
        OSError: If it is missing or cannot be opened.
    """
    small = read_picture(path)
    small.thumbnail((width, 4 * width))
    return _data_uri(small, 82)


def _data_uri(picture: Image, quality: int) -> str:
    """Return a picture as text that a page can hold.

    Args:
        picture: The picture.
        quality: Of the compression, 0 to 100.
    """
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
