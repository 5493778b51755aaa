"""Interface of the simulator: labels, shapes, pinned values, two domains, errors."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch

from stm_experiments.simulator import (
    CUT_LATTICES,
    LATTICES,
    NOISES,
    PRESETS,
    place_atoms,
    render_topographs,
    simulate,
)

ANGLES = [0.3, 0.6, 0.2]
# image[10, 20], image[32, 32], image[50, 3] and the mean, px 64 x 64.
PINNED = {
    ("physical", "sc"): [0.64646, 4.0, 0.489359, 0.953493],
    ("physical", "bcc"): [1.045526, 4.0, 1.513988, 0.957082],
    ("physical", "fcc"): [1.213493, 4.000325, 0.653937, 1.140998],
    ("physical", "hex1"): [0.05916, 4.0, 0.162146, 0.701113],
    ("physical", "hex2"): [0.534708, 4.0, 1.86925, 0.794884],
    ("published", "sc"): [1.281706, 4.038244, 0.707609, 1.044214],
    ("published", "bcc"): [0.860784, 4.00117, 0.549291, 0.933882],
    ("published", "fcc"): [0.614943, 4.025958, 0.43915, 1.139586],
    ("published", "hex1"): [1.901302, 4.011806, 0.790113, 1.385169],
    ("published", "hex2"): [1.918502, 4.013055, 2.684956, 1.273002],
    ("released", "sc"): [0.416075, 4.053768, 0.745704, 1.192025],
    ("released", "bcc"): [0.801516, 4.020383, 0.635992, 1.181889],
    ("released", "fcc"): [0.574212, 4.057154, 0.993498, 1.54978],
    ("released", "hex1"): [1.901302, 4.011806, 0.790113, 1.385169],
    ("released", "hex2"): [1.918502, 4.013055, 2.684956, 1.273002],
}


@pytest.mark.parametrize(("preset", "lattice"), list(PINNED))
def test_pinned_values(preset, lattice):
    image = render_topographs(lattice, ANGLES, preset, size=64)[0, 0]
    values = [float(x) for x in (image[10, 20], image[32, 32], image[50, 3], image.mean())]
    np.testing.assert_allclose(values, PINNED[preset, lattice], atol=2e-5, rtol=0)


def test_lattices_are_labelled_in_a_fixed_order():
    assert list(LATTICES)[:5] == list(CUT_LATTICES) == ["sc", "bcc", "fcc", "hex1", "hex2"]
    order = ["hex2", "sc", "fcc", "sc", "bcc", "hex1"]
    batch = simulate(
        [LATTICES[n] for n in order], range(6), NOISES["none"], PRESETS["physical"], size=32
    )
    assert batch.lattice.tolist() == [4, 0, 2, 0, 1, 3]
    for i, name in enumerate(order):
        image = render_topographs(name, batch.orientation[i], size=32, offset=batch.offset[i])
        assert torch.equal(image[0], batch.clean[i])


def test_shapes_and_types():
    batch = simulate([LATTICES["fcc"]] * 3, [1, 2, 3], NOISES["paper"], PRESETS["physical"], 50)
    assert batch.noisy.shape == batch.clean.shape == (3, 1, 50, 50)
    assert batch.noisy.dtype == batch.clean.dtype == torch.float32
    assert batch.orientation.shape == batch.offset.shape == (3, 3)
    assert batch.orientation.dtype == torch.float64
    assert batch.domain is None
    assert batch.second_orientation is None
    assert batch.atoms.u.shape == batch.atoms.present.shape


def test_program_presets_have_no_offset_and_physical_draws_one():
    for name, preset in PRESETS.items():
        batch = simulate([LATTICES["sc"]] * 4, range(4), NOISES["none"], preset, 32)
        assert bool((batch.offset != 0).any()) == (name == "physical")


@pytest.mark.parametrize("preset", ["physical", "published"])
def test_atoms_are_listed_where_the_image_shows_them(preset):
    batch = simulate([LATTICES["sc"]], [4], NOISES["paper"], PRESETS[preset], 128)
    u, v, depth = (x[batch.atoms.present] for x in batch.atoms[:3])
    inside = (u > 2) & (u < 125) & (v > 2) & (v < 125) & (depth < 0.2)
    heights = batch.clean[0, 0, u[inside].round().long(), v[inside].round().long()]
    assert len(heights) > 10
    expected = 4 * ((2 - depth[inside]) / 2) ** 1.5
    assert (heights > 0.8 * expected).all()
    assert heights.mean() > batch.clean.mean() + 1


def test_exclusion_thins_fcc_by_an_eighth_and_sc_hardly():
    removed = {}
    for name in ("sc", "bcc", "fcc"):
        lattice = LATTICES[name]
        batch = simulate([lattice] * 96, range(96), NOISES["none"], PRESETS["published"], 129)
        listed = place_atoms(lattice, batch.orientation, PRESETS["published"], 129).present.sum()
        removed[name] = 1 - float(batch.atoms.present.sum() / listed)
    assert removed["fcc"] == pytest.approx(0.13, abs=0.03)
    assert removed["bcc"] == pytest.approx(0.02, abs=0.015)
    assert removed["sc"] < 0.005


def exclusion_by_the_loop(preset, lattice, orientation):
    """The programs' loop over atoms on a canvas, as they wrote it."""
    atoms = place_atoms(lattice, orientation, preset, 65)
    spread, half = int(lattice.spread), 32
    s = spread**2 / 64 / lattice.k
    k = half + 4 * spread  # canvas index of (0, 0)
    canvas = np.zeros((2 * k + 1, 2 * k + 1))
    e = np.arange(-spread, spread)
    drawn = []
    for u, v, d in torch.stack(atoms[:3], -1)[0].tolist():
        cu, cv = u * spread, v * spread
        iu, iv = int(np.floor(cu)), int(np.floor(cv))
        if canvas[k + iu - 1, k + iv - 1] > preset.exclusion:
            drawn.append(False)
            continue
        drawn.append(True)
        r2 = (e[:, None] + cu - iu) ** 2 + (e + cv - iv) ** 2
        height = 4 * ((2 - d) / 2) ** 1.5
        canvas[k + iu - spread : k + iu + spread, k + iv - spread : k + iv + spread] += (
            height * np.exp(-preset.w[lattice.name] / s * r2 / np.sqrt(2 - d))
        )
    return drawn, canvas[k - half : k + half + 1, k - half : k + half + 1]


