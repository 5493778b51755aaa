"""The local fit: each site placed by its neighbours, atoms followed wherever distortion took them.

The undistorted lattice numbers the sites; the displacement of the atoms from it is fitted around
each site by an affine map, which holds drift, strain and rotation of the surroundings.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from stm_experiments.lattice.cell import Motif, wrapped
from stm_experiments.lattice.vectors import Array, LatticeError

Indices = NDArray[np.int64]

_NEIGHBOURS = 24  # of a local fit, at most
_NEAR = 0.3  # furthest of an atom from its site, distances of nearest neighbours
_ROUGH = 0.2  # largest deviation of the neighbours from a local fit, rms, the same unit
_STRETCH = 0.3  # largest strain or rotation of a local fit
_SEED = 2.5  # radius in which the first atoms are numbered, longer lattice vectors
_REACH = 1.2  # standard deviation of the weight of the neighbours, distances of the sixth
_REWEIGHTED = 3  # times that neighbours that do not fit lose weight
_WEAK = 0.1  # least eigenvalue of a local fit: fewer neighbours, or on one line, do not hold it
_MARGIN = 0.15  # around the image in which sites are numbered, shares of its sides
_ROUNDS = 100  # at most; each goes one or two neighbours further


class Sites(NamedTuple):
    """The sites of an undistorted lattice.

    Attributes:
        vectors: [2,2] px.
        origin: [2] px.
        basis: In units of the vectors, [K,2].
        cell: [S,2].
        kind: [S].
        ideal: Their places, [S,2] px.
    """

    vectors: Array
    origin: Array
    basis: Array
    cell: Indices
    kind: Indices
    ideal: Array


class Surroundings(NamedTuple):
    """What the neighbours of each site say.

    Attributes:
        place: Where the site is, [S,2] px; NaN where too few neighbours, or
            neighbours that do not agree, say it.
        gradient: Of the displacement, d u_j / d x_i, [S,2,2].
        support: Weight of the neighbours that were measured, of all in the image, [S].
    """

    place: Array
    gradient: Array
    support: Array


def seed(motif: Motif, found: Array, near: float) -> tuple[Indices, Indices, Indices]:
    """Numbers the atoms around the place where most of them lie on the lattice.

    Args:
        motif: The chosen lattice.
        found: Atoms, [P,2] px.
        near: Distance of nearest neighbours, px.

    Returns:
        Which atoms, their cells and their kinds, [A], [A,2], [A].

    Raises:
        LatticeError: If there are too few for a lattice.
    """
    away = wrapped(motif.coordinates[:, None] - motif.basis)
    distance = np.linalg.norm(away @ motif.vectors, axis=2)
    kind = distance.argmin(1)
    cell = np.round(motif.coordinates - motif.basis[kind]).astype(int)
    good = np.flatnonzero(motif.good & (distance.min(1) < _NEAR * near))
    radius = _SEED * np.linalg.norm(motif.vectors, axis=1).max()
    tree = KDTree(found[good])
    most = tree.query_ball_point(found[good], radius, return_length=True).argmax()
    good = good[tree.query_ball_point(found[good[most]], radius)]
    ideal = (cell + motif.basis[kind]) @ motif.vectors
    reach = _REACH * sixth_neighbour(motif.vectors, motif.basis)
    i, j = KDTree(found[good]).query_pairs(reach, output_type="ndarray").T
    apart = (found[good[i]] - found[good[j]]) - (ideal[good[i]] - ideal[good[j]])
    bond = np.linalg.norm(apart, axis=1) < _NEAR * near
    graph = coo_array((bond[bond], (i[bond], j[bond])), shape=(len(good),) * 2)
    piece = connected_components(graph, directed=False)[1]
    good = good[piece == np.bincount(piece).argmax()]
    if len(np.unique(kind[good])) < len(motif.basis) or len(good) < 3 * len(motif.basis) + 3:
        raise LatticeError("no lattice was found: too few atoms lie on one")
    return good, cell[good], kind[good]


def all_sites(
    cell: Indices, kind: Indices, place: Array, shape: tuple[int, int]
) -> tuple[Sites, Indices]:
    """The mean lattice of numbered atoms, and every site that it has in and around the image.

    Args:
        cell: [A,2].
        kind: [A]; 0 to K - 1, each at least once.
        place: [A,2] px.
        shape: Of the image, px.

    Returns:
        The sites, and which of them the atoms are on, [A], -1 for none.
    """
    vectors, origin, basis = mean_lattice(cell, kind, place)
    margin = _MARGIN * np.array(shape)
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * (shape + 2 * margin) - margin
    cells = (corners - origin) @ np.linalg.inv(vectors)
    low = np.minimum(np.floor(cells.min(0)), cell.min(0)).astype(int) - 1
    high = np.maximum(np.ceil(cells.max(0)), cell.max(0)).astype(int) + 2
    grid = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), -1).reshape(-1, 2)
    cells, kinds = np.repeat(grid, len(basis), 0), np.tile(np.arange(len(basis)), len(grid))
    ideal = origin + (cells + basis[kinds]) @ vectors
    inside = ((ideal > -margin) & (ideal < shape + margin)).all(1)
    sites = Sites(vectors, origin, basis, cells[inside], kinds[inside], ideal[inside])
    number = np.where(inside, np.cumsum(inside) - 1, -1).reshape(*(high - low), len(basis))
    return sites, number[(*(cell - low).T, kind)]


def mean_lattice(cell: Indices, kind: Indices, place: Array) -> tuple[Array, Array, Array]:
    """Least-squares lattice of numbered atoms.

    Args:
        cell: [A,2].
        kind: [A]; 0 to K - 1, each at least once.
        place: [A,2] px.

    Returns:
        Vectors [2,2] px, origin [2] px (kind 0), basis [K,2] in units of the vectors.
    """
    kinds = np.eye(kind.max() + 1)[kind]
    terms = np.concatenate([cell, kinds], 1)
    solution = np.linalg.lstsq(terms, place, rcond=None)[0]
    vectors, places = solution[:2], solution[2:]
    return vectors, places[0], (places - places[0]) @ np.linalg.inv(vectors)


def surroundings(
    sites: Sites, found: Array, atom: Indices, near: float, reach: float, at: Indices | None = None
) -> Surroundings:
    """Fits the displacement around sites to their neighbours, the site's own atom left out.

    Args:
        sites: The sites.
        found: Atoms, [P,2] px.
        atom: The atom of each site, -1 for none, [S].
        near: Distance of nearest neighbours, px.
        reach: Standard deviation of the Gaussian weight of the neighbours, px.
        at: Around which sites; None: all.
    """
    place = sites.ideal if at is None else sites.ideal[at]
    known = sites.ideal[atom >= 0]
    moved = found[atom[atom >= 0]] - known
    distance, index = KDTree(known).query(
        place, range(1, min(_NEIGHBOURS, len(known)) + 1), distance_upper_bound=3 * reach
    )
    far = ~np.isfinite(distance)
    index[far] = 0
    weight = np.exp(-0.5 * (np.where(far, 0, distance) / reach) ** 2)
    weight[far | (distance < 1e-6)] = 0.0
    terms = np.ones((*index.shape, 3))
    terms[..., 1:] = (known[index] - place[:, None]) / reach
    values = moved[index]
    robust = weight
    for _ in range(_REWEIGHTED):
        weighted = (terms * robust[..., None]).transpose(0, 2, 1)
        normal = weighted @ terms
        weak = np.linalg.eigvalsh(normal)[:, 0] < _WEAK
        normal[weak] = np.eye(3)
        fit = np.linalg.solve(normal, weighted @ values)  # [S,3,2]
        error = ((values - terms @ fit) ** 2).sum(2)
        total = robust.sum(1) + 1e-9
        spread = (robust * error).sum(1) / total
        robust = weight / (1 + error / (9 * spread + (1e-3 * reach) ** 2)[:, None])
    gradient = fit[:, 1:] / reach
    torn = (gradient**2).sum((1, 2)) > _STRETCH**2
    unknown = weak | torn | (spread > (_ROUGH * near) ** 2)
    said = np.where(unknown[:, None], np.nan, place + fit[:, 0])
    return Surroundings(said, gradient, weight.sum(1))


def matched(place: Array, found: Array, near: float) -> Indices:
    """The atom of each place: the nearest within reach that is nearer to no other place, [S]."""
    atom = np.full(len(place), -1)
    asked = np.isfinite(place).all(1)
    distance, index = KDTree(found).query(place[asked], distance_upper_bound=_NEAR * near)
    owner = np.full(len(found) + 1, np.inf)
    np.minimum.at(owner, index, distance)
    own = np.isfinite(distance) & (distance <= owner[index])
    atom[np.flatnonzero(asked)[own]] = index[own]
    return atom


def follow(sites: Sites, found: Array, atom: Indices, near: float, reach: float) -> Indices:
    """Goes from the atoms that have a site to their neighbours, as far as there are any.

    Args:
        sites: The sites.
        found: Atoms, [P,2] px.
        atom: The atoms to start from, [S], -1 for none.
        near: Distance of nearest neighbours, px.
        reach: Of a local fit, px.

    Returns:
        The atom of each site, -1 for none, [S].
    """
    atom = atom.copy()
    free = np.ones(len(found), bool)
    for _ in range(_ROUNDS):
        free[:] = True
        free[atom[atom >= 0]] = False
        empty = np.flatnonzero(atom < 0)
        third = KDTree(sites.ideal[atom >= 0]).query(sites.ideal[empty], [3])[0][:, 0]
        edge = empty[third < 2 * reach]
        around = surroundings(sites, found, atom, near, reach, edge)
        new = matched(around.place, found[free], near)
        if not (new >= 0).any():
            break
        atom[edge[new >= 0]] = np.flatnonzero(free)[new[new >= 0]]
    for _ in range(2):  # the first atoms were placed by few neighbours
        if (atom >= 0).any():
            atom = matched(surroundings(sites, found, atom, near, reach).place, found, near)
    return atom


def grow(
    motif: Motif, found: Array, near: float, shape: tuple[int, int]
) -> tuple[Sites, Indices, float]:
    """Numbers the atoms of a lattice, from its clearest part on.

    Args:
        motif: The chosen lattice.
        found: Atoms, [P,2] px.
        near: Distance of nearest neighbours, px.
        shape: Of the image, px.

    Returns:
        All sites; the atom of each, -1 for none, [S]; and the reach of a local fit, px.

    Raises:
        LatticeError: If too few atoms lie on the lattice.
    """
    atoms, cell, kind = seed(motif, found, near)
    for _ in range(2):  # the mean lattice of all atoms is nearer to them than that of the first
        if not np.array_equal(np.unique(kind), np.arange(len(motif.basis))):
            raise LatticeError("no lattice was found: too few atoms lie on one")
        sites, number = all_sites(cell, kind, found[atoms], shape)
        reach = _REACH * sixth_neighbour(sites.vectors, sites.basis)
        atom = np.full(len(sites.kind), -1)
        atom[number[number >= 0]] = atoms[number >= 0]
        atom = follow(sites, found, atom, near, reach)
        on = atom >= 0
        atoms, cell, kind = atom[on], sites.cell[on], sites.kind[on]
    return sites, atom, reach


def sixth_neighbour(vectors: Array, basis: Array) -> float:
    """Distance of a site's sixth neighbour, mean over the kinds, px: there are some all around."""
    cells = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 2, indexing="ij"), -1).reshape(-1, 1, 2)
    around = ((cells + basis) @ vectors).reshape(-1, 2)
    return float(KDTree(around).query(basis @ vectors, [7])[0].mean())
