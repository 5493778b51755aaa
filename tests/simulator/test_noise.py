"""Strengths of the paper's noise, measured on simulated images."""

import math
from dataclasses import replace

import pytest
import torch

from stm_experiments.simulator import (
    LATTICES,
    NOISES,
    PRESETS,
    DetectorNoise,
    Noise,
    SampleNoise,
    ScanNoise,
    simulate,
)
from stm_experiments.simulator.microscope.scan import striation, striation_centre

SC, PHYSICAL = LATTICES["sc"], PRESETS["physical"]


def images(noise, preset=PHYSICAL, lattice=SC, n=8, **options):
    return simulate([lattice] * n, range(n), noise, preset, **options)


def test_gaussian_deviation_follows_the_maximum():
    batch = images(Noise(detector=DetectorNoise(gaussian=0.3)))
    field = batch.noisy - batch.clean
    expected = 0.3 * batch.clean.amax((2, 3)) / 8
    torch.testing.assert_close(field.std((2, 3)), expected, rtol=0.02, atol=0)
    assert field.mean((2, 3)).abs().max() < 5 * 0.15 / 257


def test_poisson_deviation_follows_the_root_of_the_height():
    batch = images(Noise(detector=DetectorNoise(poisson=3.5)))
    field = batch.noisy - batch.clean
    for low, high in ((0.5, 1), (1.5, 2), (3, 3.5)):
        here = (batch.clean >= low) & (batch.clean < high)
        expected = 0.025 * 3.5 * batch.clean[here].mean().sqrt()
        assert float(field[here].std()) == pytest.approx(float(expected), rel=0.02)


def test_thermal_and_shot_noise_add_in_variance():
    detector = DetectorNoise(gaussian=0.3, poisson=3.5)
    batch = images(replace(NOISES["none"], detector=detector))
    noise, height = (batch.noisy - batch.clean), batch.clean
    thermal = (0.3 / 8 * height.amax((1, 2, 3), keepdim=True)) ** 2
    shot = (0.025 * 3.5) ** 2 * height
    scaled = noise / (thermal + shot).sqrt()
    # Unit variance in the dark, where it is mostly thermal, as in the light, where shot noise adds.
    for part in (height < 0.5, (height > 1) & (height < 2), height > 3):
        assert float(scaled[part].var()) == pytest.approx(1, abs=5 / part.sum().item() ** 0.5)


@pytest.mark.parametrize("kappa", [math.pi / 6, math.pi / 3])
def test_striation_is_one_plane_wave_of_the_given_wave_number(kappa):
    s = SC.spread**2 / 64
    angles = math.pi / s * torch.tensor([[0.0, 0.0], [0.37, 0.81]], dtype=torch.float64)
    height, number = (torch.full((2,), x, dtype=torch.float64) for x in (0.3, kappa))
    field = striation(angles, height, number, striation_centre(SC, 257), 257)[:, 0].double()
    assert float(field.max()) == pytest.approx(0.225, abs=1e-3)
    assert float(field.min()) == pytest.approx(-0.075, abs=1e-3)
    # t1 = t2 = 0: the wave runs along axis 0 with kappa rad per px.
    assert torch.equal(field[0, :, :1].expand(-1, 257), field[0])
    wave_u = kappa * math.cos(math.pi / s * 0.81)
    wave_v = -kappa * math.sin(math.pi / s * 0.37)
    x = field - 0.075
    # A plane wave satisfies f(r + e) + f(r - e) = 2 cos(k.e) f(r).
    for image, k in ((x[0], (kappa, 0.0)), (x[1], (wave_u, wave_v))):
        for axis in (0, 1):
            a = image.movedim(axis, 0)
            torch.testing.assert_close(
                a[2:] + a[:-2], 2 * math.cos(k[axis]) * a[1:-1], atol=1e-6, rtol=0
            )
    centre = 128 + 3 * 10 - 22
    assert float(field[1, centre, centre]) == pytest.approx(0.225, abs=1e-6)


