import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from stm_experiments import load
from stm_experiments.core.normalisation import denormalise, normalise_minmax
from stm_experiments.io import read_scan
from stm_experiments.models import PCA, checkpoint
from stm_experiments.models.checkpoint import Card
from stm_experiments.reconstruct import main
from stm_experiments.simulator import render_topographs

NAME = "Si(111) 7x7, a=b [ü].npy"
STEM = "Si(111) 7x7, a=b [ü]_reconstructed"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scan in metres with an awkward name, and a PCA that can represent any patch."""
    folder = tmp_path_factory.mktemp("scan")
    image = render_topographs("sc", [0.3, 0.4, 0.1], size=40)[0, 0].numpy()
    rows, columns = np.mgrid[:40, :40]
    np.save(folder / NAME, 1e-10 * image + 2e-11 * rows - 1e-11 * columns + 3e-7)
    identity = PCA(25, window=5)
    identity.components.copy_(identity.components.new_ones(25).diag())
    card = Card("PCA", {"components": 25, "window": 5}, window=5)
    checkpoint.save(identity, card, folder / "model.ckpt")
    return folder


@pytest.fixture
def reconstruct(command, folder, tmp_path):
    """Return a function: the command with that PCA: exit code, output, errors; and its folder."""

    def run(*overrides):
        run.folder = tmp_path / f"run{sum(1 for _ in tmp_path.glob('run*'))}"
        model = [] if any(o.startswith("checkpoint=") for o in overrides) else ["model.ckpt"]
        return command(
            main,
            *(f"checkpoint={folder}/{name}" for name in model),
            *overrides,
            f"hydra.run.dir={run.folder}",
        )

    return run


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave the drawing out where only the numbers matter."""
    import stm_experiments.recipes.reconstruct as module

    monkeypatch.setattr(module, "whole_image", lambda *_, **__: None)
    monkeypatch.setattr(module, "save_figure", lambda *_: [".png"])


def test_as_a_command_of_its_own(folder, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "stm_experiments.reconstruct",
            f"checkpoint={folder}/model.ckpt",
            f"image={folder}/{NAME}",
            "unit=m",
            "pixel_nm=.1",
            f"hydra.run.dir={tmp_path}/run",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert {f"{STEM}.npy", f"{STEM}.tiff", f"{STEM}.png", "reconstruct.log"} <= written
    assert (tmp_path / "run" / f"{STEM}.png").stat().st_size > 10_000


@pytest.mark.parametrize("normalisation", ["minmax", "plane"])
def test_an_identity_gives_the_image_back_in_its_units(
    folder, reconstruct, normalisation, no_pictures
):
    code, _, errors = reconstruct(
        f"image={folder}/{NAME}",
        f"normalisation={normalisation}",
        "stride=3",
        "unit=m",
        "pixel_nm=.1",
    )
    assert code == 0, errors
    before = np.load(folder / NAME)
    after = np.load(reconstruct.folder / f"{STEM}.npy")
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6 * np.ptp(before))
    single = tifffile.imread(reconstruct.folder / f"{STEM}.tiff")
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, after.astype(np.float32))
    again = read_scan(reconstruct.folder / f"{STEM}.tiff")
    assert again.unit == "m"
    assert again.pixel_size == (0.1, 0.1)


@pytest.mark.parametrize("suffix", [".tiff", ".gwy"])
def test_the_scans_own_units_need_not_be_given(folder, reconstruct, tmp_path, suffix, no_pictures):
    if suffix == ".gwy":
        pytest.importorskip("gwyfile")
    reconstruct(f"image={folder}/{NAME}", "unit=A", "pixel_nm=.25")
    scan = read_scan(reconstruct.folder / f"{STEM}{'.tiff' if suffix == '.tiff' else '.gwy'}")
    scan.save(tmp_path / f"scan{suffix}")
    code, _, errors = reconstruct(f"image={tmp_path}/scan{suffix}")
    assert code == 0, errors
    after = read_scan(reconstruct.folder / "scan_reconstructed.tiff")
    assert (after.unit, after.pixel_size) == ("A", pytest.approx((0.25, 0.25)))
    code, _, errors = reconstruct(f"image={tmp_path}/scan{suffix}", "unit=m")
    assert code == 1
    assert "the file says that its values are in A, not m" in errors


