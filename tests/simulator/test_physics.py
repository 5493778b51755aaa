"""What the `physical` preset must show, from crystallography alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from stm_experiments.simulator import CUT_LATTICES, PRESETS, place_atoms, render_topographs

PHYSICAL = PRESETS["physical"]
FLAT = torch.zeros(1, 3, dtype=torch.float64)
ROOT3 = math.sqrt(3)

# Reciprocal-lattice vectors (1/lattice constant) of the surface at tilt 0. Both half-integer sites
# of bcc lie half a constant below the plane, so that its period is the cell; so do those of fcc,
# whose surface is centred.
PEAKS = {
    "sc": [(1, 0), (0, 1)],
    "bcc": [(1, 0), (0, 1)],
    "fcc": [(1, 1), (1, -1)],
    "hex1": [(2 / 1.4, 2 / (1.4 * ROOT3)), (0, 4 / (1.4 * ROOT3))],
    "hex2": [(1 / 1.2, 1 / (2.4 * ROOT3)), (0, 1 / (1.2 * ROOT3))],
}


# A translation of the surface at tilt 0, lattice constants.
PERIOD = {
    "sc": (1, 0),
    "bcc": (0, 1),
    "fcc": (0.5, 0.5),
    "hex1": (0.35, 0.35 * ROOT3),
    "hex2": (0.6, 1.2 * ROOT3),
}


def flat_image(name, size=257):
    return render_topographs(name, FLAT, size=size)[0, 0].double()


@pytest.mark.parametrize("name", list(CUT_LATTICES))
def test_lattice_spacing_is_in_the_autocorrelation(name):
    image = flat_image(name)
    du, dv = (CUT_LATTICES[name].spread * x for x in PERIOD[name])
    step = (round(du), round(dv))
    image = image - image.mean()

    here = image[20:220, 20:220]

    def correlation(a, b):
        return float((here * image[20 + a : 220 + a, 20 + b : 220 + b]).mean() / here.var())

    around = {
        (a, b): correlation(step[0] + a, step[1] + b) for a in range(-3, 4) for b in range(-3, 4)
    }
    best = max(around, key=around.get)
    assert max(map(abs, best)) <= 1
    assert around[best] > 0.9


@pytest.mark.parametrize("name", list(CUT_LATTICES))
def test_reciprocal_lattice_peaks_are_where_theory_puts_them(name):
    size, spread = 257, CUT_LATTICES[name].spread
    image = flat_image(name, size)
    window = torch.hann_window(size, periodic=False, dtype=torch.float64)
    padded = torch.fft.fft2((image - image.mean()) * window[:, None] * window, s=(1024, 1024)).abs()
    background = padded.median()
    for gu, gv in PEAKS[name]:
        u, v = (round(1024 * g / spread) for g in (gu, gv))
        near = torch.stack(
            [padded[(u + a) % 1024, (v + b) % 1024] for a in range(-12, 13) for b in range(-12, 13)]
        )
        a, b = divmod(int(near.argmax()), 25)
        assert max(abs(a - 12), abs(b - 12)) <= 1
        assert near.max() > 100 * background


@pytest.mark.parametrize("name", list(CUT_LATTICES))
@pytest.mark.parametrize("tilt", [0.0, 0.5, 0.9])
def test_atom_density_is_one_per_projected_column(name, tilt):
    lattice = CUT_LATTICES[name]
    orientation = torch.tensor([[0.3, tilt, 0.4]], dtype=torch.float64)
    atoms = place_atoms(lattice, orientation, PHYSICAL, 1001)
    half = 480 / lattice.spread
    inside = (atoms.u.abs() < half) & (atoms.v.abs() < half) & atoms.present
    a, b, _ = lattice.cell
    columns = {"sc": 1, "bcc": 2, "fcc": 4, "hex1": 2, "hex2": 2}[name] / (a * b)
    q = 1 / math.cos(math.radians(lattice.tilt_max) * tilt)
    # Columns are q times farther apart on the tilted plane.
    assert int(inside.sum()) == pytest.approx((2 * half) ** 2 * columns / q, rel=0.02)


@pytest.mark.parametrize("name", ["sc", "bcc", "fcc"])
def test_quarter_turn_of_the_rotation_turns_the_image(name):
    angles = torch.tensor([[0.3, 0.6, 0.2], [0.3, 0.6, 0.7]], dtype=torch.float64)
    before, after = render_topographs(name, angles)[:, 0]
    torch.testing.assert_close(after, torch.rot90(before, -1, (0, 1)), atol=1e-4, rtol=0)
    assert (after - before).abs().max() > 1


@pytest.mark.parametrize("name", list(CUT_LATTICES))
def test_offset_by_one_period_gives_the_same_image(name):
    angles = torch.tensor([[0.3, 0.6, 0.2]] * 5, dtype=torch.float64)
    base = torch.tensor([0.25, 0.5, 0.75])
    periods = torch.tensor([[0, 0, 0], [1, 0, 0], [0, -1, 0], [0, 0, 1], [0.5, 0.0, 0.0]])
    images = render_topographs(name, angles, size=65, offset=base + periods)
    for shifted in images[1:4]:
        assert torch.equal(shifted, images[0])
    assert (images[4] - images[0]).abs().max() > 0.5


@pytest.mark.parametrize("name", ["bcc", "fcc", "hex1", "hex2"])
def test_centring_translation_gives_the_same_image(name):
    """Half a cell along a face or body diagonal is a symmetry of a centred lattice."""
    half = [0.5, 0.5, 0.5] if name == "bcc" else [0.5, 0.5, 0.0]
    origin = torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64)
    images = [
        render_topographs(name, [0.3, 0.6, 0.2], size=65, offset=o)
        for o in (origin, origin + torch.tensor(half))
    ]
    torch.testing.assert_close(images[1], images[0], atol=2e-5, rtol=0)


def test_image_is_smooth_in_the_orientation_but_for_atoms_that_cross_the_plane():
    lattice = CUT_LATTICES["sc"]
    a, b = torch.tensor([[0.3, 0.55, 0.2], [0.3, 0.5502, 0.2]], dtype=torch.float64)
    images = render_topographs(lattice, torch.stack((a, b)))[:, 0]
    changed = (images[1] - images[0]).abs() > 0.1
    assert changed.any()  # the step is large enough for some atoms to cross
    assert changed.float().mean() < 0.1

    atoms = [place_atoms(lattice, x[None], PHYSICAL, 257) for x in (a, b)]
    sites = [x.depth[0][x.present[0]] for x in atoms]
    uv = [torch.stack((x.u[0], x.v[0]), 1)[x.present[0]] for x in atoms]
    distance = torch.cdist(uv[0], uv[1])
    same = (distance < 0.02) & ((sites[0][:, None] - sites[1]).abs() < 0.02)
    lost = 10 * uv[0][~same.any(1)] + 128
    born = 10 * uv[1][~same.any(0)] + 128
    for pixel in changed.nonzero().double():
        crossings = torch.cat((lost, born))
        assert torch.linalg.norm(crossings - pixel, dim=1).min() < 13


def neighbours(name, radius):
    atoms = place_atoms(CUT_LATTICES[name], FLAT, PHYSICAL, 257)
    distance = torch.hypot(atoms.u[0], atoms.v[0])
    return distance[(distance > 1e-9) & (distance < radius)].sort().values


def test_hex1_is_hexagonal_and_hex2_centred_rectangular():
    six = neighbours("hex1", 0.75)
    assert len(six) == 6
    np.testing.assert_allclose(six, 0.7, atol=1e-12)
    two_then_four = neighbours("hex2", 2.2)
    np.testing.assert_allclose(two_then_four, [1.2] * 2 + [math.hypot(0.6, 1.2 * ROOT3)] * 4)


def test_111_face_of_fcc_is_hexagonal_when_the_limit_allows_it():
    """The surface at azimuth 45 and tilt 54.7 degrees is a close-packed plane."""
    tilt = math.degrees(math.atan(math.sqrt(2)))
    lattice = replace(CUT_LATTICES["fcc"], tilt_max=tilt)
    atoms = place_atoms(
        lattice, torch.tensor([[1 - 1e-12, 1 - 1e-12, 0.0]], dtype=torch.float64), PHYSICAL, 257,
        torch.tensor([[0.0, 0.0, -1e-6]], dtype=torch.float64),
    )  # fmt: skip
    top = atoms.depth[0].lt(1e-4) & atoms.present[0]
    u, v = atoms.u[0][top], atoms.v[0][top]
    distance = torch.hypot(u - u[len(u) // 2], v - v[len(v) // 2])
    nearest = distance.sort().values[1:7]
    np.testing.assert_allclose(nearest, math.sqrt(0.5), atol=1e-4)


@pytest.mark.parametrize("size", [16, 17, 33, 100, 300])
def test_a_smaller_image_is_the_middle_of_a_larger_one(size):
    angles = [0.3, 0.6, 0.2]
    small, large = (render_topographs("bcc", angles, size=n)[0, 0] for n in (size, 400))
    start = 200 - size // 2
    part = large[start : start + size, start : start + size]
    torch.testing.assert_close(small, part, atol=1e-5, rtol=0)


def test_smooth_maximum_stays_within_its_range():
    images = render_topographs("fcc", torch.rand(8, 3, dtype=torch.float64))
    assert images.min() >= 0
    assert images.max() <= 4 * 2**0.25
