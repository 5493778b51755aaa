import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stm_experiments.data import SimulatedData
from stm_experiments.data.settings import PatchSettings
from stm_experiments.data.sources.simulated import simulated_lattices
from stm_experiments.latent.codes import Codes
from stm_experiments.latent.factors import (
    FACTORS,
    STRENGTHS,
    factor_measures,
    factor_targets,
    held_out_r2,
    ridge,
)
from stm_experiments.simulator import (
    CUT_LATTICES,
    FLAT_LATTICES,
    LATTICES,
    NOISES,
    render_topographs,
)

NAMES = list(CUT_LATTICES)


def make(images=60, patches=6, lattices=2):
    random = torch.Generator().manual_seed(3)
    image = torch.arange(images).repeat_interleave(patches)
    orientation = torch.rand(images, 3, generator=random)[image]
    return Codes(torch.zeros(len(image), 1), image % lattices, image, orientation)


def test_the_ranges_are_those_of_the_run():
    """A code that holds the azimuth exactly is read exactly, whatever the range of the azimuth."""
    settings = {"sc": {"azimuth_max": 90.0}, "bcc": {}}
    data = SimulatedData(settings, NOISES["none"], test_images=40, size=32)
    source = data.splits(PatchSettings(window=16))["test"]
    images = source(0, 0, source.count)
    limits = torch.tensor([90.0 if label == 0 else 45.0 for label in images.lattice])
    angle = torch.deg2rad(4 * limits * images.orientation[:, 0])
    codes = Codes(
        torch.stack([angle.cos(), angle.sin()], 1),
        images.lattice,
        images.number,
        images.orientation,
    )
    measures = factor_measures(codes, NAMES, LATTICES | simulated_lattices(source))
    for key in ("r2_azimuth", "r2_azimuth/sc", "r2_azimuth/bcc"):
        assert measures[key] == pytest.approx(1, abs=1e-3)
    assert factor_measures(codes, NAMES)["r2_azimuth/sc"] < 0.9  # with the registry's 45 degrees


@pytest.mark.parametrize(("name", "lattice"), FLAT_LATTICES.items())
def test_flat_lattices_have_their_rotation_modulo_their_symmetry(name, lattice):
    label, turn = torch.zeros(2, dtype=torch.long), 360 / lattice.fold / lattice.rotation_max
    orientation = torch.tensor([[0.1, 0.2, 0.3], [0.7, 0.4, 0.3 + turn]], dtype=torch.float64)
    targets = factor_targets(Codes(torch.zeros(2, 1), label, label, orientation), [name])
    assert [factor for factor in FACTORS if targets[factor].isfinite().all()] == ["rotation"]
    torch.testing.assert_close(targets["rotation"][0], targets["rotation"][1])
    images = render_topographs(replace(lattice, rotation_max=360.0), [
        [0.0, 0.0, angle / 360] for angle in (20.0, 20.0 + 360 / lattice.fold)
    ], size=33)  # fmt: skip
    difference = 0.3 if name == "zrte3" else 0.02  # half a turn of ZrTe3 moves Te by 0.06 a
    assert (images[0] - images[1]).abs().mean() < difference * images.std()


def test_targets_by_hand():
    orientation = torch.tensor([[0.5, 0.5, 0.25], [0.5, 1.0, 0.5], [0.5, 0.0, 0.0]])
    label = torch.tensor([NAMES.index(name) for name in ("sc", "hex1", "hex2")])
    targets = factor_targets(Codes(torch.zeros(3, 1), label, label, orientation), NAMES)
    # sc: b = 22.5, p = 45; hex1: b = 30, p = 90; hex2: b = 30, p = 0 degrees.
    degrees = {
        "azimuth": [4 * 22.5, 6 * 30, 2 * 30],
        "rotation": [2 * 45, 2 * 90, 0],
        "in_plane": [4 * 67.5, 6 * 120, 2 * 30],
    }
    for name, values in degrees.items():
        angles = torch.deg2rad(torch.tensor(values, dtype=torch.float64))
        torch.testing.assert_close(targets[name], torch.stack([angles.cos(), angles.sin()], 1))
    assert targets["tilt"].tolist() == [[22.5], [30.0], [0.0]]


