"""The frozen collection: the same for ever, its truth right, its measures right."""

import json

import numpy as np
import pytest
import scipy
from rich.console import Console

from stm_experiments.benchmarks.quality import __main__ as quality
from stm_experiments.benchmarks.quality import case_scores, collection, goals
from stm_experiments.benchmarks.quality.frozen import score_method
from stm_experiments.benchmarks.quality.methods import Estimate, method_named
from stm_experiments.benchmarks.quality.noises import COLLECTION_NOISES
from stm_experiments.benchmarks.quality.surfaces.catalogue import FEATURE_ENTRIES, SURFACES
from stm_experiments.benchmarks.quality.surfaces.lattices import CELLS, draw_atoms

MINIATURE = {str(n): n for n in collection.case_names("development", miniature=True)}


def case_of(surface, noise, shape=(96, 96), split="development"):
    return collection.build_case(collection.CaseName(surface, noise, split, 0, shape))


def test_the_collection_is_frozen():
    assert collection.fingerprint("development", miniature=True) == "6050927e93ff4f74"


def test_splits_have_the_same_cases_and_different_pixels():
    development, test = (collection.case_names(split) for split in collection.SPLITS)
    assert [str(name) for name in development] == [str(name) for name in test]
    assert len(set(map(str, development))) == len(development) >= 400
    assert {name.surface for name in development} >= set(SURFACES)
    assert {name.noise for name in development} == set(COLLECTION_NOISES)
    one, other = (case_of("kagome", "white_0.1", split=split) for split in collection.SPLITS)
    assert not np.allclose(one.clean, other.clean, atol=0.1)


@pytest.mark.parametrize("name", MINIATURE.values(), ids=str)
def test_every_surface_is_drawn_in_its_corrugation(name):
    case = collection.build_case(name)
    assert case.noisy.shape == case.clean.shape == name.shape
    assert np.isfinite(case.noisy).all()
    if name.surface in CELLS:
        assert np.ptp(np.quantile(case.clean, (0.05, 0.95))) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("noise", COLLECTION_NOISES)
def test_noises_differ_from_nothing_and_are_repeated(noise):
    case, again = (case_of("oblique", noise, (96, 128)) for _ in range(2))
    assert np.array_equal(case.noisy, again.noisy)
    added = case.noisy - case.clean
    assert np.std(added) > 5e-4
    if case.sigma is not None:
        assert np.std(added) == pytest.approx(case.sigma, rel=0.03)


@pytest.mark.parametrize("surface", FEATURE_ENTRIES)
@pytest.mark.parametrize("noise", ["white_0.1", "poisson_100"])
def test_a_twin_lacks_the_feature_alone(surface, noise):
    case = case_of(surface, noise)
    difference = case.noisy - case.twin
    share = (difference * case.feature).sum() / (case.feature**2).sum()
    assert share == pytest.approx(1, abs=0.02)
    if case.places is not None:
        peaks = np.abs(case.feature)
        near = [
            peaks[r - 3 : r + 4, c - 3 : c + 4].max() for r, c in case.places.round().astype(int)
        ]
        assert min(near) > 0.3 * peaks.max()


def test_places_move_with_the_scan():
    """Under drift and creep, the centres of the features stay on the features."""
    case = case_of("holes", "realistic_hard", (128, 128))
    depth = -case.feature
    inside = ((case.places > 4) & (case.places < 123)).all(1)
    assert inside.any()
    for row, column in case.places[inside].round().astype(int):
        assert depth[row, column] > 0.5 * depth.max()


@pytest.mark.parametrize(
    ("cell", "neighbours"), [("kagome", 4), ("hexagonal_5_8px", 6), ("lieb", 4)]
)
def test_lattices_have_their_neighbours(cell, neighbours):
    atoms = draw_atoms(CELLS[cell], np.random.default_rng(0), (160, 160))
    tree = scipy.spatial.cKDTree(atoms.places)
    inside = atoms.inside((160, 160), 30)
    counts = [len(x) - 1 for x in tree.query_ball_point(atoms.places[inside], 1.2 * atoms.spacing)]
    if cell == "lieb":  # corners have four, edges two
        assert max(counts) == neighbours
        assert min(counts) == 2
    else:
        assert set(counts) == {neighbours}


def blur(width):
    return lambda case: {
        "": lambda x: Estimate(scipy.ndimage.gaussian_filter(x, width, mode="wrap"))
    }


def test_a_denoiser_that_returns_its_input_or_the_truth():
    case = case_of("vacancies", "white_0.1", (192, 192))
    nothing, _, _ = case_scores.score_case(case, lambda case: {"": Estimate})
    assert nothing["gain"] == pytest.approx(0)
    assert nothing["kept"] == pytest.approx(1)
    assert nothing["added"] < 1e-9
    truth, _, _ = case_scores.score_case(case, lambda case: {"": lambda x: Estimate(case.clean)})
    assert truth["gain"] > 100
    assert truth["bragg_worst"] == pytest.approx(1)


