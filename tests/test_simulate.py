import math

import numpy as np
import tifffile
from PIL import Image

from stm_experiments import render_topographs
from stm_experiments.simulate import main


def test_the_arrays_are_those_of_the_asked_orientation(tmp_path, command):
    code, _, errors = command(
        main,
        "lattice=[sc,hex1]",
        "noise=none",
        "preset=released",
        "size=64",
        "orientation=[.1,.2,.3]",
        "save=npz",
        f"hydra.run.dir={tmp_path}",
    )
    assert code == 0, errors
    arrays = np.load(tmp_path / "topographs.npz")
    assert list(arrays["lattice"]) == ["sc", "hex1"]
    for name, clean, noisy in zip(arrays["lattice"], arrays["clean"], arrays["noisy"], strict=True):
        expected = render_topographs(str(name), [0.1, 0.2, 0.3], "released", 64)[0, 0]
        np.testing.assert_allclose(clean, expected, atol=1e-6)
        np.testing.assert_array_equal(noisy, clean)
    assert Image.open(tmp_path / "topographs.png").width > 500


def test_tiffs_are_float_and_errors_are_one_sentence(tmp_path, command):
    arguments = ("lattice=bcc", "count=2", "size=48", "save=tiff", f"hydra.run.dir={tmp_path}")
    code, _, errors = command(main, *arguments)
    assert code == 0, errors
    noisy = tifffile.imread(tmp_path / "bcc_1_noisy.tiff")
    clean = tifffile.imread(tmp_path / "bcc_1_clean.tiff")
    assert noisy.dtype == np.float32
    assert noisy.shape == (48, 48)
    # Thermal noise .3 max / 8 is the least there is of it.
    assert np.std(noisy - clean) > 0.3 * clean.max() / 8
    assert not math.isclose(clean.std(), 0)

    code, _, errors = command(main, "orientation=[.1,.2]", f"hydra.run.dir={tmp_path}/wrong")
    assert code == 1
    assert errors.count("\n") == 1
    assert "shape" in errors
    assert "Traceback" not in errors


def test_every_artefact_alone_makes_a_sheet(tmp_path, command):
    arguments = ("lattice=fcc", "artefacts=true", "size=65", f"hydra.run.dir={tmp_path}")
    code, _, errors = command(main, *arguments)
    assert code == 0, errors
    assert [path.name for path in tmp_path.glob("*.png")] == ["artefacts.png"]
    assert Image.open(tmp_path / "artefacts.png").width > 500


def test_the_truth_is_saved_with_the_arrays(tmp_path, command):
    code, _, errors = command(
        main,
        "lattice=[sc,hex1]",
        "noise=realistic_hard",
        "size=64",
        "save=npz",
        f"hydra.run.dir={tmp_path}",
    )
    assert code == 0, errors
    arrays = np.load(tmp_path / "topographs.npz")
    assert arrays["truth_scar_forward"].shape == (2, 64, 64)
    assert arrays["truth_moved"].shape == (2, 64, 2)
    assert arrays["truth_defect_kind"].shape == arrays["truth_defect_position"].shape[:2]