def test_targets_do_not_change_where_the_pattern_does_not():
    label = torch.zeros(1, dtype=torch.long)

    def targets(*fractions, name="sc"):
        codes = Codes(
            torch.zeros(1, 1), label, label, torch.tensor([fractions], dtype=torch.float64)
        )
        return factor_targets(codes, [name])

    # Half a turn of the picture; a square's quarter turn (twice its range of 45 degrees).
    torch.testing.assert_close(
        targets(0.3, 0.5, 0.0)["rotation"], targets(0.3, 0.5, 1.0)["rotation"]
    )
    torch.testing.assert_close(targets(0.3, 0.5, 0.1)["azimuth"], targets(2.3, 0.5, 0.1)["azimuth"])
    # A flat square lattice: 9 degrees of azimuth or of rotation are the same turn.
    torch.testing.assert_close(
        targets(0.2, 0.0, 0.0)["in_plane"], targets(0.0, 0.0, 0.05)["in_plane"]
    )
    # A flat hexagon: a sixth of a turn by either.
    torch.testing.assert_close(
        targets(1.0, 0.0, 0.0, name="hex1")["in_plane"],
        targets(0.0, 0.0, 1 / 3, name="hex1")["in_plane"],
    )
    unknown = targets(0.1, 0.1, 0.1, name="graphite")
    assert not any(unknown[name].isfinite().any() for name in FACTORS)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_code_that_holds_a_factor_gives_one_and_the_others_nothing(factor):
    blank = make()
    random = torch.Generator().manual_seed(0)
    target = factor_targets(blank, NAMES)[factor]
    other = torch.randn(len(target), 3, generator=random)
    mixed = torch.cat([target, other], 1) @ torch.randn(
        target.shape[1] + 3, 8, generator=random, dtype=torch.float64
    )
    measures = factor_measures(blank._replace(codes=mixed.float()), NAMES)
    assert measures[f"r2_{factor}"] == pytest.approx(1, abs=1e-3)
    assert measures[f"r2_{factor}/sc"] == pytest.approx(1, abs=1e-3)
    assert measures[f"r2_{factor}/bcc"] == pytest.approx(1, abs=1e-3)
    related = {"azimuth", "rotation", "in_plane"}
    for name in FACTORS:
        if name != factor and not {name, factor} <= related:
            assert measures[f"r2_{name}"] < 0.1


def test_the_name_of_an_image_predicts_nothing():
    blank = make(images=100)
    names = torch.randn(100, 12, generator=torch.Generator().manual_seed(0))[blank.image]
    measures = factor_measures(blank._replace(codes=names), NAMES)
    assert set(measures) == {f"r2_{f}{s}" for f in FACTORS for s in ("", "/sc", "/bcc")}
    # Ridge is strong where names are all there is; split by patch anywhere, it would be weak.
    assert -0.2 < min(measures.values()) <= max(measures.values()) < 0.1


def test_r2_by_hand():
    # The code is the target plus independent noise of a third of its variance.
    random = torch.Generator().manual_seed(0)
    target = torch.randn(3000, 1, generator=random, dtype=torch.float64)
    code = target + math.sqrt(1 / 3) * torch.randn(3000, 1, generator=random, dtype=torch.float64)
    image = torch.arange(3000) // 10
    assert held_out_r2(code, {"x": target}, image) == {"x": pytest.approx(0.75, abs=0.03)}
    # Beside others the same; with a quarter unknown the same to sampling.
    part = target.clone()
    part[:750] = torch.nan
    flat, alone = torch.ones(3000, 1), held_out_r2(code, {"x": target}, image)["x"]
    several = {"noise": torch.randn(3000, 2), "flat": flat, "x": target, "part": part}
    values = held_out_r2(code, several, image)
    assert list(values) == ["noise", "x", "part"]
    assert values["x"] == pytest.approx(alone)
    assert values["part"] == pytest.approx(0.75, abs=0.03)
    assert values["noise"] == pytest.approx(0, abs=0.02)
    assert held_out_r2(code[:90], {"x": code[:90]}, image[:90]) == {}  # nine images


def test_what_is_unknown_has_no_key():
    codes = make(lattices=1)._replace(codes=torch.randn(360, 2))
    unknown = codes.orientation.clone()
    unknown[:, 1] = torch.nan
    measures = factor_measures(codes._replace(orientation=unknown), NAMES)
    assert set(measures) == {"r2_azimuth", "r2_rotation", "r2_in_plane"}
    assert factor_measures(codes._replace(orientation=unknown * torch.nan), NAMES) == {}


def test_ridge_equals_scikit_learn():
    random = np.random.default_rng(0)
    points, asked = random.normal(3, 2, size=(40, 60)), random.normal(3, 2, size=(7, 60))
    truth = points[:, :2] + random.normal(size=(40, 2))
    got = ridge(points, truth, asked)
    for strength, guessed in zip(STRENGTHS, got, strict=True):
        model = make_pipeline(StandardScaler(), Ridge(40 * strength)).fit(points, truth)
        np.testing.assert_allclose(guessed, model.predict(asked), atol=1e-9)
