"""The panel that draws the spectrum of what the window shows of a scan, with its Bragg peaks."""

from typing import Any, NamedTuple

import numpy as np
from napari.layers import Image

from stm_experiments.core.arrays import Array
from stm_experiments.figures.canvas import MARK_COLOUR, centred_power, middle
from stm_experiments.figures.scans.spectrum import decibels, draw_decibels
from stm_experiments.io.scan import Scan
from stm_experiments.restoration.preparation import prepare
from stm_experiments.viewer.layers import scan_of
from stm_experiments.viewer.panel import Panel
from stm_experiments.viewer.plot import add_figure

SMALLEST = 32  # px, side of a part whose spectrum is drawn
PROMINENCE, WEAKEST = 30.0, 0.003  # of the peaks that get rings
LISTED = 6
AROUND = 1.4  # how far is drawn, of the farthest peak


class Spectrum(NamedTuple):
    """A spectrum and its peaks.

    Attributes:
        values: dB, [H, W], frequency 0 in the middle.
        frequency: Of the peaks along axes 0 and 1, cycles per px, [P, 2].
        pixel: nm per px along axes 0 and 1; None: unknown.
    """

    values: Array
    frequency: Array
    pixel: tuple[float, float] | None


def spectrum(scan: Scan, peaks: int = 12) -> Spectrum:
    """Return the spectrum of a levelled scan with its strongest peaks."""
    import torch

    from stm_experiments.core.spectra import bragg_peaks, hann_power

    flat = middle(prepare(scan, ["plane"]).data)
    power = centred_power(flat)
    found = bragg_peaks(
        hann_power(torch.from_numpy(flat / (flat.std() or 1.0))),
        prominence=PROMINENCE,
        most=peaks,
        weakest=WEAKEST,
        along_columns=True,
    )
    values = decibels(power, float(power.max()))
    return Spectrum(values, found.frequency.numpy(), scan.pixel_size)


def visible_part(layer: Image) -> Scan:
    """Return the part of a scan that the window shows, the whole if that is small or nothing."""
    scan = scan_of(layer)
    (top, left), (bottom, right) = np.asarray(layer.corner_pixels)[:, -2:].tolist()
    height, width = (
        min(bottom + 1, scan.data.shape[0]) - top,
        min(right + 1, scan.data.shape[1]) - left,
    )
    if min(height, width) < SMALLEST or (height, width) == scan.data.shape:
        return scan
    return prepare(scan, [{"crop": [top, left, height, width]}])


class Live:
    """The plot of a spectrum, drawn again when the image or the visible part changes."""

    def __init__(self) -> None:
        options = {"label": "rings", "min": 0, "max": 100}
        self.panel = Panel(spectrum, self.draw, live=True, take=visible_part, peaks=options)
        self.figure = add_figure(self.panel)
        viewer = self.panel.viewer
        viewer.camera.events.connect(lambda _: self.panel.start())
        viewer.layers.selection.events.active.connect(self.follow)
        self.followed: Any = None
        self.follow()

    def follow(self, _: Any = None) -> None:
        """Choose the selected image, and follow its changes."""
        field, active = self.panel.form["scan"], self.panel.viewer.layers.selection.active
        if isinstance(active, Image) and active in field.choices:
            field.value = active
        if self.followed is not None:
            self.followed.events.data.disconnect(self.changed)
        self.followed = field.value
        if self.followed is not None:
            self.followed.events.data.connect(self.changed)
        self.panel.start()

    def changed(self, _: Any = None) -> None:
        """Draw the spectrum again."""
        self.panel.start()

    def draw(self, _: Any, name: str, found: Spectrum) -> list[str]:
        """Draw a spectrum with rings around its peaks, and list the strongest."""
        self.figure.clear()
        axes = self.figure.subplots()
        draw_decibels(axes, found.values, found.pixel)
        places = found.frequency / np.array(found.pixel or (1.0, 1.0))
        if len(places):
            reach = AROUND * float(np.abs(places).max())
            axes.set_xlim(-reach, reach)
            axes.set_ylim(reach, -reach)
        for sign in (1, -1):
            axes.plot(
                *(sign * places).T[::-1], "o", mfc="none", mec=MARK_COLOUR, markersize=9, zorder=3
            )
        self.figure.canvas.draw_idle()
        unit = "px" if found.pixel is None else "nm"
        lines = []
        for frequency, place in zip(found.frequency[:LISTED], places, strict=False):
            period = f"{1 / np.hypot(*frequency):.4g} px"
            if found.pixel is not None:
                period += f" ({1 / np.hypot(*place):.4g} {unit})"
            angle = np.degrees(np.arctan2(*frequency)) % 180
            lines.append(f"period {period}, normal at {angle:.1f}° from the fast axis")
        return lines or ["no peak stands out"]


def panel() -> Any:
    """Return the dock widget."""
    return Live().panel.container
