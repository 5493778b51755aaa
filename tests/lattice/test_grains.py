"""Grains of drawn bicrystals and of a real boundary."""

import math

import numpy as np
import pytest
from drawn_lattices import LATTICES, drawn, example, sites_of, turned

from stm_experiments.lattice.grains import find_misorientation, segment_grains

SIZE = 200
ROWS, COLUMNS = np.indices((SIZE, SIZE))


def bicrystal(name, first, second, slope):
    """Two grains of a lattice, turned by two angles in degrees, and where the second one is."""
    vectors, basis, width = LATTICES[name]
    gap = 0.18 * np.linalg.norm(vectors[0]) * math.hypot(1, slope)

    def side(p):
        return p[:, 1] - SIZE / 2 + slope * (p[:, 0] - SIZE / 2)

    left, right = (sites_of(turned(vectors, a), basis, size=SIZE) for a in (first, second))
    places = np.concatenate([left[side(left) < -gap], right[side(right) > gap]])
    noise = 0.05 * np.random.default_rng(1).standard_normal((SIZE, SIZE))
    return drawn(places, width, SIZE) + noise, COLUMNS - SIZE / 2 + slope * (ROWS - SIZE / 2) > 0


@pytest.mark.parametrize(
    ("name", "first", "second", "slope"),
    [("square", 10, 22, 0.3), ("hexagonal", 0, 8, -0.5), ("honeycomb", 10, 22, 0.3)],
)
def test_angle_and_boundary_of_bicrystals(name, first, second, slope):
    image, right = bicrystal(name, first, second, slope)
    grains = segment_grains(image)
    assert len(grains.fits) == 2
    assert abs(grains.misorientation[0, 1]) == pytest.approx(second - first, abs=0.3)
    number = int((grains.labels[right] == 1).mean() > 0.5)
    assert grains.misorientation[1 - number, number] == pytest.approx(second - first, abs=0.3)
    found = grains.labels == number
    inside = slice(20, SIZE - 20)
    edge, true = found[inside].argmax(1), right[inside].argmax(1)
    away = (edge - true) / math.hypot(1, slope) / np.linalg.norm(LATTICES[name][0][0])
    assert abs(away.mean()) < 0.2
    assert np.sqrt((away**2).mean()) < 0.5


@pytest.mark.parametrize("name", ["square", "honeycomb"])
def test_a_single_crystal_is_one_grain(name):
    grains = segment_grains(example(name)[1])
    assert len(grains.fits) == 1
    assert (grains.labels == 0).all()


def test_misorientation_is_the_least_of_equal_turns():
    vectors, _, _ = LATTICES["hexagonal"]
    assert find_misorientation(turned(vectors, 3), turned(vectors, 55)) == pytest.approx(
        (-8, 0), abs=1e-4
    )
    assert find_misorientation(turned(vectors, 55), turned(vectors, 3)) == pytest.approx(
        (8, 0), abs=1e-4
    )
    assert find_misorientation(turned(vectors, 20), turned(vectors, 20)) == (0, 0)
    stretched = turned(vectors, 6) * 1.05
    assert find_misorientation(np.array(vectors, float), stretched) == pytest.approx(
        (6, math.log(1.05)), abs=1e-4
    )
    assert math.isnan(find_misorientation(np.array(vectors), np.array(LATTICES["square"][0])).angle)


def test_the_boundary_in_gold(shared):
    from stm_experiments.io import read_scan

    grains = segment_grains(read_scan(shared / "data/scans/stem/Grain_boundry_gold_512px.png"))
    assert len(grains.fits) == 2
    # Seen by eye: from column 165 at the top to column 325 at the bottom.
    edges = [np.argmax(row == grains.labels[256, 500]) for row in grains.labels[[10, 256, 500]]]
    assert edges == pytest.approx([168, 238, 320], abs=10)
    assert abs(grains.misorientation[0, 1]) == pytest.approx(86, abs=4)  # modulo 180 degrees
