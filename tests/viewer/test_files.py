"""Files into layers and back: names, scales, units, masks."""

import fnmatch
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from qt_events import wait_for

from stm_experiments.io import read_scan
from stm_experiments.io.formats import FORMATS
from stm_experiments.io.scan import WRITERS, ScanError
from stm_experiments.restoration.preparation import prepare

pytest.importorskip("napari", reason="needs the extra viewer, as make test-viewer installs it")

MANIFEST = files("stm_experiments") / "viewer" / "napari.yaml"


def test_the_window_starts_with_a_levelled_scan(start, crystal):
    _, (recorded, mask, levelled) = start
    assert recorded.name == "scan.gwy Z"
    assert levelled.name == "scan.gwy Z: levelled"
    flat = prepare(crystal, ["plane"])
    offset = levelled.metadata["value_offset"]
    np.testing.assert_allclose(
        1e-12 * levelled.data[crystal.mask] + offset, flat.data[crystal.mask], atol=1e-15
    )
    np.testing.assert_array_equal(mask.data, ~crystal.mask)


def test_the_manifest_names_every_format():
    contributions = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["contributions"]
    patterns = contributions["readers"][0]["filename_patterns"]
    assert {pattern.removeprefix("*") for pattern in patterns} == {*FORMATS, ".[0-9][0-9][0-9]"}
    assert any(fnmatch.fnmatch("scan.017", pattern) for pattern in patterns)
    assert set(contributions["writers"][0]["filename_extensions"]) <= set(WRITERS)


def test_forms_offer_the_shipped_models():
    import inspect

    from stm_experiments.models.checkpoint import shipped_models
    from stm_experiments.restoration.denoise import DEFAULT
    from stm_experiments.viewer.models import SHIPPED
    from stm_experiments.viewer.panels.denoise import denoise_scan

    assert shipped_models() == SHIPPED
    assert inspect.signature(denoise_scan).parameters["model"].default == DEFAULT


def test_a_scan_is_an_image_in_nm_with_its_mask(viewer, crystal, tmp_path):
    crystal.save(tmp_path / "scan.gwy")
    image, mask = viewer.open(tmp_path / "scan.gwy", plugin="stm_experiments")
    assert (image.name, mask.name) == ("scan.gwy Z", "scan.gwy Z: not measured")
    for layer in (image, mask):
        assert np.allclose(layer.scale, crystal.pixel_size)
        assert [f"{unit:~}" for unit in layer.units] == ["nm", "nm"]
    assert viewer.canvas.overlays.scale_bar.visible
    np.testing.assert_array_equal(mask.data, ~crystal.mask)
    unit, offset = (image.metadata[key] for key in ("value_unit", "value_offset"))
    assert unit == "pm"
    wait_for(lambda: viewer.canvas.overlays.text.text == "height (pm) above 100 nm")
    heights = 1e-12 * image.data[crystal.mask].astype(float) + offset
    np.testing.assert_allclose(heights, crystal.data[crystal.mask], atol=1e-15)
    assert np.isnan(image.data[~crystal.mask]).all()
    low, high = image.contrast_limits
    assert np.nanmin(image.data) < low < high < np.nanmax(image.data)


def test_channels_and_frames_are_layers_of_which_one_is_seen(viewer, tmp_path):
    movie = np.random.default_rng(0).random((4, 16, 16), np.float32)
    tifffile.imwrite(tmp_path / "movie.tif", movie, photometric="minisblack")
    layers = viewer.open(tmp_path / "movie.tif", plugin="stm_experiments")
    assert [layer.visible for layer in layers] == [False, False, False, True]
    np.testing.assert_array_equal([layer.data for layer in reversed(layers)], movie)


def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(window, tmp_path):
    from stm_experiments.viewer.window import open_window

    (tmp_path / "broken.sxm").write_bytes(b"no scan")
    with pytest.raises(ValueError, match=r"^[^\n]*broken\.sxm: [^\n]*\.$"):
        open_window([str(tmp_path / "broken.sxm")])


