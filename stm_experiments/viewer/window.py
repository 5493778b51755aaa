"""The window of ``stm-view``."""

from collections.abc import Sequence
from typing import Any

import napari
from superqt.utils import qdebounced

from stm_experiments.core.texts import printable
from stm_experiments.io.scan import ScanError
from stm_experiments.io.scan_files import find_scan_files
from stm_experiments.viewer.layers import show, show_unit
from stm_experiments.viewer.reader import read

PLUGIN = "stm_experiments"
FIRST = "Level and align"


def open_window(patterns: Sequence[str]) -> Any:
    """Open a window with scans, and the panel that levels them.

    Args:
        patterns: Files, folders or patterns; without any, the window is empty.

    Returns:
        The viewer.

    Raises:
        ValueError: If there are patterns and no file of them can be read.
    """
    paths = [path for pattern in patterns for path in find_scan_files(pattern)]
    layers, faults = [], []
    for path in paths:
        try:
            layers += read(str(path))
        except ScanError as error:
            faults.append(printable(str(error)))
    if paths and not layers:
        raise ValueError(" ".join(faults))
    viewer = napari.Viewer(title="STM experiments")
    overlays = viewer.canvas.overlays
    overlays.scale_bar.visible = True
    overlays.text.position = "top_left"
    show_soon = qdebounced(lambda: show_unit(viewer), timeout=50)  # once for many new layers
    viewer.layers.selection.events.active.connect(lambda _: show_soon())
    show(viewer, *layers)
    for fault in faults:
        napari.utils.notifications.show_warning(fault)
    if layers:
        viewer.window.add_plugin_dock_widget(PLUGIN, FIRST)
    return viewer
