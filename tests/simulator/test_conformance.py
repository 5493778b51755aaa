"""Agreement with arrays recorded from the authors' programs and with the published images."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.io import imread

from stm_experiments.simulator import CUT_LATTICES, PRESETS, place_atoms, render_topographs
from stm_experiments.simulator.microscope.detector import noise_deviation
from stm_experiments.simulator.microscope.scan import striation, striation_centre
from stm_experiments.simulator.rendering.render import DrawnAtoms, draw, drawn_centres
from stm_experiments.simulator.surface.domains import domain_map, join_domains
from stm_experiments.simulator.surface.exclusion import not_excluded
from stm_experiments.simulator.surface.jitter import SampleNoise

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "simulator"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"reference arrays absent: {DATA}")

NAMES = list(CUT_LATTICES)
RELEASED = PRESETS["released"]
ORTHOGONAL = replace(PRESETS["published"], exclusion=0.75)
CASES = [
    (file, preset, t, case)
    for file, preset, types in (
        ("octave_reference", RELEASED, 5),
        ("octave_orthogonal", ORTHOGONAL, 3),
    )
    for t in range(1, types + 1)
    for case in (1, 4, 5)
]


def tolerance(name):
    """The programs' empty bcc columns, which we leave out, have the height 4.5e-5."""
    return 1e-4 if name == "bcc" else 2e-5


@pytest.mark.parametrize(("file", "preset", "t", "case"), CASES)
def test_atoms_and_clean_image_of_the_programs(file, preset, t, case):
    data = np.load(DATA / f"{file}.npz")
    key, name = f"t{t}_c{case}", NAMES[t - 1]
    a0 = torch.from_numpy(data[f"{key}_a0"])[None]
    expected = data[f"{key}_uvd"]
    expected = expected[:, expected[2] < 1.9]
    atoms = place_atoms(CUT_LATTICES[name], a0, preset, 257)
    ours = torch.stack(atoms[:3])[:, 0].numpy()
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, atol=1e-9, rtol=0)

    image = render_topographs(name, a0, preset)[0, 0].numpy()
    np.testing.assert_allclose(image, data[f"{key}_clean"], atol=tolerance(name), rtol=0)


@pytest.mark.parametrize("t", range(1, 6))
def test_two_domains_of_the_released_program(t):
    data = np.load(DATA / "octave_two_domain.npz")
    key, lattice = f"two_t{t}_c1", CUT_LATTICES[NAMES[t - 1]]
    domains = domain_map(torch.from_numpy(data[f"{key}_c"])[None], lattice, 257)
    np.testing.assert_array_equal(domains[0].numpy(), data[f"{key}_map"])

    first, second = (
        place_atoms(lattice, torch.tensor([a], dtype=torch.float64), RELEASED, 257)
        for a in ([0.1, 0.2, 0.3], [0.3, 0.95, 0.6])
    )
    atoms = join_domains(first, second, domains, lattice)
    expected = data[f"{key}_uvd"]
    expected = expected[:, expected[2] < 1.9]
    np.testing.assert_allclose(torch.stack(atoms[:3])[:, 0].numpy(), expected, atol=1e-9, rtol=0)
    centres = drawn_centres(atoms, lattice, RELEASED, 257)
    present = not_excluded(centres, atoms.depth, atoms.present, lattice, RELEASED, 257)
    image = draw(DrawnAtoms(centres, atoms.depth, present), lattice, RELEASED, 257)[0, 0]
    np.testing.assert_allclose(
        image.numpy(), data[f"{key}_clean"], atol=tolerance(lattice.name), rtol=0
    )


