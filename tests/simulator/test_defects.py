"""Vacancies, adatoms, substitutions and steps, and what is told about them."""

import math

import pytest
import torch

from stm_experiments.simulator import (
    CUT_LATTICES,
    PRESETS,
    Defects,
    MotionNoise,
    Noise,
    render_topographs,
    simulate,
)
from stm_experiments.simulator.rendering.render import gaussian_shape

PHYSICAL = PRESETS["physical"]


def pair(defects, lattice="sc", n=6, size=161, preset="physical", **options):
    arguments = [CUT_LATTICES[lattice]] * n, range(n)
    plain = simulate(*arguments, Noise(), PRESETS[preset], size, **options)
    return plain, simulate(*arguments, Noise(defects=defects), PRESETS[preset], size, **options)


@pytest.mark.parametrize("preset", ["physical", "published"])
def test_a_vacancy_removes_exactly_one_gaussian(preset):
    lattice = CUT_LATTICES["sc"]
    plain, damaged = pair(Defects(vacancies=0.01), preset=preset)
    power = PRESETS[preset].exponent
    missing = plain.clean.double() ** power - damaged.clean.double() ** power
    pixel = torch.arange(161).double()
    for i in range(len(missing)):
        gone = plain.atoms.present[i] & ~damaged.atoms.present[i][: plain.atoms.present.shape[1]]
        u, v, depth = (x[i][gone] for x in plain.atoms[:3])
        amplitude, narrow = gaussian_shape(lattice, PRESETS[preset], depth)
        k = power * narrow / (2 - depth).sqrt()
        rows = torch.exp(-k[:, None] * (pixel - u[:, None]) ** 2)
        columns = torch.exp(-k[:, None] * (pixel - v[:, None]) ** 2)
        expected = torch.einsum("k,kr,kc->rc", amplitude**power, rows, columns)
        # Not nearer than the cut-off of 4.5 sigma (the programs': a window) and float32 allow.
        limit = 256 * 1e-5 if power == 4 else 0.02
        assert (missing[i, 0] - expected).abs().max() < limit
        # They are listed where they are.
        listed = damaged.truth["defect_position"][i][damaged.truth["defect_kind"][i] == 1]
        inside = (u > -0.5) & (u < 160.5) & (v > -0.5) & (v < 160.5)
        torch.testing.assert_close(listed, torch.stack((u, v), 1)[inside])
        assert set(damaged.truth["defect_kind"][i].tolist()) <= {0, 1}


@pytest.mark.parametrize("lattice", list(CUT_LATTICES))
def test_densities_are_shares_of_the_sites(lattice):
    defects = Defects(vacancies=0.02, adatoms=0.01, substitutions=0.03)
    plain, damaged = pair(defects, lattice, 12, 257)
    u, v = plain.atoms[:2]
    sites = plain.atoms.present & (u > -0.5) & (u < 256.5) & (v > -0.5) & (v < 256.5)
    kinds = damaged.truth["defect_kind"]
    total = int(sites.sum())
    for kind, share in ((1, 0.02), (2, 0.01), (3, 0.015), (4, 0.015)):
        expected = share * total
        assert abs(int((kinds == kind).sum()) - expected) < 5 * math.sqrt(expected)


def test_substitutes_are_brighter_or_darker_by_the_contrast():
    plain, damaged = pair(Defects(substitutions=0.02, contrast=0.4))
    kind, position = damaged.truth["defect_kind"], damaged.truth["defect_position"]
    for number, factor in ((3, 1.4), (4, 0.6)):
        image, slot = (kind == number).nonzero().T
        u, v = position[image, slot].round().long().clamp(0, 160).T
        before, after = plain.clean[image, 0, u, v], damaged.clean[image, 0, u, v]
        high = before > 2  # elsewhere the neighbours are seen
        assert high.sum() > 5
        torch.testing.assert_close(
            after[high], factor * before[high], rtol=0.02 if factor > 1 else 0.15, atol=0
        )


@pytest.mark.parametrize("lattice", list(CUT_LATTICES))
def test_adatoms_stand_out_of_the_surface(lattice):
    plain, damaged = pair(Defects(adatoms=0.01), lattice, domains=2)
    kind, position = damaged.truth["defect_kind"], damaged.truth["defect_position"]
    image, slot = (kind == 2).nonzero().T
    u, v = position[image, slot].round().long().clamp(0, 160).T
    risen = damaged.clean[image, 0, u, v] - plain.clean[image, 0, u, v]
    assert len(risen) > 5
    assert risen.min() > 0.3
    assert risen.mean() > 2
    # The rest of the image is as it was.
    far = torch.ones_like(plain.clean[:, 0], dtype=torch.bool)
    reach = 24
    for i, a, b in zip(image, u, v, strict=True):
        far[i, max(0, a - reach) : a + reach, max(0, b - reach) : b + reach] = False
    far[:, :reach] = far[:, -reach:] = far[:, :, :reach] = far[:, :, -reach:] = False
    torch.testing.assert_close(damaged.clean[:, 0][far], plain.clean[:, 0][far], atol=1e-4, rtol=0)


@pytest.mark.parametrize("lattice", ["sc", "bcc", "fcc"])
def test_beyond_a_step_the_lattice_continues_one_plane_deeper(lattice):
    flat = torch.zeros(6, 3, dtype=torch.float64)
    plain, stepped = pair(Defects(step=2.0), lattice, orientation=flat)
    upper, height = stepped.truth["step"], 2 * stepped.truth["corrugation"]
    assert 0.1 < upper.double().mean() < 0.9
    near = torch.nn.functional.max_pool2d(
        torch.stack((upper, ~upper), 1).float(), 41, 1, 20
    ).all(1)  # fmt: skip
    for i in range(6):
        high, low = upper[i] & ~near[i], ~upper[i] & ~near[i]
        above = stepped.clean[i, 0] - float(height[i])
        torch.testing.assert_close(above[high], plain.clean[i, 0][high], atol=1e-3, rtol=0)
        offset = plain.offset[i : i + 1]
        planes = {"sc": 1, "bcc": 2, "fcc": 2}[lattice]
        lower = render_topographs(
            lattice, flat[:1], size=161, offset=offset + torch.tensor([0, 0, 1 / planes])
        )[0, 0]
        torch.testing.assert_close(stepped.clean[i, 0][low], lower[low], atol=1e-3, rtol=0)


def test_chance_is_the_share_of_images():
    defects = Defects(vacancies=0.5, step=1.0, chance=0.4, step_chance=0.25)
    _, damaged = pair(defects, n=200, size=33)
    with_vacancies = (damaged.truth["defect_kind"] == 1).any(1).double().mean()
    with_step = (damaged.truth["step_height"] > 0).double().mean()
    assert float(with_vacancies) == pytest.approx(0.4, abs=0.12)
    assert float(with_step) == pytest.approx(0.25, abs=0.12)


def test_defects_are_listed_in_the_scanned_geometry():
    noise = Noise(defects=Defects(adatoms=0.02), motion=MotionNoise(drift=0.3))
    batch = simulate([CUT_LATTICES["sc"]] * 4, range(4), noise, PHYSICAL, 129)
    image, slot = (batch.truth["defect_kind"] == 2).nonzero().T
    u, v = batch.truth["defect_position"][image, slot].round().long().clamp(0, 128).T
    assert batch.clean[image, 0, u, v].mean() > 3.5
