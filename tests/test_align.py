"""The command that aligns frames: its files, its numbers, its refusals in one sentence."""

import csv
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from stm_experiments import align
from stm_experiments.io import Scan, read_scan
from stm_experiments.simulator import simulate


@pytest.fixture(scope="module")
def frames():
    """Three frames of one lattice with vacancies, shifted by 0, (3, -2) and (-4, 5) px, in m."""
    image = simulate(["sc"], [3], "none", size=140)
    heights = image.clean[0, 0].double().numpy()
    heights[60:75, 40:60] += 1  # an island: a lattice alone has no single shift
    rng = np.random.default_rng(0)
    corners = ((10, 10), (7, 12), (14, 5))
    cuts = [heights[r : r + 110, c : c + 110] for r, c in corners]
    return [1e-10 * (cut + 0.2 * rng.normal(size=cut.shape)) for cut in cuts]


def saved(frames, folder):
    for number, frame in enumerate(frames):
        np.save(folder / f"frame {number}, a=b.npy", frame)
    return folder


def test_three_frames(command, frames, tmp_path):
    out = tmp_path / "out"
    source = tmp_path / "in"
    source.mkdir()
    code, said, error = command(
        align.main, f"image={saved(frames, source)}", "denoise=true", "unit=m",
        "pixel_nm=0.05", "formats=[npy,gwy]", f"hydra.run.dir={out}",
    )  # fmt: skip
    assert code == 0, error
    with (out / "frames.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shifts = [[float(row[f"shift_{axis}_px"]) for axis in ("row", "column")] for row in rows]
    assert shifts[0] == pytest.approx([3, -2], abs=0.1)
    assert shifts[1] == pytest.approx([-4, 5], abs=0.1)
    summary = " ".join(json.loads((out / "frames.json").read_text())["summary"])
    assert "gain by denoising" in summary
    assert summary in " ".join(said.split("\n"))
    assert f"{out}: frame 1, a=b_aligned.npy, frame 1, a=b_aligned.gwy" in said
    assert "shifted by 3.0" in said
    assert "px down and 2.0" in said
    noises = [text for text in said.splitlines() if text.startswith("noise of the first")]
    for noise in noises:  # which is white
        assert float(noise.split()[-3]) == pytest.approx(20, rel=0.15)  # pm
    assert len(noises) == 2
    mean = np.load(out / "frame 0, a=b_mean.npy")
    inner = np.s_[10:100, 10:100]
    assert np.std((mean - frames[0])[inner]) < 0.2e-10
    for number in (1, 2):
        aligned = read_scan(out / f"frame {number}, a=b_aligned.gwy")
        assert (aligned.unit, aligned.pixel_size) == ("m", pytest.approx((0.05, 0.05)))
        assert aligned.history[-1].startswith("aligned to frame 0, a=b.npy: shifted by ")
        left = (aligned.data - frames[0])[aligned.mask]
        assert np.std(left) == pytest.approx(np.sqrt(2) * 0.2e-10, rel=0.2)
        if number == 1:
            difference = read_scan(out / "frame 0, a=b_difference.gwy")
            np.testing.assert_allclose(difference.data[difference.mask], left, atol=3e-12)
    with Image.open(out / "frames.png") as picture:
        assert min(picture.size) > 1000


def test_both_traces_of_one_file(command, shared, tmp_path):
    scan = shared / "data" / "scans" / "stm" / "FeBr2_Au111_4nm.sxm"
    code, said, error = command(align.main, f"image={scan}", f"hydra.run.dir={tmp_path / 'out'}")
    assert code == 0, error
    assert "(backward): shifted by" in said
    assert "fm rms for each" in said
    assert "uPSNR" not in said  # two frames do not tell it
    backward = read_scan(tmp_path / "out" / f"{scan.stem}_backward_aligned.gwy")
    assert backward.direction == "backward"
    assert backward.metadata["bias_V"] == pytest.approx(0.05)
    assert (tmp_path / "out" / f"{scan.stem}_forward_mean.tiff").is_file()


def test_frames_of_a_movie(command, frames, tmp_path):
    tifffile.imwrite(
        tmp_path / "m.tif", np.float32(np.stack(frames) * 1e10), photometric="minisblack"
    )
    code, said, error = command(
        align.main,
        f"image={tmp_path / 'm.tif'}",
        "formats=npy",
        f"hydra.run.dir={tmp_path / 'out'}",
    )
    assert code == 0, error
    assert (tmp_path / "out" / "m_2_aligned.npy").is_file()
    assert "uPSNR" in said


def test_frames_of_pixels_of_unlike_size_are_refused(command, frames, tmp_path):
    for name, pixel in (("a", 0.1), ("b", 0.12)):
        Scan(frames[0], np.isfinite(frames[0]), "m", (pixel, 0.1), "Z").save(
            tmp_path / f"{name}.gwy"
        )
    code, _, error = command(
        align.main, f"images=[{tmp_path}/a.gwy,{tmp_path}/b.gwy]", f"hydra.run.dir={tmp_path}/out"
    )
    assert code == 1
    assert "110 x 110 px of 0.12 x 0.1 nm in m" in error
    assert "frames are of one kind and size" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "image= or images= names the frames"),
        (("image=nowhere.sxm",), "nowhere.sxm: no such file"),
        (("images=[{0}/one.npy,{0}/other.npy]",), "frames are of one kind and size"),
        (("image={0}/one.npy",), "backward"),
    ],
)
def test_refusals(command, tmp_path, arguments, message):
    np.save(tmp_path / "one.npy", np.random.default_rng(0).normal(size=(40, 40)))
    np.save(tmp_path / "other.npy", np.random.default_rng(0).normal(size=(40, 50)))
    code, _, error = command(
        align.main,
        *(text.format(tmp_path) for text in arguments),
        f"hydra.run.dir={tmp_path / 'out'}",
    )
    assert code == 1
    assert message in error
    assert len(error.strip().splitlines()) == 1
