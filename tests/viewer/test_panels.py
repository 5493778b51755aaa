"""Panels give what the functions behind the commands give, and never block the window."""

import time
from dataclasses import replace

import numpy as np
import pytest
from qt_events import settle, wait_for

from stm_experiments.restoration.preparation import prepare

pytest.importorskip("napari", reason="needs the extra viewer, as make test-viewer installs it")


def scan_in(viewer, name):
    return viewer.layers[name].metadata["scan"]


def test_levelling_follows_the_form_at_once(viewer, dock, add, crystal):
    add(crystal)
    panel = dock("Level and align")
    wait_for(lambda: "crystal: levelled" in viewer.layers)
    layer = viewer.layers["crystal: levelled"]
    np.testing.assert_array_equal(layer.metadata["scan"].data, prepare(crystal, ["plane"]).data)
    panel["form"]["lines"].value = "rows_median"
    steps = prepare(crystal, ["plane", "rows_median"])
    wait_for(lambda: panel["words"].value == "\n".join(steps.history))
    assert viewer.layers["crystal: levelled"] is layer
    np.testing.assert_array_equal(layer.metadata["scan"].data, steps.data)
    viewer.window.remove_dock_widget("all")
    panel["form"]["lines"].value = "none"
    settle()
    assert layer.metadata["scan"].history == steps.history  # a closed panel does nothing


def test_a_wave_is_subtracted_and_shown(viewer, dock, add, press, crystal):
    rows, columns = np.mgrid[:96, :96]
    hum = 3e-11 * np.cos(2 * np.pi * (columns / 5.1 + rows / 7.7))
    add(replace(crystal, data=crystal.data + hum, mask=np.ones((96, 96), bool)))
    turn = np.degrees(np.arctan2(1 / 7.7, 1 / 5.1))
    period = 1 / np.hypot(1 / 5.1, 1 / 7.7)
    words = press(dock("Subtract hum"), automatic=False, period=period, angle=turn)
    assert "plane wave removed" in words
    waves = scan_in(viewer, "crystal: waves")
    assert np.corrcoef(waves.data.ravel(), hum.ravel())[0, 1] > 0.98
    steps = [{"notch": [panel_number(period), panel_number(turn)]}]
    expected = prepare(viewer.layers["crystal"].metadata["scan"], steps)
    np.testing.assert_allclose(scan_in(viewer, "crystal: without waves").data, expected.data)


def panel_number(value):
    """Return a number as a form keeps it."""
    return round(value, 2)


def test_denoising_shows_result_residual_and_uncertainty(viewer, dock, add, press, crystal):
    from stm_experiments.restoration.denoise import denoise

    add(crystal)
    words = press(dock("Denoise"), uncertainty=True)
    expected = denoise(crystal, uncertainty=True)
    assert words.startswith("\n".join(expected.fitness.sentences()))
    assert sorted(words.splitlines()) == sorted(expected.history)
    result = scan_in(viewer, "crystal: denoised")
    np.testing.assert_array_equal(result.data, expected.data)
    removed = scan_in(viewer, "crystal: denoised: residual")
    np.testing.assert_array_equal(
        removed.data, np.where(crystal.mask, crystal.data - expected.data, 0)
    )
    error = scan_in(viewer, "crystal: denoised: uncertainty")
    np.testing.assert_array_equal(error.data[crystal.mask], expected.uncertainty[crystal.mask])
    low, high = viewer.layers["crystal: denoised: residual"].contrast_limits
    assert low == -high
    atoms = viewer.layers["crystal: denoised: perhaps invented atoms"].data
    np.testing.assert_array_equal(atoms, expected.uncertain_atoms.invented.reshape(-1, 2))


def test_a_failure_is_one_sentence(dock, add, press, crystal, tmp_path):
    panel = dock("Denoise")
    panel["run"].native.click()
    assert panel["words"].value == "there is no image: drop a scan on the window"
    add(crystal)
    (tmp_path / "mine.ckpt").write_text("no model")
    words = press(panel, own=tmp_path / "mine.ckpt")
    assert "mine.ckpt" in words
    assert "\n" not in words
    assert panel["run"].enabled