@pytest.mark.parametrize("lattice", ["sc", "bcc", "fcc"])
def test_image_equals_the_loop_of_the_programs(lattice):
    preset = PRESETS["published"]
    orientation = torch.tensor([[0.27, 0.8, 0.12]], dtype=torch.float64)
    drawn, image = exclusion_by_the_loop(preset, LATTICES[lattice], orientation)
    batch = simulate([LATTICES[lattice]], [0], NOISES["none"], preset, 65, orientation=orientation)
    assert batch.atoms.present[0].tolist() == drawn
    np.testing.assert_allclose(batch.clean[0, 0], image, atol=2e-5)
    if lattice == "fcc":
        assert not all(drawn)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_two_domains_show_two_orientations(preset):
    batch = simulate(
        [LATTICES["sc"]] * 12, range(12), NOISES["none"], PRESETS[preset], 129, domains=2
    )
    assert batch.domain.dtype == torch.int8
    assert batch.domain.shape == (12, 129, 129)
    assert set(batch.domain.unique().tolist()) == {-1, 0, 1}
    for sign, angles in ((1, batch.orientation), (-1, batch.second_orientation)):
        alone = render_topographs("sc", angles, preset, 129, batch.offset)[:, 0]
        # Away from the boundary, which reaches one window, the image is that of one orientation.
        other = (batch.domain != sign).float()[:, None]
        far = torch.nn.functional.max_pool2d(other, 61, 1, 30)[:, 0] == 0
        assert far.sum() > 1000
        equal = (alone - batch.clean[:, 0]).abs()[far] < 1e-3
        assert equal.float().mean() > 0.99


def test_limits_are_configuration():
    wide = replace(LATTICES["fcc"], tilt_max=54.7)
    assert not torch.equal(render_topographs(wide, ANGLES, size=32),
                           render_topographs("fcc", ANGLES, size=32))  # fmt: skip
    with pytest.raises(FrozenInstanceError):
        LATTICES["fcc"].tilt_max = 60  # type: ignore[misc]
    small = replace(LATTICES["sc"], spread=7.5)
    assert render_topographs(small, ANGLES, size=32).isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nacl", ANGLES), "unknown lattice 'nacl'.*sc, bcc, fcc, hex1, hex2"),
        (("sc", ANGLES, "paper"), "unknown preset 'paper'.*physical, published, released"),
        (("sc", [0.1, 0.2]), r"shape \[N, 3\]"),
        (("sc", np.zeros((0, 3))), r"shape \[N, 3\]"),
        (("sc", [[0.1, 0.2, 0.3], [0.1]]), "orientation must be numbers"),
        (("sc", "abc"), "orientation must be numbers"),
        (("sc", [0.1, 0.2, 1.0]), r"\[0, 1\)"),
        (("sc", [-0.1, 0.2, 0.3]), r"\[0, 1\)"),
        (("sc", [float("nan"), 0.2, 0.3]), "finite"),
        (("sc", ANGLES, "physical", 15), "at least 16 px"),
        (("sc", ANGLES, "physical", -5), "at least 16 px"),
        (("sc", ANGLES, "physical", 32.5), "whole number"),
        (("sc", ANGLES, "physical", 32, [[0.0, 0.0, 0.0]] * 2), "2 offsets.*1 orientations"),
        (("sc", ANGLES, "physical", 32, [0.0, float("inf"), 0.0]), "offset must be finite"),
        ((replace(LATTICES["sc"], spread=7.5), ANGLES, "published"), "whole number of px"),
        ((replace(LATTICES["sc"], name="mine"), ANGLES), "unknown lattice 'mine'"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        render_topographs(*arguments)


def test_bad_batches_and_lattices_are_refused():
    sc, none, physical = LATTICES["sc"], NOISES["none"], PRESETS["physical"]
    with pytest.raises(ValueError, match="one lattice and one seed per image"):
        simulate([sc], [1, 2], none, physical)
    with pytest.raises(ValueError, match="one lattice and one seed per image"):
        simulate([], [], none, physical)
    with pytest.raises(ValueError, match=r"seed of each image, such as \[0, 1, 2\], not 3"):
        simulate("sc", 3)
    with pytest.raises(ValueError, match="domains must be 1 or 2"):
        simulate([sc], [1], none, physical, domains=3)
    with pytest.raises(ValueError, match="2 orientations were given for 1 images"):
        simulate([sc], [1], none, physical, orientation=torch.zeros(2, 3))
    for limits in ({"spread": 0}, {"tilt_max": 90.0}, {"azimuth_max": -1.0}):
        with pytest.raises(ValueError, match="must"):
            replace(sc, **limits)


def test_orientation_may_be_a_list_an_array_or_a_tensor():
    images = [
        render_topographs("fcc", x, size=32)
        for x in (ANGLES, [ANGLES], np.array(ANGLES), torch.tensor(ANGLES, dtype=torch.float64))
    ]
    for image in images:
        assert image.shape == (1, 1, 32, 32)
        assert torch.equal(image, images[0])
