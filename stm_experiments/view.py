"""The command ``stm-view``: look at scans in a window, and work on them."""

import os
import sys

from stm_experiments.app.command_line.plain import PlainParser

NEEDS = 'the viewer needs napari: pip install "stm_experiments[viewer]"'
EXAMPLES = (
    "stm-view scan.sxm",
    "stm-view scan.sxm second.dat",
    "stm-view 'scans/*.sxm'",
)
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def main() -> None:
    """Run the command ``stm-view``."""
    description = "Look at scans in a napari window, and level, denoise and measure them there."
    parser = PlainParser("stm-view", description, EXAMPLES)
    parser.add_argument("image", nargs="*", help="files, folders or patterns such as 'scans/*.sxm'")
    patterns = parser.parse_args().image
    if sys.platform == "linux" and not any(os.environ.get(name) for name in SCREENS):
        sys.exit("the viewer needs a screen: there is no DISPLAY; show draws pictures without one")
    try:
        import napari

        from stm_experiments.viewer.window import open_window
    except ImportError as error:
        missing = error.name in ("napari", "qtpy", "PyQt6")
        sys.exit(NEEDS if missing else f"the viewer cannot start: {error}")
    try:
        open_window(patterns)
    except ValueError as error:
        sys.exit(str(error))
    napari.run()


if __name__ == "__main__":
    main()