@pytest.fixture
def told(window):
    """The messages that the window shows."""
    from napari.utils.notifications import notification_manager

    messages = []

    def keep(notification):
        messages.append(str(notification.message))

    notification_manager.notification_ready.connect(keep)
    yield messages
    notification_manager.notification_ready.disconnect(keep)


def test_what_is_wrong_with_a_dropped_file_is_shown_in_the_window(
    viewer, tmp_path, monkeypatch, told
):
    from stm_experiments.viewer import reader

    (tmp_path / "broken.sxm").write_bytes(b"no scan")
    assert viewer.open(tmp_path / "broken.sxm", plugin="stm_experiments") == []
    monkeypatch.setattr(reader, "MOST", 2)
    movie = np.random.default_rng(0).random((4, 16, 16), np.float32)
    tifffile.imwrite(tmp_path / "movie.tif", movie, photometric="minisblack")
    viewer.open(tmp_path / "movie.tif", plugin="stm_experiments")
    assert len(told) == 2
    assert "broken.sxm: cannot be read" in told[0]
    assert told[1] == "movie.tif: 2 more images are not shown."


def test_a_layer_is_written_as_its_scan(add, crystal, tmp_path):
    pytest.importorskip("h5py")
    (layer,) = add(crystal.with_data(2 * crystal.data, "doubled"))
    for ending, tolerance in ((".gwy", 0), (".tif", 1e-6), (".nxs", 0)):
        (path,) = layer.save(str(tmp_path / f"scan{ending}"), plugin="stm_experiments")
        scan = read_scan(path)
        assert (scan.unit, scan.history) == ("m", ("doubled",))
        np.testing.assert_allclose(scan.pixel_size, crystal.pixel_size)
        np.testing.assert_array_equal(scan.mask, crystal.mask)
        np.testing.assert_allclose(scan.data, 2 * crystal.data, rtol=tolerance)
    with pytest.raises(OSError, match="exists already"):
        layer.save(path, plugin="stm_experiments")


def test_other_images_become_scans_and_changed_ones_say_so(viewer, add, crystal):
    from stm_experiments.viewer.layers import scan_of

    values = np.arange(12.0).reshape(3, 4)
    other = viewer.add_image(values, name="other", scale=(2, 3), units=("um", "um"))
    scan = scan_of(other)
    np.testing.assert_array_equal(scan.data, values)
    assert scan.pixel_size == pytest.approx((2000, 3000))
    assert (scan.unit, scan.name) == ("", "other")
    assert scan_of(viewer.add_image(values)).pixel_size is None
    with pytest.raises(ScanError, match="one value for each pixel"):
        scan_of(viewer.add_image(np.zeros((2, 3, 4))))
    (layer,) = add(crystal)
    assert scan_of(layer) is crystal
    layer.data = layer.data + 1
    changed = scan_of(layer)
    np.testing.assert_allclose((changed.data - crystal.data)[crystal.mask], 1e-12, atol=1e-15)
    assert changed.history[-1] == "changed in napari"


def test_a_constant_scan_can_be_shown(add, crystal):
    (layer,) = add(replace(crystal, data=np.zeros(crystal.data.shape), name="flat"))
    assert layer.contrast_limits == [0, 1]


def test_samples_come_with_their_truth(viewer, monkeypatch):
    from stm_experiments.viewer import samples

    monkeypatch.setattr(samples, "SIZE", 64)
    for name in ("mos2", "lost_lines"):  # the others differ by the names of lattice and noise
        added = viewer.open_sample("stm_experiments", name)
        layers = {layer.name.rpartition(": ")[2]: layer.data for layer in added}
        clean, atoms = layers["truth, clean"], layers["truth, atoms"]
        assert clean.shape == (64, 64)
        assert len(atoms) > 10
        heights = clean[tuple(np.round(atoms).astype(int).T)]
        assert np.median(heights) > np.median(clean)
    assert layers["truth, stripes"].any()


def test_the_command_refuses_in_one_sentence(window, command, monkeypatch, tmp_path):
    from stm_experiments.view import main

    code, out, _ = command(main, tmp_path / "none.sxm")
    assert (out, code) == ("", f"{Path(tmp_path / 'none.sxm')}: no such file")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert "no DISPLAY" in command(main)[0]
