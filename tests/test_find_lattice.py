"""The command that finds lattices: its files, and its refusals in one sentence."""

import csv
import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from stm_experiments import find_lattice, load
from stm_experiments.figures.lattice_map import lattice_map
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.fit import find_lattice as fit_lattice
from stm_experiments.simulator import render_topographs


@pytest.fixture(scope="module")
def image():
    """A square lattice of 10 px on a slope."""
    flat = render_topographs("sc", [[0.0, 0.0, 0.1]], size=120)[0, 0].double().numpy()
    return flat + 0.02 * np.arange(120)


def test_files_of_a_lattice(command, image, tmp_path):
    path, out = tmp_path / "Si(111), a=b.npy", tmp_path / "out"
    np.save(path, image)
    code, said, _ = command(
        find_lattice.main, f"image={path}", "pixel_nm=0.05", "unit=m", f"hydra.run.dir={out}"
    )
    assert code == 0
    assert re.search(r"90\.0\d+ ± 0\.\d+°, 1 atom in the cell", said)
    about = json.loads((out / f"{path.stem}_lattice.json").read_text(encoding="utf-8"))[0]
    assert about["lengths_px"] == pytest.approx([10, 10], rel=0.01)
    assert about["lengths_nm"] == pytest.approx([0.5, 0.5], rel=0.01)
    assert about["angle_degrees"] == pytest.approx(90, abs=0.5)
    assert (about["bravais"], about["confidence"]) == ("square", "high")
    assert "square, high confidence" in said
    vectors, reciprocal = np.array(about["vectors_nm"]), np.array(about["reciprocal_per_nm"])
    assert vectors @ reciprocal.T == pytest.approx(np.eye(2), abs=1e-9)
    errors = about["standard_errors"]
    assert np.shape(errors["vectors_nm"]) == np.shape(errors["reciprocal_per_nm"]) == (2, 2)
    for length in ("lengths_px", "lengths_nm"):
        apart = np.abs(np.array(about[length]) - (10 if length == "lengths_px" else 0.5))
        assert (apart < 5 * np.array(errors[length])).all()
        assert (np.array(errors[length]) < 0.005 * np.array(about[length])).all()
    row, column = about["vectors_px"][1]
    assert vectors[1] == pytest.approx([0.05 * column, -0.05 * row])
    with (out / f"{path.stem}_sites.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == about["sites"] > 120
    assert {row["occupied"] for row in rows} == {"1"}
    for row in rows:
        assert float(row["column_nm"]) == pytest.approx(0.05 * float(row["column_px"]))
    with Image.open(out / f"{path.stem}_lattice.png") as picture:
        assert min(picture.size) > 1000


def test_the_denoised_image_is_left_where_it_is_worse(image, monkeypatch):
    from stm_experiments.recipes import find_lattice as recipe

    settings = {"denoise": "auto", "invert": False, "grains": 1}
    random = np.random.default_rng(0)
    net = load("surface_denoiser")
    scan = Scan(image, np.ones(image.shape, bool), "m", None, "Z")
    noise = 0.4 * np.ptp(image - 0.02 * np.arange(120)) * random.normal(size=image.shape)
    noisy = replace(scan, data=image + noise)
    assert recipe.find_precisely(noisy, net, settings).name == "denoised image"

    def ruin(scan, net):
        shifts = random.integers(-2, 3, len(scan.data))
        rows = [np.roll(row, shift) for row, shift in zip(scan.data, shifts, strict=True)]
        return replace(scan, data=np.stack(rows))

    monkeypatch.setattr(recipe, "denoise", ruin)
    found = recipe.find_precisely(scan, net, settings)
    assert found.name == "image itself"
    assert np.linalg.norm(found.fits[0].vectors, axis=1) == pytest.approx([10, 10], rel=0.002)
    assert recipe.find_precisely(scan, net, settings | {"denoise": True}).name == "denoised image"


def test_a_part_of_a_large_scan_tells_whether_to_denoise_it(image, monkeypatch):
    from stm_experiments.recipes import find_lattice as recipe

    monkeypatch.setattr(recipe, "TRIAL", 80)
    noise = 0.4 * np.ptp(image - 0.02 * np.arange(120))
    noisy = image + noise * np.random.default_rng(0).normal(size=image.shape)
    scan = Scan(noisy, np.ones(image.shape, bool), "m", None, "Z")
    settings = {"denoise": "auto", "invert": False, "grains": 1}
    for result, tried, name in (
        (noisy, [80], "image itself"),
        (image, [80, 120], "denoised image"),
    ):
        sides = []

        def denoise(scan, net, result=result, sides=sides):
            sides.append(len(scan.data))
            margin = (120 - len(scan.data)) // 2
            middle = slice(margin, 120 - margin)
            return replace(scan, data=result[middle, middle])

        monkeypatch.setattr(recipe, "denoise", denoise)
        assert recipe.find_precisely(scan, load("surface_denoiser"), settings).name == name
        assert sides == tried


def test_the_class_is_that_of_the_recorded_image(image):
    """A denoiser leaves remnants of noise that look like a superlattice."""
    from stm_experiments.recipes.find_lattice import Found, describe_found

    rows, columns = np.indices(image.shape)
    flat = image - 0.02 * np.arange(120)
    remnants = np.cos(2 * np.pi * rows / 30) + np.cos(2 * np.pi * (columns / 30 + rows / 24))
    scan = Scan(flat, np.ones(image.shape, bool), "m", None, "Z")
    found = Found("denoised image", flat + 0.1 * np.ptp(flat) * remnants, [fit_lattice(flat)], None)
    (about,) = describe_found(scan, found)
    assert (about["bravais"], about["confidence"]) == ("square", "high")


def test_dark_atoms(command, image, tmp_path):
    np.save(tmp_path / "dark.npy", -image)
    code, said, _ = command(
        find_lattice.main,
        f"image={tmp_path / 'dark.npy'}",
        "invert=true",
        "denoise=false",
        f"hydra.run.dir={tmp_path / 'out'}",
    )
    assert code == 0
    assert "1 atom in the cell" in said


def test_one_sentence_without_a_lattice(command, tmp_path):
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).standard_normal((80, 80)))
    code, _, error = command(
        find_lattice.main, f"image={tmp_path / 'noise.npy'}", f"hydra.run.dir={tmp_path / 'out'}"
    )
    assert code == 1
    assert "no lattice was found" in error
    assert "Traceback" not in error