def test_striation_of_simulated_images_uses_kappa():
    slow, fast = (images(Noise(scan=ScanNoise(0.3, k)), n=2) for k in (math.pi / 6, math.pi / 3))
    assert torch.equal(slow.clean, fast.clean)
    assert (slow.noisy - fast.noisy).abs().max() > 0.2
    assert float((slow.noisy - slow.clean).max()) == pytest.approx(0.225, abs=0.005)


@pytest.mark.parametrize(("preset", "sign"), [("physical", 1), ("published", -1)])
def test_position_jitter_moves_the_atoms_in_the_clean_image(preset, sign):
    still = images(NOISES["none"], PRESETS[preset])
    moved = images(Noise(sample=SampleNoise(position_jitter=0.2 / 15)), PRESETS[preset])
    assert torch.equal(still.atoms.present, moved.atoms.present)
    present = moved.atoms.present
    du, dv = (
        (a - b)[present]
        for a, b in zip(moved.atoms[:2], still.atoms[:2], strict=True)
    )  # fmt: skip
    for d in (du, dv):
        assert float(d.std()) == pytest.approx(10 * 0.2 / 15, rel=0.03)
    assert abs(torch.corrcoef(torch.stack((du, dv)))[0, 1]) < 0.05
    assert torch.equal(moved.noisy, moved.clean)
    assert (moved.clean - still.clean).abs().max() > 0.2

    # The image shows the atoms where the list says: a bright lone top is centred there.
    u, v, d, p = (x[0] for x in moved.atoms)
    frame = p & (d < 0.02) & (u > 9) & (u < 247) & (v > 9) & (v < 247)
    for j in frame.nonzero()[:5, 0]:
        row, column = round(float(u[j])), round(float(v[j]))
        patch = moved.clean[0, 0, row - 2 : row + 3, column - 2 : column + 3].double()
        if preset == "published":
            continue  # neighbours add up and shift the maximum
        log = patch.log()
        curve = log[1:4, 2]
        peak = row + float((curve[0] - curve[2]) / (2 * (curve[0] - 2 * curve[1] + curve[2])))
        assert peak == pytest.approx(float(u[j]), abs=0.1)


@pytest.mark.parametrize(
    ("preset", "lattice", "strength"),
    [("physical", "sc", 0.045), ("published", "bcc", 0.045), ("released", "fcc", 0.045),
     ("released", "bcc", 0.00225)],
)  # fmt: skip
def test_width_variation_is_per_atom_or_once_per_image(preset, lattice, strength):
    generators = [torch.Generator().manual_seed(i) for i in range(400)]
    count = torch.full((400,), 20)
    count[0] = 25
    noise = SampleNoise(0, 0.045)
    jitter = noise.draw(count, generators, LATTICES[lattice], PRESETS[preset])
    widths = jitter.width_change[:, :20]
    assert float(widths[:, 0].std()) == pytest.approx(strength, rel=0.15)
    assert bool((widths == widths[:, :1]).all()) == (preset == "released")


def test_width_variation_changes_the_image_but_not_the_tops():
    still, wide = (images(n, n=2) for n in (NOISES["none"], Noise(sample=SampleNoise(0, 0.045))))
    assert (wide.clean - still.clean).abs().max() > 0.02
    torch.testing.assert_close(wide.atoms.u, still.atoms.u)


def test_white_noise_of_the_paper_has_the_recorded_size():
    """0.15 where dark to 0.23 where bright, against a range of 4."""
    noise = replace(NOISES["paper"], scan=ScanNoise())
    batch = images(noise)
    field = batch.noisy - batch.clean
    dark, bright = batch.clean < 0.1, batch.clean > 3.8
    assert float(field[dark].std()) == pytest.approx(0.15, abs=0.015)
    assert float(field[bright].std()) == pytest.approx(0.23, abs=0.015)
