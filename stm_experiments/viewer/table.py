"""The table of the points of a layer."""

from typing import Any


def show_table(viewer: Any) -> None:
    """Show napari's table of the selected layer, which also saves it as .csv."""
    if not any("Features table" in name for name in viewer.window.dock_widgets):
        viewer.window.add_plugin_dock_widget("napari", "Features table widget")
