"""How this process writes its pictures: file formats, and the colours of topographs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from stm_experiments.core.texts import did_you_mean
from stm_experiments.io.preview import TOPOGRAPH_COLOURS

FORMATS = ("png", "svg", "pdf")
KEYS = ("format", "colormap")


class Style(NamedTuple):
    """How pictures are written.

    Attributes:
        formats: Besides PNG, which is always written.
        colormap: Of topographs and spectra, a name of matplotlib.
    """

    formats: tuple[str, ...] = ()
    colormap: str = TOPOGRAPH_COLOURS


_in_use = [Style()]


def style() -> Style:
    """Return the style of this process."""
    return _in_use[-1]


def set_style(settings: Mapping[str, Any]) -> None:
    """Draw all further pictures of this process as the config group ``figures`` says.

    Args:
        settings: ``format``, one or a list, and ``colormap``; a missing one has its default.

    Raises:
        ValueError: If there is no such key, format or colour map.
    """
    for key in settings:
        if key not in KEYS:
            raise ValueError(f"figures.{key} has no effect: figures has {' and '.join(KEYS)}")
    asked = settings.get("format", "png")
    asked = asked if isinstance(asked, list) else [asked]
    names = [str(name).lower().lstrip(".") for name in asked]
    for name in names:
        if name not in FORMATS:
            raise ValueError(f"figures.format has no {name!r}: choose from {', '.join(FORMATS)}")
    colormap = str(settings.get("colormap", TOPOGRAPH_COLOURS))
    if colormap != TOPOGRAPH_COLOURS:
        from matplotlib import colormaps  # takes a tenth of a second

        if colormap not in colormaps:
            likely = did_you_mean(colormap, list(colormaps))
            raise ValueError(f"figures.colormap: matplotlib has no map {colormap!r}{likely}")
    formats = tuple(dict.fromkeys(name for name in names if name != "png"))
    _in_use[:] = [Style(formats, colormap)]
