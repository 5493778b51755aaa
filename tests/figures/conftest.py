"""One check that every picture must pass: all texts lie on the canvas, none covers another."""

from collections.abc import Callable

import pytest
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


@pytest.fixture
def drawn_texts(monkeypatch) -> Callable[[Figure], list[str]]:
    """Return a function: draw a figure, check its texts, return them."""

    def draw(figure: Figure) -> list[str]:
        texts: list[Text] = []
        original = Text.draw

        def record(text: Text, renderer: RendererAgg) -> None:
            # Only what really is drawn: a figure also holds labels of ticks beyond its axes.
            if text.get_visible() and text.get_text().strip():
                texts.append(text)
            original(text, renderer)

        width, height = figure.bbox.size
        renderer = RendererAgg(width, height, figure.dpi)
        with monkeypatch.context() as patch:
            patch.setattr(Text, "draw", record)
            figure.draw(renderer)
        # Text's own method: an annotation's would add its arrow.
        boxes = [Text.get_window_extent(text, renderer) for text in texts]
        for text, box in zip(texts, boxes, strict=True):
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            assert inside, f"{text.get_text()!r} leaves the canvas: {box}"
        for i, box in enumerate(boxes):
            for j in range(i):
                # One px: the boxes hold room for descenders that the text may not have.
                wide = min(box.x1, boxes[j].x1) - max(box.x0, boxes[j].x0)
                high = min(box.y1, boxes[j].y1) - max(box.y0, boxes[j].y0)
                pair = (texts[i].get_text(), texts[j].get_text())
                assert wide <= 1 or high <= 1, f"{pair} overlap"
        return [text.get_text() for text in texts]

    return draw
