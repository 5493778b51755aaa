"""A napari window on a screen of its own, and what a user does in it."""

import gc
import os
import shutil
import subprocess
from ctypes.util import find_library

import numpy as np
import pytest
from qt_events import LONGEST, settle, wait_for

from stm_experiments.io.scan import Scan

LIBRARIES = ("EGL", "xcb-cursor", "xkbcommon-x11")  # of the system, without which Qt aborts


@pytest.fixture(scope="session")
def screen(tmp_path_factory):
    """Start an X server without a network, and let Qt draw there."""
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb, as make test-viewer installs it")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with open(read) as answer:
        number = answer.readline().strip()
    if not number:
        pytest.skip("Xvfb does not start here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISPLAY", f":{number}")
        patch.setenv("QT_QPA_PLATFORM", "xcb")
        patch.setenv("NAPARI_CONFIG", str(tmp_path_factory.mktemp("napari") / "settings.yaml"))
        yield
    server.terminate()
    server.wait()


@pytest.fixture(scope="session")
def start(screen, crystal, tmp_path_factory):
    """Open one window for all tests, as ``stm-view scan.gwy`` does: the viewer and its layers."""
    lacking = [name for name in LIBRARIES if find_library(name) is None]
    if lacking:
        pytest.skip(f"Qt lacks {', '.join(lacking)}, which make test-viewer installs")
    from stm_experiments.viewer.window import open_window

    path = tmp_path_factory.mktemp("start") / "scan.gwy"
    crystal.save(path)
    viewer = open_window([str(path)])
    viewer.window.resize(700, 500)  # drawn in software
    wait_for(lambda: len(viewer.layers) == 3)
    gc.freeze()  # napari collects all garbage at each removal; what stays need not be looked at
    yield viewer, list(viewer.layers)
    gc.unfreeze()
    viewer.close()


@pytest.fixture(scope="session")
def window(start):
    """The window, with what the test before left there."""
    return start[0]


@pytest.fixture
def viewer(window):
    """The window, emptied for the test."""
    from superqt.utils import WorkerBase

    WorkerBase.await_workers(1000 * LONGEST)
    window.window.remove_dock_widget("all")
    window.layers.clear()
    settle()
    return window


@pytest.fixture
def dock(viewer):
    """Return a function: open one of our panels from its name in the menu."""

    def open_panel(name):
        return viewer.window.add_plugin_dock_widget("stm_experiments", name)[1]

    return open_panel


@pytest.fixture
def press():
    """Return a function: fill in a form, press its button and wait; returns the words."""

    def run(panel, **values):
        for name, value in values.items():
            panel["form"][name].value = value
        panel["run"].native.click()
        wait_for(lambda: not panel["cancel"].enabled)
        return panel["words"].value

    return run


@pytest.fixture
def add(viewer):
    """Return a function: add scans to the window as layers."""

    def add_scans(*scans):
        from stm_experiments.viewer.layers import image_layer, show

        return show(viewer, *(image_layer(scan, scan.name) for scan in scans))

    return add_scans


@pytest.fixture(scope="session")
def crystal():
    """A square lattice of 8.3 px with noise, a tilt and a missing corner, in m on pixels in nm."""
    rows, columns = np.mgrid[:96, :96]
    turned = 0.96 * columns + 0.28 * rows, 0.96 * rows - 0.28 * columns
    heights = sum(np.cos(2 * np.pi * axis / 8.3) for axis in turned)
    noise = np.random.default_rng(0).normal(0, 0.3, heights.shape)
    mask = np.ones(heights.shape, bool)
    mask[-10:] = False
    data = 2e-11 * (heights + noise + 0.1 * rows) + 1e-7
    return Scan(
        np.where(mask, data, np.median(data[mask])), mask, "m", (0.05, 0.04), "Z", name="crystal"
    )
