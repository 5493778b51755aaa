"""A picture with a title and facts beside it, as HTML."""

import base64
import html
from collections.abc import Sequence


def as_html(title: str, pictures: Sequence[str], lines: Sequence[str]) -> str:
    """Return pictures with a title and lines beside them, in the colours of the page.

    Args:
        title: Plain text.
        pictures: HTML or SVG.
        lines: Plain text.
    """
    text = "<br/>".join(html.escape(line) for line in lines)
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(pictures)}'
        f'<div style="max-width:40em"><b>{html.escape(title)}</b><br/>{text}</div></div>'
    )


def as_image(picture: bytes, caption: str) -> str:
    """Return a picture with a line below it.

    Args:
        picture: A PNG file.
        caption: Plain text.
    """
    encoded, text = base64.b64encode(picture).decode("ascii"), html.escape(caption)
    return (
        f'<div><img alt="{text}" src="data:image/png;base64,{encoded}"/>'
        f"<div><small>{text}</small></div></div>"
    )
