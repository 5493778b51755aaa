"""The lattice of an image: vectors, basis, every site, strain, and which sites are empty.

Bragg peaks give candidate lattices, local phases the place of every atom in the cell; from there a
fit around each atom and its neighbours follows the distortion. Positions are (row, column), px.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from stm_experiments.core.arrays import Array, Indices, Mask
from stm_experiments.core.display.drawing import Arrow, draw_points
from stm_experiments.core.display.page import as_html
from stm_experiments.core.images import is_rounding
from stm_experiments.core.planes import fit_plane
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.errors import measure_cell, placing_covariance, vector_covariance
from stm_experiments.lattice.measured import as_measured, fullest_window
from stm_experiments.lattice.motif import Maxima, Motif, differ_in_height, find_maxima, find_motif
from stm_experiments.lattice.occupancy.verdict import Candidates, judge_occupancy
from stm_experiments.lattice.phases import map_cells
from stm_experiments.lattice.sites import (
    TOO_FEW,
    Growth,
    fit_mean_lattice,
    fit_surroundings,
    measure_gradient_error,
    measure_support,
    number_atoms,
)
from stm_experiments.lattice.vectors import (
    LARGEST_PERIOD,
    LEAST_PERIOD,
    LatticeCandidate,
    LatticeError,
    are_off_line,
    candidate_lattices,
    find_bragg_vectors,
    reduce_vectors,
)

PART = 768  # px; of larger images a part tells the lattice
_LEAST_SIDE = 24  # of an image, px
_SCALES = (1.0, 0.6, 0.36)  # on which atoms are searched for, typical periods of the Bragg peaks
_FEWEST = 12  # atoms of a lattice
_LEAST_SCORE = 0.3  # of a lattice
_AS_GOOD = 0.93  # score of a lattice with a smaller cell that is preferred, of the best score
_LARGEST_CELL = 4  # smallest cells in one that atoms of unlike heights make
_FAR_STRONGER = 5.0  # ratio of the strongest wave to those that are not on its line
_FINER = 0.85  # score of a lattice on a finer scale that is preferred, of the best score
_SUPPORT = 0.4  # least weight of a site's measured neighbours, of all that the image could hold
_SURROUNDED = 0.7  # the same of an empty site, and of a site next to any other one
_AROUND = 12  # nearest occupied sites that must lie all around an unknown one
_ONE_SIDED = 0.45  # largest distance of their centre, mean distances
_ONE_GRAIN = 0.13  # strain against the median above which an empty site may lie in another grain
_SAMPLE = 500  # sites on which the error of the strain is measured
_SAME_SITE = 0.3  # largest distance of a site in two fits of one scan, the same unit
_EQUAL = 0.1  # distance within which a maximum of a part is one of the image, the same unit
_BORDER = 0.75  # nearer to the border the band-pass shifts atoms: they tell no vectors, same unit
_LIMITS = ("the scatter between strips of the scan", "the placing of maxima between pixels")
_EDGE = 0.15  # sites closer to the border are left out, distances of nearest neighbours


@dataclass(frozen=True, eq=False, repr=False)
class LatticeFit:
    """A lattice and its sites in an image. S sites, U unknown ones, K atoms in the cell.

    All vectors and positions are (row, column).

    Attributes:
        vectors: Mean lattice vectors a1, a2, the shortest ones in nm where the pixel size is known,
            else in px; at a right or obtuse angle (``reduce_vectors``), [2, 2] px.
        covariance: Of their errors, from the scatter between strips of the scan and the placing of
            maxima between pixels: a1 row, a1 column, a2 row, a2 column, [4, 4] px^2.
        error_limit: What these errors are limited by, in words.
        origin: A site of the first kind, [2] px; cells are counted from it.
        basis: Atoms of the cell in units of the vectors, the first at 0, [K, 2] in about
            -0.5 to 0.5.
        sites: Where an atom is or should be, [S, 2] px: the measured position of an atom; for an
            empty site, or an atom without a maximum of its own, the position that its neighbours
            determine.
        cell: Of which cell, [S, 2] counted from the origin's.
        kind: Which atom of the cell, [S] 0 to K - 1.
        occupied: False where an atom should be and is not, [S].
        height: How far the atom stands out of its surroundings (band-passed), in the image's unit,
            [S].
        shift: From the position that the neighbours determine to the measured one, 0 if not
            measured, [S, 2] px.
        strain: Symmetric strain of the surroundings against the mean lattice along axes 0 and 1,
            [S, 2, 2].
        unknown: Sites that are neither: under clusters, at steps, in scars, where nothing was
            measured, or of a kind that noise hides. [U, 2] px, as their neighbours determine.
        unknown_cell: Of which cell, [U, 2].
        unknown_kind: Which atom of the cell, [U].
        spacing: Typical distance of nearest neighbours, px.
        residual: Root mean square of ``shift`` per axis over the measured atoms, px.
        strain_noise: Root mean square of a component of the strain that ``residual`` alone causes.
        pixel_nm: Size of a pixel along axes 0 and 1, nm; None: unknown.
    """

    vectors: Array
    covariance: Array
    error_limit: str
    origin: Array
    basis: Array
    sites: Array
    cell: Indices
    kind: Indices
    occupied: Mask
    height: Array
    shift: Array
    strain: Array
    unknown: Array
    unknown_cell: Indices
    unknown_kind: Indices
    spacing: float
    residual: float
    strain_noise: float
    pixel_nm: tuple[float, float] | None = None

    def __repr__(self) -> str:
        """Say in one line what it is, without its arrays."""
        return f"<LatticeFit: {', '.join(self.facts)}>"

    def _repr_html_(self) -> str:
        """Show the sites, the vectors and the facts in a notebook."""
        pixel = np.array(self.pixel_nm or (1.0, 1.0))
        middle = (self.sites.min(0) + self.sites.max(0)) / 2
        start = self.sites[np.linalg.norm(self.sites - middle, axis=1).argmin()]
        ends = (start + self.vectors) * pixel
        arrows = [Arrow(name, start * pixel, end) for name, end in zip("ab", ends, strict=True)]
        caption = "dots: atoms; rings: empty sites; arrows: lattice vectors"
        picture = draw_points(self.sites * pixel, self.occupied, arrows, caption)
        return as_html("lattice", [picture], self.facts)

    @property
    def facts(self) -> list[str]:
        """Lengths and angle with standard errors, atoms of the cell, and numbers of sites."""
        unit = "px" if self.pixel_nm is None else "nm"
        pixel = np.array(self.pixel_nm or (1.0, 1.0))
        scale = np.tile(pixel, 2)
        cell = measure_cell(self.vectors * pixel, self.covariance * np.outer(scale, scale))
        atoms = "1 atom" if len(self.basis) == 1 else f"{len(self.basis)} atoms"
        unknown = f" ({len(self.unknown)} more unknown)" if len(self.unknown) else ""
        return [
            *cell.words(unit),
            f"{atoms} in the cell",
            f"{len(self.sites)} sites",
            f"{int((~self.occupied).sum())} empty{unknown}",
        ]

    @property
    def vectors_nm(self) -> Array | None:
        """Lattice vectors (row, column) in nm, [2, 2]; None without pixel size."""
        return None if self.pixel_nm is None else self.vectors * np.array(self.pixel_nm)

    @property
    def sites_nm(self) -> Array | None:
        """Sites (row, column) in nm from the first pixel, [S, 2]; None without pixel size."""
        return None if self.pixel_nm is None else self.sites * np.array(self.pixel_nm)


class _Match(NamedTuple):
    """The best lattice for the maxima on one scale, the period that they were searched on (px)."""

    maxima: Maxima
    motif: Motif
    period: float


class _Judged(NamedTuple):
    """The verdict on each site. S sites.

    Attributes:
        keep: Whether the site is reported as occupied or empty, [S].
        occupied: Whether it holds an atom, [S].
        unknown: Whether it is reported as neither, [S].
        height: Of the image at the site, [S].
    """

    keep: Mask
    occupied: Mask
    unknown: Mask
    height: Array


def find_lattice(
    image: Scan | ArrayLike,
    mask: Mask | None = None,
    pixel_nm: tuple[float, float] | None = None,
) -> LatticeFit:
    """Find the lattice of an image, follow its distortion and list its sites.

    Atoms are bright. Noise along the rows and a tilt do no harm; strong noise does (denoise
    first). Of several lattices, such as grains, the strongest in the spectrum is fitted, within its
    grain. Sites without enough neighbours, at steps and between grains, are left out.

    Args:
        image: A scan, or [H, W] in any unit.
        mask: True where measured, [H, W]; None: the scan's mask, or everywhere.
        pixel_nm: Size of a pixel along axes 0 and 1, nm; None: the scan's, or unknown.

    Raises:
        LatticeError: If no lattice is found, or the image cannot be used.
    """
    measured = as_measured(image, mask, pixel_nm)
    data, valid = _levelled(measured.data, measured.mask)
    best = _best_match(data, valid)
    growth = number_atoms(best.motif, best.maxima, data.shape)
    judged = _judge_sites(growth, best.maxima, data, valid)
    return _describe(growth, judged, best.maxima, valid, measured.pixel_nm)


def find_grains(
    image: Scan | ArrayLike,
    mask: Mask | None = None,
    pixel_nm: tuple[float, float] | None = None,
    most: int = 2,
) -> list[LatticeFit]:
    """Find several lattices, each in the area that the earlier ones leave.

    Args:
        image: As for ``find_lattice``.
        mask: As for ``find_lattice``.
        pixel_nm: As for ``find_lattice``.
        most: Number of lattices at most.

    Returns:
        At least one, the strongest first; none that covers less than a twentieth of the image.

    Raises:
        LatticeError: If no lattice is found, or the image cannot be used.
    """
    data, mask, pixel_nm = as_measured(image, mask, pixel_nm)
    rest = np.isfinite(data) if mask is None else np.isfinite(data) & mask
    fits = [find_lattice(data, rest, pixel_nm)]
    while len(fits) < most:
        rest = rest & ~covered_area(fits[-1], data.shape)
        try:
            fit = find_lattice(data, rest, pixel_nm)
        except LatticeError:
            break
        if len(fit.sites) * abs(np.linalg.det(fit.vectors)) / len(fit.basis) < data.size / 20:
            break
        fits.append(fit)
    return fits


def with_verdicts(fit: LatticeFit, other: LatticeFit) -> LatticeFit:
    """Take the verdict of another fit of the same scan on each site that both have.

    A site that holds an atom in the first and is empty in the other is unknown.

    Args:
        fit: Such as of the denoised image: a denoiser can fill vacancies.
        other: Such as of the image itself.
    """
    reach = _SAME_SITE * fit.spacing
    tree = KDTree(other.sites)
    distance, index = tree.query(fit.sites)
    judged = distance < reach
    occupied = np.where(judged, other.occupied[index], fit.occupied)
    shift = np.where(occupied[:, None], fit.shift, 0.0)
    hidden = fit.occupied & ~occupied  # noise can hide an atom, and a denoiser can make one
    if len(other.unknown):
        hidden |= ~judged & (KDTree(other.unknown).query(fit.sites)[0] < reach)
    seen, also = np.zeros(0, bool), np.zeros(0, int)
    if len(fit.unknown):
        distance, also = tree.query(fit.unknown)
        seen = distance < reach
    also = also[seen]
    own = {
        "sites": fit.sites - fit.shift + shift,
        "occupied": occupied,
        "shift": shift,
        **{name: getattr(fit, name) for name in ("cell", "kind", "height", "strain")},
    }
    more = {"cell": fit.unknown_cell[seen], "kind": fit.unknown_kind[seen]}
    more |= {
        name: getattr(other, name)[also]
        for name in ("sites", "occupied", "shift", "height", "strain")
    }
    both: dict[str, Any] = {name: np.concatenate([own[name][~hidden], more[name]]) for name in own}
    return replace(
        fit,
        **both,
        unknown=np.concatenate([fit.unknown[~seen], own["sites"][hidden]]),
        unknown_cell=np.concatenate([fit.unknown_cell[~seen], fit.cell[hidden]]),
        unknown_kind=np.concatenate([fit.unknown_kind[~seen], fit.kind[hidden]]),
    )


def covered_area(fit: LatticeFit, shape: tuple[int, ...]) -> Mask:
    """Return which pixels of an image lie at the sites of a lattice or next to them, [H, W]."""
    empty = np.ones(shape, bool)
    empty[tuple(np.round(fit.sites).astype(int).T)] = False
    return np.asarray(ndimage.distance_transform_edt(empty) <= 0.9 * fit.spacing, bool)


def covered_share(fit: LatticeFit, mask: Mask) -> float:
    """Return the share of the measured pixels [H, W] on which a lattice has sites."""
    sites = len(fit.sites) + len(fit.unknown)
    area = sites * abs(np.linalg.det(fit.vectors)) / len(fit.basis)
    return min(1.0, float(area / mask.sum()))


def _levelled(data: Array, mask: Mask | None) -> tuple[Array, Mask]:
    """Return the image without its plane, 0 where it was not measured, and where it was."""
    if data.ndim != 2 or min(data.shape) < _LEAST_SIDE:
        raise LatticeError(
            f"a lattice needs an image of at least {_LEAST_SIDE} rows and columns, and this one "
            f"has the shape {list(data.shape)}: scan or cut out a larger one"
        )
    valid = np.isfinite(data) if mask is None else np.isfinite(data) & mask
    if valid.sum() < 0.1 * valid.size:
        raise LatticeError(
            f"only {valid.mean():.0%} of the image was measured, and a lattice needs 10%: cut out "
            "the part that was"
        )
    plane = fit_plane(data, valid).heights(data.shape)
    data = np.where(valid, data - plane, 0.0)
    if is_rounding(float(np.ptp(data)), float(np.abs(plane).max())):
        raise LatticeError(
            "no lattice was found: the image is constant or nothing but a plane; choose another "
            "channel or scan"
        )
    return data, valid


def _best_match(data: Array, valid: Mask) -> _Match:
    """Return the lattice and the scale that explain the image's maxima best.

    In a large image a part tells the lattice, and the whole image if the part has none.

    Raises:
        LatticeError: If no lattice explains them.
    """
    window = fullest_window(valid, PART)
    if data[window].shape == data.shape:
        return _match_part(data, valid)
    try:
        maxima, motif, period = _match_part(data[window], valid[window])
    except LatticeError:
        return _match_part(data, valid)
    whole = find_maxima(data, valid, period)
    atoms = maxima.atoms + [part.start for part in window]
    distance, index = KDTree(atoms).query(whole.atoms, distance_upper_bound=_EQUAL * maxima.spacing)
    known, index = np.isfinite(distance), np.minimum(index, len(atoms) - 1)
    coordinates = np.where(known[:, None], motif.coordinates[index], 0.0)
    motif = motif._replace(coordinates=coordinates, good=known & motif.good[index])
    return _Match(whole, motif, period)


def _match_part(data: Array, valid: Mask) -> _Match:
    """Return the lattice and the scale that explain the maxima of a part of an image best.

    Raises:
        LatticeError: If no lattice explains them.
    """
    bragg, amplitude = find_bragg_vectors(data)
    lattices = candidate_lattices(bragg, amplitude, min(data.shape)) if len(bragg) > 1 else []
    if not lattices:
        raise LatticeError(
            f"no lattice was found: the spectrum has {len(bragg)} peak"
            f"{'' if len(bragg) == 1 else 's'} above its background, and a lattice needs two in "
            f"different directions{_limits(bragg, data.shape)}"
        )
    periods = _search_periods(bragg, amplitude)
    scales = [(find_maxima(data, valid, period), period) for period in periods]
    scales = [(maxima, period) for maxima, period in scales if len(maxima.atoms) >= _FEWEST]
    motifs: list[list[Motif]] = [[] for _ in scales]
    spectrum = np.fft.fft2(data - data[valid].mean())
    for lattice in lattices:
        cells = map_cells(spectrum, lattice)
        for good, (maxima, _) in zip(motifs, scales, strict=True):
            good.append(find_motif(cells, lattice.vectors, maxima))
            best = max(motif.score for motif in good)
            good[:] = [motif for motif in good if motif.score >= _AS_GOOD * best]
    matches = [
        _Match(maxima, min(good, key=lambda motif: abs(np.linalg.det(motif.vectors))), period)
        for good, (maxima, period) in zip(motifs, scales, strict=True)
    ]
    best = max((match.motif.score for match in matches), default=0.0)
    if best < _LEAST_SCORE:
        raise LatticeError(
            f"no lattice was found: the best one explains {best:.0%} of the image's maxima"
            f"{_limits(bragg, data.shape)}"
        )
    match = [match for match in matches if match.motif.score >= _FINER * best][-1]
    return _with_unlike_atoms(match, lattices, spectrum)


def _with_unlike_atoms(
    match: _Match, lattices: list[LatticeCandidate], spectrum: NDArray[np.complex128]
) -> _Match:
    """Return the smallest cell that repeats the heights of the atoms as well as their places.

    Args:
        match: The smallest cell that repeats their places.
        lattices: All candidates.
        spectrum: Fourier transform of the image.
    """
    larger = []
    for lattice in lattices:
        times = lattice.vectors @ np.linalg.inv(match.motif.vectors)
        cells = round(abs(np.linalg.det(times)))
        if 1 < cells <= _LARGEST_CELL and np.abs(times - np.round(times)).max() < 0.1:
            larger.append((cells, lattice))
    for cells, lattice in sorted(larger, key=lambda pair: pair[0]):
        motif = find_motif(map_cells(spectrum, lattice), lattice.vectors, match.maxima)
        whole = len(motif.basis) == cells * len(match.motif.basis)
        if whole and differ_in_height(motif, match.motif.vectors, match.maxima):
            return match._replace(motif=motif)
    return match


def _limits(bragg: Array, shape: tuple[int, ...]) -> str:
    """Return between which limits periods can be found, as the end of a sentence."""
    wave = ""
    if len(bragg):
        wave = f", and the strongest wave has a period of {1 / np.linalg.norm(bragg[0]):.3g} px"
    return (
        f"; periods from {LEAST_PERIOD:.0f} px to a quarter of the image "
        f"({LARGEST_PERIOD * min(shape):.0f} px here) can be found{wave}: scan a smaller area if "
        "atoms are closer, a larger one if they are further apart, and average scans if noise "
        "hides them"
    )


def _search_periods(bragg: Array, amplitude: Array) -> list[float]:
    """Return the periods on which atoms are searched for, longest first, px.

    They follow from the typical period of all Bragg peaks. If one is far stronger than all that are
    not on its line, it can be hum or regular steps, and the others tell periods too.
    """
    typical = [_typical_period(bragg, amplitude)]
    off = are_off_line(bragg)
    if off.any() and amplitude[0] > _FAR_STRONGER * amplitude[off].max():
        typical.append(_typical_period(bragg[off], amplitude[off]))
    return sorted((scale * period for period in typical for scale in _SCALES), reverse=True)


def _typical_period(bragg: Array, amplitude: Array) -> float:
    """Return the typical period of the strong Bragg peaks that can be a lattice's, px."""
    lengths = np.linalg.norm(bragg, axis=1)
    rows = LEAST_PERIOD * np.sqrt(0.75)  # of atoms are this far apart in a hexagonal lattice
    possible = lengths < 1 / rows  # a strong wave of the instrument can be finer
    if not possible.any():
        possible = np.ones(len(bragg), bool)
    strong = possible & (amplitude > 0.2 * amplitude[possible].max())
    return float(1 / np.average(lengths[strong], weights=amplitude[strong] ** 2))