def test_what_was_done_is_logged_and_kept(folder, reconstruct, no_pictures):
    code, _, errors = reconstruct(
        f"image={folder}/{NAME}", "unit=m", "prepare=[plane,rows_median]", "uncertainty=true"
    )
    assert code == 0, errors
    done = (
        "unit m as given",
        "plane removed: -9.31 pm/px along the fast axis, 21 pm/px",
        "rows aligned by their medians",
        "mapped to [-1, 1] by its lowest and highest pixel",
        "through PCA",
        "seam energy",
        "uncertainty from 4 mirror images",
    )
    log = (reconstruct.folder / "reconstruct.log").read_text(encoding="utf-8")
    about = tifffile.TiffFile(reconstruct.folder / f"{STEM}.tiff").imagej_metadata
    history = json.loads(about["scan"])["history"]
    assert len(history) == len(done)
    for line, beginning in zip(history, done, strict=True):
        assert line.startswith(beginning)
        assert f"{NAME}: {line}" in log
    doubt = np.load(reconstruct.folder / f"{STEM}_uncertainty.npy")
    assert doubt.shape == (40, 40)
    assert np.isfinite(doubt).all()


def test_unmeasured_rows_stay_unmeasured(folder, reconstruct, tmp_path):
    image = np.load(folder / NAME)
    image[30:] = np.nan
    np.save(tmp_path / "unfinished.npy", image)
    code, _, errors = reconstruct(f"image={tmp_path}/unfinished.npy", "unit=m")
    assert code == 0, errors
    for name in ("npy", "tiff"):
        after = read_scan(reconstruct.folder / f"unfinished_reconstructed.{name}")
        np.testing.assert_array_equal(after.mask, np.isfinite(image))
    after = np.load(reconstruct.folder / "unfinished_reconstructed.npy")
    np.testing.assert_allclose(after[:30], image[:30], rtol=0, atol=1e-15)
    assert np.isnan(after[30:]).all()


def test_a_folder_goes_on_past_bad_files(folder, reconstruct, tmp_path, no_pictures):
    scans = tmp_path / "scans, many"
    scans.mkdir()
    image = np.load(folder / NAME)
    np.save(scans / "a.npy", image)
    (scans / "b.npy").write_bytes(b"no array")
    np.save(scans / "c.npy", np.ones((40, 40)))
    Image.fromarray((np.random.default_rng(0).random((30, 30)) * 255).astype(np.uint8)).save(
        scans / "A.png"
    )
    (scans / "notes.md").write_text("no scan")
    (scans / ".hidden.npy").write_text("no scan")
    code, output, errors = reconstruct(f"image={scans}")
    assert code == 1
    assert errors.splitlines()[-1] == "error: 2 of 4 files failed: b.npy, c.npy"
    assert "Traceback" not in errors
    assert "c.npy: constant" in errors
    written = {path.name for path in reconstruct.folder.iterdir()}
    assert {"A_reconstructed.npy", "a_1_reconstructed.npy"} <= written
    np.testing.assert_allclose(
        np.load(reconstruct.folder / "a_1_reconstructed.npy"), image, rtol=0, atol=1e-15
    )
    assert np.load(reconstruct.folder / "A_reconstructed.npy").shape == (30, 30)

    code, output, errors = reconstruct(f"image={scans}/[ab].npy", "list=true")
    assert code == 1
    assert output.startswith("a.npy\n  image (forward): ")
    assert "1 of 2 files failed: b.npy" in errors


def test_a_pattern_finds_its_files(folder, reconstruct, tmp_path, no_pictures):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        np.save(tmp_path / place / "scan.npy", np.load(folder / NAME))
    code, _, errors = reconstruct(f"image={tmp_path}/*/scan.npy")
    assert code == 0, errors
    written = {path.name for path in reconstruct.folder.iterdir()}
    assert {"scan_reconstructed.npy", "scan_1_reconstructed.npy"} <= written


def test_measures_against_a_clean_partner(folder, reconstruct, tmp_path):
    clean = render_topographs("sc", [0.3, 0.4, 0.1], size=40)[0, 0].numpy().astype(float)
    noise = 0.1 * np.random.default_rng(0).normal(size=clean.shape)
    np.save(tmp_path / "noisy.npy", clean + noise)
    (tmp_path / "clean").mkdir()
    np.save(tmp_path / "clean" / "noisy.npy", 7 - 3 * clean)
    code, _, errors = reconstruct(f"image={tmp_path}/noisy.npy", f"clean={tmp_path}/clean")
    assert code == 0, errors
    assert "fitted to the scan by an affine map and a plane" in errors
    measures = json.loads((reconstruct.folder / "noisy_reconstructed_metrics.json").read_text())
    expected = np.mean(noise**2) * (2 / np.ptp(clean + noise)) ** 2
    assert measures["mse_before"] == pytest.approx(expected, rel=0.02)
    assert set(measures) == {
        f"{m}_{n}" for m in ("mse", "psnr", "ssim") for n in ("before", "after")
    }