@pytest.mark.parametrize("t", range(1, 6))
def test_noise_of_the_released_program_given_its_draws(t):
    data, key = np.load(DATA / "octave_noise.npz"), f"t{t}_"
    lattice = CUT_LATTICES[NAMES[t - 1]]
    a0 = torch.tensor([[0.0617, 0.6401, 0.9943]], dtype=torch.float64)
    atoms = place_atoms(lattice, a0, RELEASED, 257)
    real = np.load(DATA / "octave_reference.npz")[f"{key}c5_uvd"][2] < 1.9
    widths = np.broadcast_to(data[key + "b"], real.shape)
    draws = np.stack((data[key + "ju"], data[key + "jv"], widths))
    normal = torch.from_numpy(draws[:, None, real])
    jitter = SampleNoise(0.2 / 15, 0.045).scaled(normal, lattice, RELEASED)
    np.testing.assert_allclose(jitter.width_change[0, 0], data[key + "delta"][0], atol=1e-12)

    centres = drawn_centres(atoms, lattice, RELEASED, 257)
    present = not_excluded(centres, atoms.depth, atoms.present, lattice, RELEASED, 257)
    centres = drawn_centres(atoms, lattice, RELEASED, 257, jitter.displacement)
    varied = draw(
        DrawnAtoms(centres, atoms.depth, present, jitter.width_change), lattice, RELEASED, 257
    )
    topograph = data[key + "P"]
    np.testing.assert_allclose(
        varied[0, 0].numpy(), topograph, atol=tolerance(lattice.name), rtol=0
    )

    s = lattice.spread**2 / (64 * lattice.k)
    wave = striation(
        math.pi / s * torch.from_numpy(data[key + "r"])[None],
        torch.tensor([0.3], dtype=torch.float64),
        torch.tensor([math.pi / 6], dtype=torch.float64),
        striation_centre(lattice, 257),
        257,
    )
    np.testing.assert_allclose(wave[0, 0].numpy(), data[key + "S"], atol=1e-6, rtol=0)

    # The recorded fields divided by the deviations of the paper's formulas are the draws.
    maximum, g, p = float(data[key + "maxP"][0]), data[key + "G"], data[key + "Po"]
    p_deviation = 0.025 * 3.5 * np.sqrt(topograph)
    draws_g = torch.from_numpy(g / (0.3 * maximum / 8))
    draws_p = torch.from_numpy(np.divide(p, p_deviation, where=topograph > 0, out=np.zeros_like(p)))
    # Real standard normal draws, so the formulas above are those of the program.
    assert abs(draws_g.std() - 1) < 0.01
    assert abs(draws_p[topograph > 0.01].std() - 1) < 0.01
    # The maximum is that of the programs' canvas, which is larger than the image.
    highest, heights = (torch.as_tensor(x)[None, None] for x in ([[maximum]], topograph))
    one = torch.ones(1, dtype=torch.float64)
    ours_g = draws_g * noise_deviation(highest, {"gaussian": 0.3 * one}, one)[0, 0]
    ours_p = draws_p * noise_deviation(heights, {"poisson": 3.5 * one}, one)[0, 0]
    np.testing.assert_allclose(ours_g.numpy(), g, atol=1e-6, rtol=0)
    np.testing.assert_allclose(ours_p.numpy(), p, atol=1e-6, rtol=0)
    total = varied[0, 0] + wave[0, 0] + ours_g + ours_p
    np.testing.assert_allclose(total.numpy(), data[key + "N"], atol=1e-4, rtol=0)


def fits():
    path = DATA / "published_fits.json"
    return sorted(json.loads(path.read_text())["fits"].items()) if path.is_file() else []


@pytest.mark.parametrize(("name", "fit"), fits())
def test_published_image_is_redrawn(name, fit):
    published = imread(DATA / "published_clean" / f"{name}.png").astype(float)
    image = render_topographs(NAMES[fit["type"] - 1], fit["a0"], "published")[0, 0]
    grey = (255 * (image - image.min()) / (image.max() - image.min())).double().numpy()
    difference = np.abs(grey - published)
    assert difference.max() < 0.6
    assert float(image.min()) == pytest.approx(fit["clean_min"], abs=1e-5)
    assert float(image.max()) == pytest.approx(fit["clean_max"], abs=1e-5)
