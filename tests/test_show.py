"""The command that levels and draws scans without a network."""

import csv

import numpy as np
import pytest
from PIL import Image

from stm_experiments.io import Scan, read_scan
from stm_experiments.restoration.profiles import line_profile
from stm_experiments.show import main

ROWS, COLUMNS = np.mgrid[:60, :80].astype(float)
WAVE = 2e-11 * np.cos(2 * np.pi * COLUMNS / 8)


def scan(**changes):
    facts = {
        "data": WAVE + 1e-11 * ROWS + 3e-7,
        "mask": np.ones(ROWS.shape, bool),
        "unit": "m",
        "pixel_size": (0.1, 0.05),
        "channel": "Z",
        "name": "a.gwy",
        "metadata": {"bias_V": -0.5, "comment": "cold"},
    }
    return Scan(**(facts | changes))


@pytest.fixture
def folder(tmp_path):
    scan().save(tmp_path / "Si(111) 7x7, a=b [ü].gwy")
    return tmp_path


def test_a_scan_is_levelled_drawn_and_converted(command, folder):
    run = folder / "run"
    name = "Si(111) 7x7, a=b [ü]"
    code, out, err = command(
        main, f"image={folder}/{name}.gwy", "formats=[gsf,tiff]", f"hydra.run.dir={run}"
    )
    assert (code, err) == (0, "")
    assert "bias -500 mV" in out
    assert "plane removed: " in out
    assert ", 10 pm/px along the slow axis" in out
    for ending in (".gsf", ".tiff"):
        saved = read_scan(run / f"{name}{ending}")
        np.testing.assert_allclose(saved.data - saved.data.mean(), WAVE, atol=1e-12)
        assert saved.metadata["bias_V"] == -0.5
        assert saved.history[0].startswith("plane removed")
    with (run / f"{name}_profile.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["distance (nm)", "height (m)"]
    distance, height = np.array(rows[1:], float).T
    assert (distance[0], distance[-1]) == (0, pytest.approx(79 * 0.05))
    np.testing.assert_allclose(height - height.mean(), WAVE[0], atol=1e-12)
    with Image.open(run / f"{name}.png") as picture:
        assert min(picture.size) > 1000


def test_a_batch_ends_with_what_was_passed_over(command, folder):
    np.save(folder / "b.npy", WAVE)
    (folder / "c.nid").write_bytes(b"NID")
    (folder / "d.txt").write_text("a diary")
    (folder / "2020_0001.mtrx").write_bytes(b"ONTMATRX0101")
    code, out, err = command(
        main, f"image={folder}", "list=true", "frame=3", f"hydra.run.dir={folder / 'run'}"
    )
    assert code == 0
    assert out.startswith("list=true shows all images as they are stored, without frame=\n")
    assert "Z (forward): 80 x 60 px, 4 x 6 nm, 300 nm to 301 nm" in out
    assert "image (forward): 80 x 60 px, -2e-11 to 2e-11" in out
    passed = [line for line in err.splitlines() if "passed over" in line]
    assert len(passed) == 1
    assert "c.nid (a Nanosurf .nid file, which is not read: open it in Gwyddion and" in passed[0]
    assert "d.txt (holds no numbers)" in passed[0]
    assert "mtrx" not in passed[0]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("prepare=[planes]", "prepare has no step 'planes'"),
        ("prepare=[crop]", "write this step as {crop: ...}"),
        ("formats=[sxm]", "formats has no 'sxm': choose from npy, tif"),
        ("profile=[[0,0],[100,0]]", "leaves the scan of 60 x 80 px"),
        ("profile=middle", "profile is [[row, column], [row, column]]"),
        ("pixel_nm=[1,0]", "pixel_nm is above 0, one number or two"),
    ],
)
def test_wrong_settings_are_one_sentence(command, folder, override, message):
    path = folder / "Si(111) 7x7, a=b [ü].gwy"
    code, _, err = command(main, f"image={path}", override, f"hydra.run.dir={folder / 'run'}")
    assert code == 1
    assert message in err
    assert err.count("\n") == 1


def test_one_pixel_has_no_profile():
    with pytest.raises(ValueError, match="a scan of 1 x 1 px has no profile along a row"):
        line_profile(Scan(np.ones((1, 1)), np.ones((1, 1), bool), "m", None, "Z"))


def test_a_profile_is_in_nm_and_stops_at_gaps():
    mask = COLUMNS < 40
    profile = line_profile(scan(mask=mask), [[10, 0], [50, 60]])
    assert profile.distance[-1] == pytest.approx(np.hypot(40 * 0.1, 60 * 0.05))
    assert np.isfinite(profile.height[:40]).all()
    assert np.isnan(profile.height[-20:]).all()
    unfinished = scan(mask=ROWS < 10)
    assert line_profile(unfinished).start == (5, 0)  # the middle one of the measured rows


def test_a_constant_image_is_drawn_too(command, tmp_path):
    np.save(tmp_path / "constant.npy", np.ones((32, 32)))
    code, said, errors = command(
        main, f"image={tmp_path / 'constant.npy'}", f"hydra.run.dir={tmp_path / 'out'}"
    )
    assert code == 0, errors
    assert (tmp_path / "out" / "constant.png").is_file()
    assert "constant.png" in said
