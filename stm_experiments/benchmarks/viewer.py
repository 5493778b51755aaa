"""How long the viewer takes: python -m stm_experiments.benchmarks.viewer.

Without a screen: xvfb-run -a python -m stm_experiments.benchmarks.viewer.
"""

import argparse
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from napari.qt import get_qapp

from stm_experiments.io.scan import Scan
from stm_experiments.viewer.layers import show
from stm_experiments.viewer.reader import read
from stm_experiments.viewer.window import FIRST, PLUGIN, open_window


class Clock:
    """Prints the seconds since its last line."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin again."""
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def say(self, what: str) -> None:
        """Print what took how long, and begin again."""
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        print(f"{what:32s} {wall:6.2f} s wall, {cpu:6.2f} s CPU")
        self.start()


def measure(size: int, folder: Path) -> None:
    """Time the window, then a scan of size x size px from its file to the screen."""
    heights = np.random.default_rng(0).normal(0, 1e-11, (size, size))
    scan = Scan(heights, np.ones(heights.shape, bool), "m", (0.02, 0.02), "Z")
    scan.save(folder / "scan.gwy")
    clock = Clock()
    viewer = open_window([])
    draw(viewer)
    clock.say("window")
    show(viewer, *read(str(folder / "scan.gwy")))
    draw(viewer)
    clock.say(f"scan of {size} px")
    viewer.window.add_plugin_dock_widget(PLUGIN, FIRST)
    while len(viewer.layers) < 2:
        get_qapp().processEvents()
    draw(viewer)
    clock.say("the same, levelled")
    viewer.close()


def draw(viewer: napari.Viewer) -> None:
    """Draw the window until nothing is left to draw."""
    get_qapp().processEvents()
    viewer.screenshot(flash=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time the viewer.")
    parser.add_argument("--size", type=int, default=2048, help="px")
    with tempfile.TemporaryDirectory() as made:
        measure(parser.parse_args().size, Path(made))