def test_the_window_works_on_and_cancels(viewer, add, crystal):
    from stm_experiments.viewer.panel import Panel

    steps, shown, alive = [], [], []

    def work(scan, progress):
        for step in range(10_000):
            progress(step, 10_000)
            steps.append(step)
            time.sleep(0.002)

    add(crystal)
    panel = Panel(work, lambda *_: shown.append("result") or [])
    viewer.window.add_dock_widget(panel.container)
    panel.run.native.click()
    wait_for(lambda: alive.append(len(steps)) or (panel.bar.value > 3 and len(alive) > 5))
    assert panel.bar.max == 10_000
    assert not panel.run.enabled
    panel.cancel.native.click()
    wait_for(lambda: panel.run.enabled)
    assert alive[0] < alive[-1]  # the window worked on between the steps
    assert len(steps) < 10_000
    assert shown == []
    assert panel.words.value == "cancelled"


def test_repaired_lines_are_those_of_the_public_function(viewer, dock, add, press, crystal):
    from stm_experiments.restoration.denoise import denoise

    data = np.array(crystal.data)
    data[40:42, 10:] += 3e-10
    damaged = crystal.with_data(data)
    add(damaged)
    words = press(dock("Repair lines"))
    expected = denoise(damaged, "destripe")
    np.testing.assert_array_equal(scan_in(viewer, "crystal: destriped").data, expected.data)
    repaired = viewer.layers["crystal: destriped: repaired pixels"].data
    np.testing.assert_array_equal(repaired, crystal.mask & (expected.data != damaged.data))
    assert repaired[40:42].mean() > 0.5
    assert words.startswith(f"{repaired.sum() / crystal.mask.sum():.2%} of the measured pixels")


def test_two_models_are_compared(viewer, dock, add, press, crystal):
    from stm_experiments.restoration.denoise import denoise

    add(crystal)
    panel = dock("Compare two models")
    assert press(panel, first="denoiser", second="denoiser") == "choose two models that differ"
    words = press(panel, first="denoiser", second="destripe")
    first = scan_in(viewer, "crystal: denoiser")
    second = denoise(crystal, "destripe")
    np.testing.assert_array_equal(scan_in(viewer, "crystal: destripe").data, second.data)
    change = scan_in(viewer, "crystal: destripe less denoiser").data
    np.testing.assert_array_equal(change, np.where(crystal.mask, second.data - first.data, 0))
    assert [line.partition(":")[0] for line in words.splitlines()] == [
        "destripe less denoiser",
        "denoiser",
        "destripe",
    ]


def test_the_lattice_is_that_of_the_command(viewer, dock, add, press, crystal):
    from stm_experiments.lattice.site_table import site_rows
    from stm_experiments.recipes.find_lattice import describe_found, find_precisely

    add(crystal)
    words = press(dock("Find the lattice"), denoise="no")
    settings = {"denoise": False, "invert": False, "grains": 1}
    found = find_precisely(crystal, None, settings)
    (fit,), (about,) = found.fits, describe_found(crystal, found)
    assert words.startswith(about["summary"])
    sites = viewer.layers["crystal: sites"]
    np.testing.assert_array_equal(sites.data, np.concatenate([fit.sites, fit.unknown]))
    rows = site_rows(fit, 0)
    assert list(sites.features.columns) == list(rows[0])
    np.testing.assert_allclose(sites.features["row_px"], [row["row_px"] for row in rows])
    strain = viewer.layers["crystal: strain"].features["dilation_percent"]
    np.testing.assert_allclose(strain, 50 * np.trace(fit.strain, axis1=1, axis2=2), atol=1e-12)
    (arrows,) = (layer for layer in viewer.layers if "lattice vectors" in layer.name)
    times = int(arrows.name.rpartition(" x ")[2])
    np.testing.assert_allclose(arrows.data[:, 1], times * fit.vectors)
    assert any("Features table" in name for name in viewer.window.dock_widgets)


