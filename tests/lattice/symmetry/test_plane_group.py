"""The plane group of drawn cells, of each of the 17 groups."""

import re

import numpy as np
import pytest

from stm_experiments.lattice.fit import find_lattice
from stm_experiments.lattice.symmetry.bravais import find_symmetries
from stm_experiments.lattice.symmetry.plane_group import find_plane_group, plane_group_of
from stm_experiments.restoration.measured import as_scan

OBLIQUE = np.array([[1.0, -0.2], [-0.2, 1.7]])
RECTANGULAR = np.diag([1.0, 1.7])
CENTRED = np.array([[1.0, -0.2], [-0.2, 1.0]])  # of the primitive, rhombic cell
SQUARE = np.eye(2)
HEXAGONAL = np.array([[1.0, -0.5], [-0.5, 1.0]])
# The general positions of each group in the primitive cell, as functions of x and y.
GROUPS = {
    "p1": (OBLIQUE, "x,y"),
    "p2": (OBLIQUE, "x,y -x,-y"),
    "pm": (RECTANGULAR, "x,y -x,y"),
    "pg": (RECTANGULAR, "x,y -x,y+1/2"),
    "cm": (CENTRED, "x,y y,x"),
    "p2mm": (RECTANGULAR, "x,y -x,-y -x,y x,-y"),
    "p2mg": (RECTANGULAR, "x,y -x,-y -x+1/2,y x+1/2,-y"),
    "p2gg": (RECTANGULAR, "x,y -x,-y -x+1/2,y+1/2 x+1/2,-y+1/2"),
    "c2mm": (CENTRED, "x,y y,x -x,-y -y,-x"),
    "p4": (SQUARE, "x,y -x,-y -y,x y,-x"),
    "p4mm": (SQUARE, "x,y -x,-y -y,x y,-x -x,y x,-y y,x -y,-x"),
    "p4gm": (
        SQUARE,
        "x,y -x,-y -y,x y,-x -x+1/2,y+1/2 x+1/2,-y+1/2 y+1/2,x+1/2 -y+1/2,-x+1/2",
    ),
    "p3": (HEXAGONAL, "x,y -y,x-y -x+y,-x"),
    "p3m1": (HEXAGONAL, "x,y -y,x-y -x+y,-x -y,-x -x+y,y x,x-y"),
    "p31m": (HEXAGONAL, "x,y -y,x-y -x+y,-x y,x x-y,-y -x,-x+y"),
    "p6": (HEXAGONAL, "x,y -y,x-y -x+y,-x -x,-y y,-x+y x-y,x"),
    "p6mm": (
        HEXAGONAL,
        "x,y -y,x-y -x+y,-x -x,-y y,-x+y x-y,x -y,-x -x+y,y x,x-y y,x x-y,-y -x,-x+y",
    ),
}

ATOMS = [(0.11, 0.32), (0.4, 0.48), (0.08, 0.24)]  # (x, y), on no element of any group


def move(positions, place):
    """Return the images of a place (x, y) at general positions such as "-x+1/2,y", [P, 2]."""
    terms = {"x": place[0], "y": place[1], "1/2": 0.5}
    return [
        [
            sum(
                float(f"{sign}1") * terms[term]
                for sign, term in re.findall(r"([+-]?)(x|y|1/2)", part)
            )
            for part in text.split(",")
        ]
        for text in positions.split()
    ]


def draw_cell(name, seed, noise=0.1, side=32):
    """Draw a cell: three atoms, each at all its positions, with any origin and noise."""
    random = np.random.default_rng(seed)
    metric, positions = GROUPS[name]
    grid = np.stack(np.meshgrid(*[np.arange(side) / side] * 2, indexing="ij"), -1)
    cell = np.zeros((side, side))
    shift = random.random(2)
    for height, atom in zip((1.0, 0.7, 0.5), ATOMS, strict=True):
        for place in move(positions, atom):
            away = grid - place - shift
            away -= np.round(away)
            cell += height * np.exp(-0.5 * np.einsum("abi,ij,abj->ab", away, metric, away) / 0.006)
    return cell + noise * cell.std() * random.standard_normal(cell.shape)


@pytest.mark.parametrize("name", GROUPS)
def test_each_group_is_found_wherever_the_origin_is(name):
    found = [find_plane_group(draw_cell(name, seed), GROUPS[name][0]) for seed in range(3)]
    assert [group.name for group in found] == [name] * 3
    assert all(group.margin > 3 for group in found)


def test_a_herringbone_is_told_from_a_centred_lattice():
    """Pairs of atoms that lean to the left and to the right by turns, drawn as an image."""
    rows, columns = np.indices((160, 160)).astype(float)
    random = np.random.default_rng(0)
    image = 0.05 * random.standard_normal(rows.shape)
    for row in range(-1, 9):
        for column in range(-1, 8):
            for half, lean in ((0.0, 1.0), (0.5, -1.0)):
                middle = np.array([20 * (row + half), 26 * (column + half)])
                for end in (-1, 1):
                    r, c = middle + end * np.array([3.5, 5.0 * lean])
                    image += np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * 2.2**2))
    fit = find_lattice(image)
    (symmetry,) = find_symmetries(image, None, [fit])
    group = plane_group_of(as_scan(image), fit, symmetry)
    assert group is not None
    assert group.name == "p2gg"
    assert group.confidence == "high"


def test_a_constant_cell_has_no_group():
    with pytest.raises(ValueError, match="constant cell"):
        find_plane_group(np.ones((8, 8)), SQUARE)
    fit = find_lattice(square_lattice())
    (symmetry,) = find_symmetries(square_lattice(), None, [fit])
    assert plane_group_of(as_scan(np.random.default_rng(0).random((96, 96))), fit, symmetry) is None


def square_lattice():
    """Return an image of a square lattice of 12 px, [96, 96]."""
    rows, columns = np.indices((96, 96)) * (2 * np.pi / 12)
    return np.exp(np.cos(rows) + np.cos(columns))