def test_nothing_is_written_over(folder, command, tmp_path, no_pictures):
    arguments = (
        f"checkpoint={folder}/model.ckpt",
        f"image={folder}/{NAME}",
        f"hydra.run.dir={tmp_path}/run",
    )
    assert command(main, *arguments)[0] == 0
    before = (tmp_path / "run" / f"{STEM}.npy").read_bytes()
    code, _, errors = command(main, *arguments, "prepare=clip")
    assert code == 1
    assert "holds results already" in errors
    assert (tmp_path / "run" / f"{STEM}.npy").read_bytes() == before


def test_errors_are_one_sentence(folder, reconstruct, monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path)
    image = f"image={folder}/{NAME}"
    for overrides, reason in (
        ((f"image={folder}/absent.png",), "no such file"),
        ((f"image={folder}/*.sxm",), "no such file"),
        ((f"image={tmp_path}",), "no scan in this folder"),
        ((image, "stride=6"), "stride must be between 1 and the window"),
        ((image, "stride=1.5"), "stride is a whole number"),
        ((image, "normalisation=best"), "minmax or plane"),
        ((image, "prepare=[plane,flatten]"), "prepare has no step 'flatten'"),
        ((image, "prepare=7"), "prepare has no step 7"),
        ((image, "unit=furlong"), "unit is m, A or V, with a prefix"),
        ((image, "pixel_nm=-1"), "pixel_nm is above 0"),
        ((image, "channel=Current (A)"), "no channel 'Current (A)', there is image"),
        ((image, "direction=backward"), "backward"),
        ((image, f"clean={folder}/absent.npy"), "absent.npy: no such file"),
        ((image, "list=perhaps"), "list is true or false"),
        ((image, "alone=perhaps"), "alone is true or false"),
        ((image, "alone=true"), "leave alone=true away"),
        ((image, "checkpoint=null"), "no model of that name comes with the package"),
    ):
        code, _, errors = reconstruct(*overrides)
        assert code == 1, overrides
        assert reason in errors
        assert "Traceback" not in errors
        assert errors.strip().count("\n") == 0


def test_a_loaded_model_carries_its_card(folder):
    net = load(folder / "model.ckpt")
    assert net.card.window == 5
    assert not net.training
    x, affine = normalise_minmax(np.load(folder / NAME))
    assert denormalise(x, affine).dtype == np.float64


def test_real_scans_keep_their_units(shared, reconstruct, no_pictures):
    scans = shared / "data" / "scans"
    if not scans.is_dir():
        pytest.skip(f"needs the real scans in {scans}")
    pytest.importorskip("nanonispy2")
    image = f"image={scans}/stm/FeBr2_Au111_4nm.sxm"
    code, output, _ = reconstruct(image, "list=true")
    assert code == 0
    assert output.startswith("FeBr2_Au111_4nm.sxm: bias 50 mV, setpoint 500 pA")
    assert "\n  Z (forward): 256 x 256 px, 4 x 4 nm, 9.14 nm to 9.34 nm\n" in output
    assert "\n  Current (backward): 256 x 256 px, 4 x 4 nm, 325 pA to 685 pA\n" in output
    code, _, errors = reconstruct(
        f"image={scans}/stm/FeBr2_Au111_4nm.sxm",
        "channel=current",
        "direction=backward",
        "stride=5",
    )
    assert code == 0, errors
    before = read_scan(scans / "stm" / "FeBr2_Au111_4nm.sxm", "Current", "backward")
    after = read_scan(reconstruct.folder / "FeBr2_Au111_4nm_reconstructed.tiff")
    assert (after.unit, after.pixel_size) == ("A", before.pixel_size)
    np.testing.assert_allclose(after.data, before.data, rtol=0, atol=1e-6 * np.ptp(before.data))


def test_a_batch_goes_on_past_names_that_cannot_be_printed(folder, reconstruct, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in (b"a\xff.npy", b"b\x1b[31m[red].npy", b"c.npy"):
        np.save(scans / os.fsdecode(name), np.load(folder / NAME))
    (scans / os.fsdecode(b"d\xfe\x1b.npy")).write_bytes(b"no scan")
    code, out, errors = reconstruct(f"image={scans}", "unit=m")
    assert code == 1
    assert "1 of 4 files failed: d\\xfe\\x1b.npy" in errors
    assert "b\\x1b[31m[red].npy" in out
    assert "\x1b" not in out + errors
    for ending in ("npy", "tiff", "png"):
        assert len(list(reconstruct_results(scans, tmp_path, ending))) == 3


def reconstruct_results(scans, folder, ending):
    return (path for path in folder.glob(f"run*/*.{ending}") if path.parent != scans)