def test_one_confidence_of_two_hums(command, tmp_path, svg_words):
    rows, columns = np.indices((144, 144))
    hums = np.sin(2 * np.pi * (columns / 9.1 + rows / 40))
    hums += np.sin(2 * np.pi * (columns / 31 - rows / 11.3))
    np.save(tmp_path / "a.npy", hums + 0.1 * np.random.default_rng(0).normal(size=hums.shape))
    out = tmp_path / "out"
    code, said, _ = command(
        find_lattice.main,
        f"image={tmp_path / 'a.npy'}",
        "denoise=false",
        "figures.format=[svg]",
        f"hydra.run.dir={out}",
    )
    assert code == 0
    (about,) = json.loads((out / "a_lattice.json").read_text(encoding="utf-8"))
    words = svg_words(out / "a_lattice.svg")
    assert about["confidence"] == "low"
    assert f"Low confidence: {about['reason']}. " in words
    assert "two hums" in about["reason"]
    assert "oblique, low confidence" in words
    for text in (about["summary"], said, words):
        assert "high confidence" not in text
    log = (out / "find_lattice.log").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition("][INFO] ")[2] for line in log] == said.splitlines()


def test_marks_of_atoms_differ_from_those_of_empty_and_unknown_sites(image):
    fit = fit_lattice(image)
    lines = lattice_map(image, [fit] * 8, "").axes[0].lines
    atoms = {(line.get_marker(), line.get_mec()) for line in lines if len(line.get_xdata())}
    assert len(atoms) == 8
    assert not {marker for marker, _ in atoms} & set("+xPX")


def test_grains_must_be_a_number(command, image, tmp_path):
    np.save(tmp_path / "a.npy", image)
    code, _, error = command(
        find_lattice.main,
        f"image={tmp_path / 'a.npy'}",
        "grains=0",
        f"hydra.run.dir={tmp_path / 'out'}",
    )
    assert code == 1
    assert "grains" in error