def _judge_sites(growth: Growth, maxima: Maxima, data: Array, valid: Mask) -> _Judged:
    """Decide which sites have enough neighbours to be reported, and which hold an atom.

    Args:
        growth: The sites.
        maxima: The atoms.
        data: The image in which heights are judged, without its plane, [H, W].
        valid: Where it was measured, [H, W].

    Raises:
        LatticeError: If no site is surrounded by atoms.
    """
    sites, atom, reach = growth
    spacing = maxima.spacing
    around = fit_surroundings(growth, maxima.atoms, spacing)
    in_image = _inside(around.place, np.ones(valid.shape, bool), _EDGE * spacing)
    inside = _inside(around.place, valid, _EDGE * spacing)
    every = Growth(sites, np.where(inside, np.arange(len(atom)), -1), reach)
    support = around.support / np.maximum(measure_support(every), 1e-9)
    core: Mask = inside & (support > _SURROUNDED)
    if not core.any():
        raise LatticeError(TOO_FEW)
    near_core = KDTree(sites.ideal[core]).query(sites.ideal)[0] < reach
    place = np.where(inside[:, None], around.place, 0.0)
    verdict = judge_occupancy(data, valid, Candidates(sites, place, inside & near_core, spacing))
    occupied: Mask = inside & near_core & verdict.full & (support > _SUPPORT)
    if not occupied.any():
        raise LatticeError(TOO_FEW)
    empty: Mask = core & verdict.empty
    unknown: Mask = in_image & near_core & (support > _SURROUNDED) & ~occupied & ~empty
    unknown[unknown] = _are_amid(sites.ideal[unknown], sites.ideal[occupied])
    foreign: Mask = empty & ~_is_like_the_rest(around.gradient, occupied)
    empty, unknown = empty & ~foreign, unknown | foreign
    return _Judged(occupied | empty, occupied, unknown, verdict.height)


