"""The sites of a distorted lattice: atoms are numbered from neighbour to neighbour.

The undistorted lattice numbers the sites; the displacement of the atoms from it is fitted around
each site by an affine map, which holds drift, strain and rotation of the surroundings. Positions
are (row, column).
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from stm_experiments.core.arrays import Array, Indices, Mask
from stm_experiments.lattice.motif import Maxima, Motif, wrap_fractions
from stm_experiments.lattice.vectors import LatticeError

_NEIGHBOURS = 20  # of a local fit, and those that are as far away as the last of them
_MOST_NEIGHBOURS = 40  # with those
_FADE = 0.1  # range over which the weight of further ones falls to 0, distances of the last
_NEAR = 0.3  # furthest of an atom from its site, distances of nearest neighbours
_ROUGH = 0.2  # largest deviation of the neighbours from a local fit, rms, the same unit
_STRETCH = 0.3  # largest strain or rotation of a local fit
_SEED = 2.5  # radius in which the first atoms are numbered, longer lattice vectors
_REACH = 1.2  # standard deviation of the weight of the neighbours, distances of the sixth
_REWEIGHTED = 3  # times that neighbours that do not fit lose weight
_WEAK = 0.1  # least eigenvalue of a local fit: it is less with few neighbours or all on one line
_MARGIN = 0.15  # around the image in which sites are numbered, shares of its sides
_MOST = 4_000_000  # sites in and around an image, to bound time and memory
_BLOCK = 2_000  # sites that are fitted at a time: their numbers stay in the cache
TOO_FEW = (
    "no lattice was found: too few of the image's maxima lie on one; cut out the part that shows "
    "it, or average scans if noise hides atoms"
)


class MeanLattice(NamedTuple):
    """The least-squares lattice of numbered atoms.

    Attributes:
        vectors: (row, column) each, [2, 2] px.
        origin: The site of the first kind in cell (0, 0), (row, column), [2] px.
        basis: In units of the vectors, the first at 0, [K, 2].
    """

    vectors: Array
    origin: Array
    basis: Array


class NumberedAtoms(NamedTuple):
    """Atoms and their places in the lattice. A atoms.

    Attributes:
        atom: Indices into the maxima, [A].
        cell: [A, 2].
        kind: Which place of the cell, [A].
    """

    atom: Indices
    cell: Indices
    kind: Indices


class LatticeSites(NamedTuple):
    """The sites of an undistorted lattice. S sites.

    Attributes:
        lattice: Its vectors, origin and basis.
        cell: [S, 2].
        kind: [S].
        ideal: Positions (row, column), [S, 2] px.
    """

    lattice: MeanLattice
    cell: Indices
    kind: Indices
    ideal: Array


class Growth(NamedTuple):
    """LatticeSites and the atoms that were followed through the image.

    Attributes:
        sites: All sites in and around the image.
        atom: The atom of each site, an index into the maxima, -1 for none, [S].
        reach: Standard deviation of the weight of the neighbours in a local fit, px.
    """

    sites: LatticeSites
    atom: Indices
    reach: float


class Surroundings(NamedTuple):
    """The local fits to the neighbours of sites.

    Attributes:
        place: Fitted position (row, column) of the site, [S, 2] px; NaN if too few neighbours
            determine it or the neighbours disagree.
        gradient: Of the displacement, d u_j / d x_i, [S, 2, 2].
        support: Total weight of the measured neighbours, [S].
    """

    place: Array
    gradient: Array
    support: Array


def number_atoms(motif: Motif, maxima: Maxima, shape: tuple[int, ...]) -> Growth:
    """Number the atoms of a lattice, starting at its clearest part.

    Args:
        motif: The chosen lattice.
        maxima: The atoms.
        shape: Of the image, px.

    Raises:
        LatticeError: If too few atoms lie on the lattice, or it has too many sites.
    """
    numbered = _first_atoms(motif, maxima)
    for _ in range(2):  # the mean lattice of all atoms fits them better than that of the first
        if not np.array_equal(np.unique(numbered.kind), np.arange(len(motif.basis))):
            raise LatticeError(TOO_FEW)
        places = maxima.atoms[numbered.atom]
        lattice = fit_mean_lattice(numbered.cell, numbered.kind, places)
        sites, number = _all_sites(lattice, numbered, shape)
        reach = _REACH * _sixth_neighbour(lattice.vectors, lattice.basis)
        atom = np.full(len(sites.kind), -1)
        atom[number[number >= 0]] = numbered.atom[number >= 0]
        growth = Growth(sites, _follow(Growth(sites, atom, reach), maxima), reach)
        on = growth.atom >= 0
        numbered = NumberedAtoms(growth.atom[on], sites.cell[on], sites.kind[on])
    for _ in range(2):  # few neighbours placed the first atoms
        if not (growth.atom >= 0).any():
            raise LatticeError(TOO_FEW)
        around = fit_surroundings(growth, maxima.atoms, maxima.spacing)
        atom = _nearest_atoms(around.place, KDTree(maxima.atoms), maxima.spacing)
        growth = growth._replace(atom=atom)
    return growth


def _first_atoms(motif: Motif, maxima: Maxima) -> NumberedAtoms:
    """Number the atoms around the place where most of them lie on the lattice.

    Raises:
        LatticeError: If there are too few for a lattice.
    """
    atoms = maxima.atoms
    away = wrap_fractions(motif.coordinates[:, None] - motif.basis)
    distance = np.linalg.norm(away @ motif.vectors, axis=2)
    kind = distance.argmin(1)
    cell = np.round(motif.coordinates - motif.basis[kind]).astype(int)
    good = np.flatnonzero(motif.good & (distance.min(1) < _NEAR * maxima.spacing))
    radius = _SEED * np.linalg.norm(motif.vectors, axis=1).max()
    tree = KDTree(atoms[good])
    densest = tree.query_ball_point(atoms[good], radius, return_length=True).argmax()
    good = good[tree.query_ball_point(atoms[good[densest]], radius)]
    ideal = (cell + motif.basis[kind]) @ motif.vectors
    reach = _REACH * _sixth_neighbour(motif.vectors, motif.basis)
    i, j = KDTree(atoms[good]).query_pairs(reach, output_type="ndarray").T
    apart = (atoms[good[i]] - atoms[good[j]]) - (ideal[good[i]] - ideal[good[j]])
    bond = np.linalg.norm(apart, axis=1) < _NEAR * maxima.spacing
    graph = coo_array((bond[bond], (i[bond], j[bond])), shape=(len(good),) * 2)
    piece = connected_components(graph, directed=False)[1]
    good = good[piece == np.bincount(piece).argmax()]
    if len(np.unique(kind[good])) < len(motif.basis) or len(good) < 3 * len(motif.basis) + 3:
        raise LatticeError(TOO_FEW)
    return NumberedAtoms(good, cell[good], kind[good])


def _all_sites(
    lattice: MeanLattice, numbered: NumberedAtoms, shape: tuple[int, ...]
) -> tuple[LatticeSites, Indices]:
    """Lay out every site of a lattice in and around the image.

    Returns:
        The sites, and the site of each numbered atom, [A], -1 for none.

    Raises:
        LatticeError: If there are more than 4 000 000.
    """
    vectors, origin, basis = lattice
    margin = _MARGIN * np.array(shape)
    n_sites = np.prod(shape + 2 * margin) * len(basis) / abs(np.linalg.det(vectors))
    if n_sites > _MOST:
        raise LatticeError(
            f"the lattice has about {n_sites:.2g} sites in and around an image of {shape[0]} x "
            f"{shape[1]} px, and at most {_MOST} can be followed: cut the image into parts"
        )
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * (shape + 2 * margin) - margin
    cells = (corners - origin) @ np.linalg.inv(vectors)
    low = np.minimum(np.floor(cells.min(0)), numbered.cell.min(0)).astype(int) - 1
    high = np.maximum(np.ceil(cells.max(0)), numbered.cell.max(0)).astype(int) + 2
    grid = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), -1).reshape(-1, 2)
    cells, kinds = np.repeat(grid, len(basis), 0), np.tile(np.arange(len(basis)), len(grid))
    ideal = origin + (cells + basis[kinds]) @ vectors
    inside = ((ideal > -margin) & (ideal < shape + margin)).all(1)
    sites = LatticeSites(lattice, cells[inside], kinds[inside], ideal[inside])
    number = np.where(inside, np.cumsum(inside) - 1, -1).reshape(*(high - low), len(basis))
    return sites, number[(*(numbered.cell - low).T, numbered.kind)]


def fit_mean_lattice(cell: Indices, kind: Indices, place: Array) -> MeanLattice:
    """Fit a lattice to numbered atoms by least squares.

    Args:
        cell: [A, 2].
        kind: [A]; 0 to K - 1, each at least once.
        place: Positions (row, column), [A, 2] px.
    """
    kinds = np.eye(kind.max() + 1)[kind]
    terms = np.concatenate([cell, kinds], 1)
    solution = np.linalg.lstsq(terms, place, rcond=None)[0]
    vectors, places = solution[:2], solution[2:]
    return MeanLattice(vectors, places[0], (places - places[0]) @ np.linalg.inv(vectors))


def fit_surroundings(
    growth: Growth, atoms: Array, spacing: float, at: Indices | None = None
) -> Surroundings:
    """Fit the displacement around sites to their neighbours, the site's own atom left out.

    Args:
        growth: The sites, and the atom of each.
        atoms: Positions (row, column) of the atoms, [P, 2] px.
        spacing: Distance of nearest neighbours, px.
        at: Indices of the sites to fit around; None: all.
    """
    places = growth.sites.ideal if at is None else growth.sites.ideal[at]
    neighbours = _find_neighbours(growth, atoms)
    blocks = [_fit_block(neighbours, block, spacing) for block in _blocks(places)]
    return Surroundings(*map(np.concatenate, zip(*blocks, strict=True)))


def measure_support(growth: Growth) -> Array:
    """Return the total weight of the neighbours of each site that hold an atom, [S]."""
    neighbours = _find_neighbours(growth, growth.sites.ideal)
    blocks = [_weigh(neighbours, block)[1].sum(1) for block in _blocks(growth.sites.ideal)]
    return np.concatenate(blocks)


def measure_gradient_error(growth: Growth, at: Indices) -> float:
    """Return the standard error of the gradient if those of the atoms are 1 px, median, 1/px.

    Args:
        growth: The sites, and the atom of each.
        at: Indices of the sites around which the gradient is fitted.
    """
    place = growth.sites.ideal[at]
    neighbours = _find_neighbours(growth, growth.sites.ideal)
    index, weight = _weigh(neighbours, place)
    apart = (neighbours.ideal[index] - place[:, None]) / growth.reach
    terms = np.concatenate([np.ones((*apart.shape[:2], 1)), apart], 2)
    weighted = terms * weight[..., None]
    across = weighted.transpose(0, 2, 1)
    slopes = np.linalg.pinv(across @ terms, hermitian=True)[:, 1:]
    variance = (slopes @ (across @ weighted) @ slopes.transpose(0, 2, 1)).diagonal(0, 1, 2)
    return float(np.sqrt(np.median(variance))) / growth.reach


def _blocks(places: Array) -> list[Array]:
    """Return places [P, 2] in parts, at least one, to bound the memory of what is done with one."""
    return [places[start : start + _BLOCK] for start in range(0, max(len(places), 1), _BLOCK)]


class _Neighbours(NamedTuple):
    """The sites that hold an atom. N sites.

    Attributes:
        ideal: Positions (row, column), [N, 2] px.
        displacement: Of the atoms from them, [N, 2] px.
        tree: Of the positions.
        reach: Standard deviation of the weight of the neighbours in a local fit, px.
    """

    ideal: Array
    displacement: Array
    tree: KDTree
    reach: float


def _find_neighbours(growth: Growth, atoms: Array) -> _Neighbours:
    """Return the sites that hold one of the atoms (row, column) [P, 2] px."""
    sites, atom, reach = growth
    occupied = sites.ideal[atom >= 0]
    return _Neighbours(occupied, atoms[atom[atom >= 0]] - occupied, KDTree(occupied), reach)


def _weigh(neighbours: _Neighbours, place: Array) -> tuple[Indices, Array]:
    """Return the neighbours of ideal positions [S, 2] and their weights, [S, N] each."""
    _, _, tree, reach = neighbours
    count = min(_MOST_NEIGHBOURS, tree.n)
    distance, index = tree.query(place, range(1, count + 1), distance_upper_bound=3 * reach)
    far = ~np.isfinite(distance)
    index[far], distance[far] = 0, 3 * reach
    weight = np.exp(-0.5 * (distance / reach) ** 2)
    # Of neighbours that are equally far away none is left out, and the weight has no jump: else
    # the last digits of their distances would decide.
    last = distance[:, min(_NEIGHBOURS, count) - 1, None]
    weight *= (1 - (distance - last) / (_FADE * last)).clip(0, 1)
    weight[far | (distance < 1e-6)] = 0.0
    return index, weight


def _fit_block(neighbours: _Neighbours, place: Array, spacing: float) -> Surroundings:
    """Fit the displacement around the ideal positions [S, 2] of some sites, as many as fit."""
    occupied, moved, _, reach = neighbours
    index, weight = _weigh(neighbours, place)
    fitted, gradient = np.full(place.shape, np.nan), np.zeros((len(place), 2, 2))
    near = np.flatnonzero((weight > 0).sum(1) >= 3)  # fewer determine no affine map
    apart = (occupied[index[near]] - place[near, None]) / reach
    fit, known = _fit_affine(apart, moved[index[near]], weight[near], reach, spacing)
    gradient[near] = fit[:, 1:] / reach
    fitted[near] = np.where(known[:, None], place[near] + fit[:, 0], np.nan)
    return Surroundings(fitted, gradient, weight.sum(1))


def _fit_affine(
    apart: Array, values: Array, weight: Array, reach: float, spacing: float
) -> tuple[Array, Mask]:
    """Fit affine maps to the displacements of neighbours; those that do not fit lose weight.

    Args:
        apart: Of the N neighbours from each site, [S, N, 2] reaches.
        values: Their displacements, [S, N, 2] px.
        weight: Their weights, [S, N].
        reach: Standard deviation of the weight, px.
        spacing: Distance of nearest neighbours, px.

    Returns:
        Displacement at the site and its gradient, [S, 3, 2] px, and whether they are determined
        and the neighbours agree, [S].
    """
    terms = np.concatenate([np.ones((*apart.shape[:2], 1)), apart], 2)
    pairs = np.concatenate([terms, values], 2)
    products = (terms[..., :, None] * pairs[..., None, :]).reshape(*weight.shape, 15)
    robust = weight
    for _ in range(_REWEIGHTED):
        sums = (robust[:, None] @ products).reshape(-1, 3, 5)
        normal = sums[:, :, :3].copy()
        weak = np.linalg.eigvalsh(normal)[:, 0] < _WEAK
        normal[weak] = np.eye(3)
        fit = np.linalg.solve(normal, sums[:, :, 3:])
        error = ((values - terms @ fit) ** 2).sum(2)
        total = robust.sum(1) + 1e-9
        variance = (robust * error).sum(1) / total
        robust = weight / (1 + error / (9 * variance + (1e-3 * reach) ** 2)[:, None])
    torn = ((fit[:, 1:] / reach) ** 2).sum((1, 2)) > _STRETCH**2
    return fit, np.asarray(~(weak | torn | (variance > (_ROUGH * spacing) ** 2)), bool)


def _nearest_atoms(place: Array, atoms: KDTree, spacing: float) -> Indices:
    """Return the atom of each place: the nearest within reach that is nearer to no other, [S]."""
    atom = np.full(len(place), -1)
    finite = np.isfinite(place).all(1)
    distance, index = atoms.query(place[finite], distance_upper_bound=_NEAR * spacing)
    nearest = np.full(atoms.n + 1, np.inf)
    np.minimum.at(nearest, index, distance)
    mutual = np.isfinite(distance) & (distance <= nearest[index])
    atom[np.flatnonzero(finite)[mutual]] = index[mutual]
    return atom


def _follow(growth: Growth, maxima: Maxima) -> Indices:
    """Follow the lattice from the atoms that have a site to their neighbours, as far as it reaches.

    Returns:
        The atom of each site, -1 for none, [S].
    """
    sites, atom, reach = growth
    atom = atom.copy()
    free = np.ones(len(maxima.atoms), bool)
    free[atom[atom >= 0]] = False
    atoms = KDTree(maxima.atoms)
    added = np.flatnonzero(atom >= 0)
    squares = ((sites.ideal - sites.ideal.min(0)) // (3 * reach)).astype(int)
    while len(added):  # each round gives an atom a site, so there are at most as many as atoms
        # Only fits that an added atom changes can place another one, and only near sites tell them.
        near = np.flatnonzero(_squares_near(squares, added, 1) & (atom < 0))
        changed = KDTree(sites.ideal[added]).query(sites.ideal[near])[0] < 3 * reach
        empty = near[changed]
        local = np.where(_squares_near(squares, added, 2), atom, -1)
        neighbours = _find_neighbours(Growth(sites, local, reach), maxima.atoms)
        third = neighbours.tree.query(sites.ideal[empty], [3])[0][:, 0]
        edge = empty[third < 2 * reach]
        blocks = [
            _fit_block(neighbours, block, maxima.spacing) for block in _blocks(sites.ideal[edge])
        ]
        place = np.concatenate([block.place for block in blocks])
        new = _nearest_atoms(place, atoms, maxima.spacing)
        taken = (new >= 0) & free[new]
        added = edge[taken]
        atom[added] = new[taken]
        free[atom[added]] = False
    return atom


def _squares_near(squares: Indices, added: Indices, reach: int) -> Mask:
    """Return which sites lie at most ``reach`` squares from one that holds an added site, [S].

    Args:
        squares: The square (row, column) of each site, [S, 2].
        added: Some of the sites, [A].
        reach: Squares.
    """
    marked = np.zeros(squares.max(0) + 1, bool)
    marked[tuple(squares[added].T)] = True
    wide = ndimage.maximum_filter(marked, 2 * reach + 1)
    return np.asarray(wide[tuple(squares.T)], bool)


def _sixth_neighbour(vectors: Array, basis: Array) -> float:
    """Return the distance of a site's sixth neighbour, mean over the kinds, px.

    The six nearest neighbours of a site lie all around it.
    """
    cells = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 2, indexing="ij"), -1).reshape(-1, 1, 2)
    around = ((cells + basis) @ vectors).reshape(-1, 2)
    return float(KDTree(around).query(basis @ vectors, [7])[0].mean())