def test_a_batch_goes_on_past_names_that_cannot_be_printed(command, image, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in (b"a\xff\x1b[31m.npy", b"b.npy"):
        np.save(scans / os.fsdecode(name), image)
    out = tmp_path / "out"
    code, said, _ = command(
        find_lattice.main, f"image={scans}", "denoise=false", f"hydra.run.dir={out}"
    )
    assert code == 0
    assert "a\\xff\\x1b[31m.npy: a = " in said
    assert "\x1b" not in said
    assert len(list(out.glob("*_lattice.png"))) == 2


def test_two_cells_are_told_and_the_smaller_one_is_taken(image):
    """A denoiser that makes a superlattice: the image itself is taken, with a doubt."""
    from stm_experiments.recipes.find_lattice import Found, choose_image

    rows, columns = np.indices(image.shape)
    fit = fit_lattice(image)
    down, across = np.linalg.inv(fit.vectors)[:, 0]
    order = (rows - fit.origin[0]) * down + (columns - fit.origin[1]) * across
    doubled = (image - 0.02 * rows) * (1 + 0.4 * np.cos(np.pi * order))
    found = [
        Found(name, data, [fit_lattice(data)], None)
        for name, data in (("image itself", image), ("denoised image", doubled))
    ]
    assert len(found[1].fits[0].basis) == 2
    best = choose_image(*found)
    assert best.name == "image itself"
    assert "the denoised image has another cell" in best.doubt
    assert np.linalg.norm(best.runner_up, axis=1) == pytest.approx([10, 20], rel=0.01)


def test_a_site_that_is_full_in_the_denoised_image_only_is_unknown(image):
    """A denoiser that fills a vacancy, and one that makes one."""
    from stm_experiments.recipes.find_lattice import Found, choose_image

    missing = image.copy()
    row, column = fit_lattice(image).sites[60]
    rows, columns = np.indices(image.shape)
    near = np.hypot(rows - row, columns - column) < 5
    missing[near] = np.percentile(image[near], 2)
    first, second = fit_lattice(missing), fit_lattice(image)
    assert (~first.occupied).sum() == 1
    for itself, denoised, unknown in ((first, second, 1), (second, first, 0)):
        found = [
            Found("image itself", image, [replace(itself, residual=1.0)], None),
            Found("denoised image", image, [replace(denoised, residual=0.0)], None),
        ]
        best = choose_image(*found)
        fit = best.fits[0]
        assert best.name == "denoised image"
        assert fit.occupied.all()
        assert len(fit.unknown) == unknown
        assert len(fit.sites) == len(denoised.sites) - unknown


def test_what_is_unknown_in_the_image_itself_is_unknown(image):
    from stm_experiments.lattice.fit import with_verdicts

    fit = fit_lattice(image)
    keep = np.arange(len(fit.sites)) != 60
    parts = {
        name: getattr(fit, name)[keep]
        for name in ("sites", "cell", "kind", "occupied", "height", "shift", "strain")
    }
    hidden = replace(
        fit,
        **parts,
        unknown=fit.sites[~keep],
        unknown_cell=fit.cell[~keep],
        unknown_kind=fit.kind[~keep],
    )
    judged = with_verdicts(fit, hidden)
    assert judged.unknown == pytest.approx(fit.sites[~keep])
    assert len(judged.sites) == len(fit.sites) - 1
    back = with_verdicts(hidden, fit)
    assert len(back.unknown) == 0
    assert sorted(back.cell.tolist()) == sorted(fit.cell.tolist())


def test_a_refusal_hints_at_the_steps_that_help(command, image, tmp_path):
    random = np.random.default_rng(0)
    offsets = 5 * np.ptp(image) * random.standard_normal((120, 1))
    for name, data, helps in (
        ("rows", image + offsets, True),
        ("noise", random.standard_normal((96, 96)) + random.standard_normal((96, 1)), False),
    ):
        np.save(tmp_path / f"{name}.npy", data)
        settings = (f"image={tmp_path / name}.npy", "denoise=false")
        code, _, error = command(find_lattice.main, *settings, f"hydra.run.dir={tmp_path / name}")
        assert code == 1
        assert "can be found" in error
        hint = "a lattice is found with prepare=[plane,rows_differences]"
        assert (hint in error, "prepare=" in error) == (helps, helps)
    out = tmp_path / "prepared"
    code, _, _ = command(
        find_lattice.main,
        f"image={tmp_path / 'rows'}.npy",
        "denoise=false",
        "prepare=[plane,rows_differences]",
        f"hydra.run.dir={out}",
    )
    assert code == 0
    (about,) = json.loads((out / "rows_lattice.json").read_text(encoding="utf-8"))
    assert about["lengths_px"] == pytest.approx([10, 10], rel=0.003)


def test_steps_come_before_the_search(command, image, tmp_path):
    np.save(tmp_path / "a.npy", image)
    code, _, _ = command(
        find_lattice.main,
        f"image={tmp_path / 'a.npy'}",
        "prepare=[{crop: [0, 0, 60, 120]}]",
        "denoise=false",
        f"hydra.run.dir={tmp_path / 'out'}",
    )
    assert code == 0
    sites = np.loadtxt(tmp_path / "out" / "a_sites.csv", delimiter=",", skiprows=1, usecols=(1, 2))
    assert sites.max(0) == pytest.approx([60, 120], abs=11)