def test_defects_are_those_of_the_command(viewer, dock, add, press, crystal):
    from stm_experiments.recipes.find_defects import COLUMNS, search

    data = np.array(crystal.data)
    rows, columns = np.mgrid[:96, :96]
    data += 1.5e-10 * np.exp(-((rows - 40) ** 2 + (columns - 52) ** 2) / 8)
    scan = crystal.with_data(data)
    add(scan)
    words = press(dock("Find point defects"))
    found = search(scan, {"threshold": 6.0, "smoothing": 12.0, "border": 10.0})
    points = viewer.layers["crystal: point defects"]
    assert words.startswith(found.summary)
    np.testing.assert_array_equal(points.data, found.defects.position)
    assert np.hypot(*(points.data[0] - (40, 52))) < 2
    assert list(points.features.columns) == list(COLUMNS)
    assert points.features["height"][0] == found.rows[0][COLUMNS.index("height")]


def test_a_profile_follows_its_line(viewer, dock, add, crystal):
    from stm_experiments.restoration.profiles import line_profile

    add(crystal)
    panel = dock("Line profile")
    wait_for(lambda: panel["words"].value)
    line = viewer.layers["profile"]
    np.testing.assert_allclose(line.scale, crystal.pixel_size)
    ends = [[10.0, 20.0], [60.0, 70.0]]
    before = panel["words"].value
    line.data = [np.array(ends)]
    wait_for(lambda: panel["words"].value != before)
    expected = line_profile(crystal, ends)
    canvas = panel["plot"].native.layout().itemAt(0).widget()
    (drawn,) = canvas.figure.axes[0].lines
    np.testing.assert_allclose(drawn.get_xdata(), expected.distance)
    heights = 1e12 * (expected.height - np.median(expected.height))
    np.testing.assert_allclose(drawn.get_ydata(), heights, atol=1e-6)
    assert panel["words"].value.startswith(f"{expected.distance[-1]:.4g} nm long")


def test_a_spectrum_follows_the_selected_image(viewer, dock, add, crystal):
    coarser = replace(
        crystal, data=np.kron(crystal.data[:48, :48], np.ones((2, 2))), name="coarser"
    )
    first, second = add(crystal, coarser)
    panel = dock("Spectrum")
    viewer.layers.selection.active = first
    wait_for(lambda: panel["words"].value.startswith("period 8."))
    strongest = panel["words"].value.splitlines()[0]
    assert float(strongest.split()[1]) == pytest.approx(8.3, rel=0.02)
    assert "nm)" in strongest
    viewer.layers.selection.active = second
    wait_for(lambda: panel["words"].value.startswith("period 16."))
    canvas = panel["plot"].native.layout().itemAt(0).widget()
    rings = canvas.figure.axes[0].lines
    assert len(rings[0].get_xdata()) > 1
    np.testing.assert_allclose(rings[0].get_xdata(), -rings[1].get_xdata())


def test_frames_are_aligned(viewer, dock, add, press, crystal):
    from stm_experiments.restoration.frames import align_frames

    rows, columns = np.mgrid[:96, :96]

    def frame(shift, name, seed):
        bumps = np.random.default_rng(1).uniform(0, 96, (12, 2))
        heights = sum(
            np.exp(-((rows - r) ** 2 + (columns - c - shift) ** 2) / 40) for r, c in bumps
        )
        noise = np.random.default_rng(seed).normal(0, 0.02, heights.shape)
        mask = np.ones(heights.shape, bool)
        return replace(crystal, data=1e-10 * (heights + noise), mask=mask, name=name)

    first, other = frame(0, "first", 1), frame(3, "other", 2)
    layers = add(first, other)
    panel = dock("Align repeated frames")
    panel["form"]["scan"].value = layers[0]
    words = press(panel, scans=layers[1:])
    expected = align_frames([first, other])
    assert words == "\n".join(expected.sentences(["first (forward)", "other (forward)"]))
    assert abs(expected.registrations[0].shift[1]) == pytest.approx(3, abs=0.2)
    np.testing.assert_array_equal(scan_in(viewer, "first: mean").data, expected.mean.data)
    assert "first: other (forward) aligned" in viewer.layers