def test_what_is_painted_beside_a_feature_is_seen():
    """Two bars of a fifth of the depth beside each hole, of a denoiser that sees the holes."""
    case = case_of("holes", "white_0.01", (192, 192))

    def paint(image):
        holes = np.zeros(image.shape)
        if image is case.noisy:
            for row, column in case.places.round().astype(int):
                away = round(1.6 * case.reach)
                for side in (column - away, column + away):
                    holes[row - 1 : row + 2, side - 1 : side + 2] = 0.2 * np.abs(case.feature).max()
        return Estimate(image + holes)

    scores, _, _ = case_scores.score_case(case, lambda case: {"": paint})
    assert scores["kept"] == pytest.approx(1, abs=0.05)
    assert scores["peak_added"] == pytest.approx(0.2, abs=0.04)
    assert 0.02 < scores["added"] < 0.2


def test_a_blur_loses_what_it_must():
    """A Gaussian filter weakens a wave of period p by exp(-2 (pi s / p)^2)."""
    case = case_of("charge_density_wave", "white_0.01", (192, 192))
    power = np.abs(np.fft.rfft2(case.feature - case.feature.mean())) ** 2
    row, column = np.unravel_index(power.argmax(), power.shape)
    frequency = np.hypot(np.fft.fftfreq(192)[row], column / 192)
    scores, _, _ = case_scores.score_case(case, blur(1.5))
    assert scores["kept"] == pytest.approx(np.exp(-2 * (np.pi * 1.5 * frequency) ** 2), abs=0.03)
    assert scores["gain"] < -5
    assert scores["bragg_worst"] < 0.9


def test_the_best_setting_counts():
    case = case_of("empty", "white_0.1")
    widths = {f"{w}": blur(w)(case)[""] for w in (0.5, 3, 1)}
    scores, setting, _ = case_scores.score_case(case, lambda case: widths)
    assert setting == "3"
    assert scores["maxima"] == pytest.approx(scores["gaussian_maxima"], abs=2)
    assert scores["peak"] == pytest.approx(1, abs=0.3)


def test_true_deviations_cover_68_and_95_percent():
    case = case_of("empty", "white_0.1", (192, 192))
    sigma = np.full(case.clean.shape, case.sigma)
    scores = case_scores.coverage(case, Estimate(case.noisy, sigma))
    assert scores["within_1"] == pytest.approx(0.683, abs=0.01)
    assert scores["within_2"] == pytest.approx(0.954, abs=0.01)


def test_a_model_is_scored_alone_or_in_the_mixture():
    noisy = case_of("kagome", "white_0.1", (64, 64)).noisy
    named, shipped, alone = (
        method_named(name)(None)[""](noisy).heights
        for name in ("denoise by surface_denoiser", "denoise", "surface_denoiser")
    )
    np.testing.assert_array_equal(named, shipped)
    assert not np.array_equal(alone, shipped)


def test_goals_are_met_and_missed():
    rows = [
        {"method": m, "case": str(i), "surface": "kagome", "surface_kind": "lattice",
         "noise": "white_0.1", "noise_kind": "white .03-.6", "gain": g}
        for m, g in (("good", 9.0), ("bad", -1.0), ("BM3D", 6.0)) for i in range(3)
    ]  # fmt: skip
    table = goals.goal_table(rows)
    verdicts = {(row[0].text, row[1].text[:40]): row[3].text for row in table.rows}
    assert {method for method, _ in verdicts} == {"good", "bad"}
    never, ahead = (list(goals.GOALS)[i][:40] for i in (0, 2))
    assert verdicts["good", never] == verdicts["good", ahead] == "met"
    assert verdicts["bad", never] == verdicts["bad", ahead] == "missed"


def test_results_are_kept_after_each_case():
    cases, kept = [case_of("kagome", noise) for noise in ("white_0.1", "white_0.3")], []
    filters = method_named("Gaussian")
    score_method("Gaussian", filters, cases, 2, Console(quiet=True), lambda x: kept.append(len(x)))
    assert kept == [1, 2]


def test_the_command_writes_tables_pictures_and_results_that_merge(command, tmp_path):
    arguments = ("frozen", "--miniature", "--strata", "kagome", "holes", "empty")
    results = tmp_path / "gaussian.json"
    code, out, err = command(
        quality.main, *arguments, "--method", "Gaussian", "--json", results, "--out", tmp_path / "a"
    )
    assert code == 0, err
    rows = json.loads(results.read_text())["rows"]
    assert {row["surface"] for row in rows} == {"kagome", "holes", "empty", "empty_terraces"}
    code, out, err = command(
        quality.main, *arguments, "--method", "network alone", "--merge", results,
        "--out", tmp_path / "b",
    )  # fmt: skip
    assert code == 0, err
    assert "network alone: 4 features keep .95 to 1.05" in out
    written = {path.name for path in (tmp_path / "b").iterdir()}
    assert written == {
        "worst_network_alone.png", "gain.csv", "bragg.csv", "features.csv", "invention.csv",
        "coverage.csv", "worst.csv", "goals.csv",
    }  # fmt: skip
    assert "Gaussian" in (tmp_path / "b" / "gain.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--strata", "diamond"), "no case is called diamond"),
        (("--method", "nothing.ckpt"), "nothing.ckpt"),
        (("--merge", "nowhere.json"), "nowhere.json holds no results"),
    ],
)
def test_wrong_options_are_one_sentence(command, tmp_path, arguments, message):
    code, _, err = command(
        quality.main, "frozen", "--miniature", *arguments, "--out", tmp_path / "out"
    )
    assert code == 1
    assert message in err
    assert len(err.strip().splitlines()) == 1