def _describe(
    growth: Growth,
    judged: _Judged,
    maxima: Maxima,
    valid: Mask,
    pixel_nm: tuple[float, float] | None,
) -> LatticeFit:
    """Measure position, shift and strain of the sites that are kept.

    Raises:
        LatticeError: If too few atoms are left.
    """
    sites, spacing = growth.sites, maxima.spacing
    atom = np.where(judged.occupied, growth.atom, -1)
    measured = atom >= 0
    if measured.sum() < _FEWEST:
        raise LatticeError(TOO_FEW)
    around = fit_surroundings(Growth(sites, atom, growth.reach), maxima.atoms, spacing)
    alone: Mask = np.isnan(around.place[:, 0])
    expected = np.where(alone[:, None], maxima.atoms[atom], around.place)
    place = np.where(measured[:, None], maxima.atoms[atom], expected)
    keep = judged.keep & _inside(place, valid, _EDGE * spacing) & ~(alone & ~measured)
    hidden = judged.unknown & ~alone
    shift = place - expected
    inner = measured & _inside(place, valid, _BORDER * spacing)
    if (np.bincount(sites.kind[inner], minlength=len(sites.lattice.basis)) < _FEWEST).any():
        inner = measured
    used = sites.cell[inner], sites.kind[inner], maxima.atoms[atom[inner]]
    mean = fit_mean_lattice(*used)
    pixel = np.array(pixel_nm or (1.0, 1.0))
    reduced = reduce_vectors(mean.vectors * pixel) / pixel
    change = np.round(reduced @ np.linalg.inv(mean.vectors))
    back = np.linalg.inv(change)
    both = np.kron(change, np.eye(2))
    scatter, placing = vector_covariance(*used, len(valid)), placing_covariance(*used[:2])
    local = sites.lattice.vectors @ (np.eye(2) + around.gradient[keep])
    scale = np.diag(pixel)  # if pixels are not square, strain in nm differs
    strain = np.linalg.inv(scale) @ (np.linalg.inv(mean.vectors) @ local - np.eye(2)) @ scale
    residual = float(np.sqrt(np.mean(shift[measured & keep] ** 2)))
    some = np.flatnonzero(keep)[:: max(1, keep.sum() // _SAMPLE)]
    noise = residual * measure_gradient_error(Growth(sites, atom, growth.reach), some)
    return LatticeFit(
        vectors=change @ mean.vectors,
        covariance=both @ (scatter + placing) @ both.T,
        error_limit=_LIMITS[int(np.trace(placing) > np.trace(scatter))],
        origin=mean.origin,
        basis=mean.basis @ back,
        sites=place[keep],
        cell=np.round(sites.cell[keep] @ back).astype(int),
        kind=sites.kind[keep],
        occupied=judged.occupied[keep],
        height=judged.height[keep],
        shift=shift[keep],
        strain=(strain + strain.transpose(0, 2, 1)) / 2,
        unknown=around.place[hidden],
        unknown_cell=np.round(sites.cell[hidden] @ back).astype(int),
        unknown_kind=sites.kind[hidden],
        spacing=spacing,
        residual=residual,
        strain_noise=noise,
        pixel_nm=pixel_nm,
    )


def _is_like_the_rest(gradient: Array, typical: Mask) -> Mask:
    """Return whether the lattice around sites is no more strained than within one grain, [S].

    Args:
        gradient: Of the displacement around each site, [S, 2, 2].
        typical: The sites whose median is the lattice of the grain, [S].
    """
    local = np.eye(2) + gradient
    change = np.linalg.inv(np.median(local[typical], 0)) @ local - np.eye(2)
    strain = np.nan_to_num((change + change.transpose(0, 2, 1)) / 2, nan=1.0)
    return np.asarray(np.abs(np.linalg.eigvalsh(strain)).max(1) < _ONE_GRAIN, bool)


def _inside(place: Array, valid: Mask, edge: float) -> Mask:
    """Return whether places lie on measured pixels, ``edge`` px or more from the border, [S]."""
    pixel = np.round(np.nan_to_num(place, nan=-9)).astype(int)
    inside = ((place >= edge) & (place <= np.array(valid.shape) - 1 - edge)).all(1)
    measured = valid[tuple(np.clip(pixel, 0, np.array(valid.shape) - 1).T)]
    return np.asarray(inside & measured, bool)


def _are_amid(places: Array, others: Array) -> Mask:
    """Return whether others [N, 2] lie all around places [P, 2] px, not on one side only, [P]."""
    distance, index = KDTree(others).query(places, min(_AROUND, len(others)))
    offset = np.linalg.norm((others[index] - places[:, None]).mean(1), axis=1)
    return np.asarray(offset < _ONE_SIDED * distance.mean(1), bool)
