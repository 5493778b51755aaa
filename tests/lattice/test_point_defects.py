"""Point defects are found where they are, with their sign, and no others."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn_lattices import drawn, sites_of, turned

from stm_experiments.benchmarks import defects as benchmark
from stm_experiments.lattice.fit import find_lattice
from stm_experiments.lattice.point_defects import (
    BORDER,
    DetectedDefects,
    DetectionCounts,
    count_detections,
    find_point_defects,
    inside_border,
    without_cell,
)
from stm_experiments.simulator import (
    LATTICES,
    PRESETS,
    Defects,
    DetectorNoise,
    Noise,
    SampleNoise,
    simulate,
)

DEFECTS = Defects(vacancies=0.01, adatoms=0.005, substitutions=0.01, contrast=0.5)
REAL = {"sample": SampleNoise(0.2 / 15, 0.045), "detector": DetectorNoise(white=0.05)}


def counts(name, noise, images=2, **changes):
    kind = replace(LATTICES[name], **changes)
    batch = simulate([kind] * images, range(images), noise, PRESETS["physical"], 257)
    total = DetectionCounts(0, 0, 0)
    for i in range(images):
        position = batch.truth["defect_position"][i].numpy()
        number = batch.truth["defect_kind"][i].numpy()
        there = (number > 0) & inside_border(position, (257, 257))
        found = find_point_defects(batch.noisy[i, 0].numpy())
        position, bright = position[there], np.isin(number[there], (2, 3))
        total = total.plus(count_detections(found, position, bright, 0.4 * kind.spread)["all"])
    return total


@pytest.mark.parametrize("name", ["zrte3", "tise2", "srtio3"])
@pytest.mark.parametrize("noise", [{}, REAL], ids=["clean", "jitter and white noise"])
def test_nearly_all_defects_are_found_and_hardly_any_other(name, noise):
    total = counts(name, Noise(defects=DEFECTS, **noise))
    assert total.true > 15
    assert total.f1 > 0.93


def test_domain_walls_cost_precision():
    assert counts("tas2", Noise(defects=DEFECTS, **REAL), wave_domains=1).f1 > 0.9
    assert counts("tas2", Noise(defects=DEFECTS, **REAL)).f1 > 0.8


@pytest.mark.parametrize("name", ["zrte3", "tas2", "mos2", "srtio3"])
def test_a_perfect_crystal_has_none(name):
    image = simulate(
        [replace(LATTICES[name], wave_domains=1)], [0], Noise(), PRESETS["physical"], 257
    ).noisy[0, 0]
    # In the corners the periodic part is known less well.
    assert len(find_point_defects(image.numpy(), border=16).score) == 0


def test_unit_tilt_and_sign_do_not_matter():
    batch = simulate(
        [LATTICES["tise2"]], [1], Noise(defects=DEFECTS, **REAL), PRESETS["physical"], 193
    )
    image = batch.noisy[0, 0].double().numpy()
    rows, columns = np.mgrid[:193, :193]
    first = find_point_defects(image)
    assert len(first.score) > 3
    assert (np.diff(first.score) <= 0).all()
    tilted = find_point_defects(1e-12 * (image + 0.3 * rows - 0.1 * columns) + 1e-9)
    np.testing.assert_array_equal(tilted.position, first.position)
    np.testing.assert_allclose(tilted.score, first.score, rtol=0.02)
    assert inside_border(first.position, image.shape).all()


def test_nothing_is_found_in_what_was_not_measured():
    noise = Noise(defects=replace(DEFECTS, adatoms=0.03), **REAL)
    image = simulate([LATTICES["tise2"]], [1], noise, PRESETS["physical"], 193).noisy[0, 0].numpy()
    mask = np.ones(image.shape, bool)
    mask[:80] = False
    spoilt = np.where(mask, image, np.nan)
    position = find_point_defects(spoilt, mask).position
    assert len(position) > 3
    assert (position[:, 0] > 80 + BORDER - 1).all()
    whole = find_point_defects(image).position
    below = whole[whole[:, 0] > 110]
    same = [np.abs(position - place).max(1).min() <= 1.5 for place in below]
    assert np.mean(same) > 0.8


def test_counts_by_hand():
    found = DetectedDefects(
        np.array([[10.0, 10], [20, 20], [30, 30]]),
        np.array([True, True, False]),
        *(np.ones(3) for _ in ("score", "height", "width")),
    )
    true, bright = np.array([[11.0, 10], [20, 20], [31, 30], [50, 50]]), np.array([1, 0, 0, 1]) > 0
    scored = count_detections(found, true, bright, 2.0)
    assert scored == {"bright": (1, 2, 2), "dark": (1, 1, 2), "all": (2, 3, 4)}
    assert scored["all"].precision == pytest.approx(2 / 3)
    assert scored["all"].recall == 0.5
    assert scored["all"].f1 == pytest.approx(4 / 7)
    assert math.isnan(DetectionCounts(0, 0, 0).f1)


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (np.zeros((64, 64)), None, "constant"),
        (np.ones((20, 64)), None, "at least 32 px"),
        (np.ones((3, 64, 64)), None, "at least 32 px"),
        (np.full((64, 64), np.nan), None, "not finite"),
        (np.eye(64), np.zeros((64, 64), bool), "not measured"),
        (np.random.default_rng(0).normal(size=(64, 64)), np.eye(64) > 0, "further than 10 px"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(image, mask, message):
    with pytest.raises(ValueError, match=message):
        find_point_defects(image, mask)


def test_the_benchmark_prints_and_draws(tmp_path, monkeypatch, capsys):
    image = simulate([LATTICES["tise2"]], [1], Noise(**REAL), PRESETS["physical"], 96).noisy[0, 0]
    np.save(tmp_path / "scan.npy", image.numpy())

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["defects", *map(str, arguments)])
        benchmark.main()

    torch.set_num_threads(1)
    run("--lattices", "tise2", "--images", 1, "--size", 96, "--models", "RowMedian+Gaussian",
        "--out", tmp_path / "a")  # fmt: skip
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"defects.csv", "defects.png"}
    lines = (tmp_path / "a" / "defects.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == [
        "before",
        "RowMedian+Gaussian",
        "without noise",
    ]
    run("--image", tmp_path / "scan.npy", "--models", "Gaussian", "--out", tmp_path / "b")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["defects.png"]
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run("--lattices", "nacl", "--out", tmp_path / "c")
    assert "invalid choice: 'nacl'" in capsys.readouterr().err


def test_hollows_of_the_cell_are_no_defects():
    vectors = turned([[0, 18], [15.588, 9]], 17)
    places = sites_of(vectors, [[0, 0], [1 / 3, 1 / 3]])
    vacancy = places[np.linalg.norm(places - 75, axis=1).argmin()]
    image = drawn(places[(places != vacancy).any(1)], 2.4)
    hollow = sites_of(vectors, [[2 / 3, 2 / 3]])
    hollow = hollow[((hollow > 20) & (hollow < 130)).all(1)]
    spots = np.concatenate([hollow[np.linalg.norm(hollow - vacancy, axis=1) > 12], [vacancy]])
    alike = np.ones(len(spots))
    defects = DetectedDefects(spots, alike < 0, 9 * alike, -0.4 * alike, 2 * alike)
    keep = without_cell(defects, image, find_lattice(image))
    assert keep[-1]
    assert not keep[:-1].any()
