"""The lattice of an image: vectors, basis, every site, strain, and which sites are empty.

Bragg peaks give candidate lattices, local phases the place of every atom in the cell, and from
there a fit around each atom and its neighbours follows the distortion. Positions are px of the
image's axes 0 and 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from stm_experiments.core.planes import fit_plane
from stm_experiments.lattice.cell import Motif, View, judge, view_at
from stm_experiments.lattice.local import Sites, grow, mean_lattice, surroundings
from stm_experiments.lattice.vectors import (
    Array,
    LatticeError,
    bragg_vectors,
    candidates,
    cell_coordinates,
)

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

_SCALES = (1.0, 0.6, 0.36)  # at which atoms are looked for, typical periods of the Bragg peaks
_PRESENT = 0.4  # least height of an atom, of its neighbours' median
_SUPPORT = 0.4  # least weight of a site's measured neighbours, of all that the image could hold
_SURROUNDED = 0.7  # the same of an empty site, and of some site beside any other one
_EDGE = 0.15  # sites closer to the border are left out, distances of nearest neighbours


@dataclass(frozen=True, eq=False)
class LatticeFit:
    """A lattice and its sites in an image. S sites, K atoms in the cell.

    Attributes:
        vectors: Mean lattice vectors a1, a2, reduced: the shortest ones, [2,2] px.
        origin: A site of the first kind, [2] px; the mean lattice is counted from it.
        basis: Atoms of the cell in units of the vectors, the first at 0, [K,2] in about
            -0.5 to 0.5.
        sites: Where an atom is or should be, [S,2] px: the measured place of an atom, and where
            its neighbours say for an empty site or an atom without a maximum of its own.
        cell: Of which cell, [S,2] counted from the origin's.
        kind: Which atom of the cell, [S] 0 to K - 1.
        occupied: False where an atom should be and is not, [S].
        height: How far the atom stands out of its surroundings (band-passed), in the image's unit,
            [S].
        shift: From where the neighbours say to the measured place, 0 if not measured, [S,2] px.
        strain: Symmetric strain of the surroundings against the mean lattice along axes 0 and 1,
            [S,2,2].
        spacing: Typical distance of nearest neighbours, px.
        residual: Root mean square of ``shift`` per axis over the measured atoms, px.
        pixel_nm: Size of a px along axes 0 and 1, nm; None: unknown.
    """

    vectors: Array
    origin: Array
    basis: Array
    sites: Array
    cell: Indices
    kind: Indices
    occupied: Mask
    height: Array
    shift: Array
    strain: Array
    spacing: float
    residual: float
    pixel_nm: tuple[float, float] | None = None

    @property
    def vectors_nm(self) -> Array | None:
        """Lattice vectors in nm, [2,2]; None without pixel size."""
        return None if self.pixel_nm is None else self.vectors * np.array(self.pixel_nm)

    @property
    def sites_nm(self) -> Array | None:
        """Sites in nm from the centre of the first px, [S,2]; None without pixel size."""
        return None if self.pixel_nm is None else self.sites * np.array(self.pixel_nm)


def find_lattice(
    image: ArrayLike, mask: Mask | None = None, pixel_nm: tuple[float, float] | None = None
) -> LatticeFit:
    """Finds the lattice of an image, follows its distortion and lists its sites.

    Bright is atom. Noise along the rows and a tilt are no hindrance; strong noise is (denoise
    first). Of several lattices, such as grains, the strongest in the spectrum is fitted, where it
    is. Sites without enough neighbours, at steps and between grains, are left out.

    Args:
        image: [H,W], any unit.
        mask: True where measured, [H,W]; None: everywhere.
        pixel_nm: Size of a px along axes 0 and 1, nm.

    Returns:
        The lattice.

    Raises:
        LatticeError: If there is none, or the image cannot be used.
    """
    data, known = _checked(image, mask)
    bragg, amplitude = bragg_vectors(data)
    lattices = candidates(bragg, amplitude, min(data.shape)) if len(bragg) > 1 else []
    if not lattices:
        raise LatticeError(
            f"no lattice was found: the spectrum has {len(bragg)} peaks above its background, "
            "and a lattice needs two in different directions"
        )
    spectrum = np.fft.fft2(data - data[known].mean())
    fields = [cell_coordinates(spectrum, lattice) for lattice in lattices]
    period = _period(bragg, amplitude)
    views = [view_at(data, known, scale * period) for scale in _SCALES]
    judged: list[tuple[View, Motif]] = []
    for view in views:
        if len(view.found) < 12:
            continue
        motifs = [
            judge(field, lattice.vectors, view.found, view.near)
            for field, lattice in zip(fields, lattices, strict=True)
        ]
        best = max(motif.score for motif in motifs)
        simple = [motif for motif in motifs if motif.score >= 0.93 * best]
        judged.append((view, min(simple, key=lambda motif: abs(np.linalg.det(motif.vectors)))))
    best = max((motif.score for _, motif in judged), default=0.0)
    if best < 0.3:
        raise LatticeError(
            f"no lattice was found: the best one explains {best:.0%} of the image's maxima"
        )
    view, motif = [pair for pair in judged if pair[1].score >= 0.85 * best][-1]
    return _describe(view, motif, known, pixel_nm)


def find_grains(
    image: ArrayLike,
    mask: Mask | None = None,
    pixel_nm: tuple[float, float] | None = None,
    most: int = 2,
) -> list[LatticeFit]:
    """Finds several lattices, each where those before it are not.

    Args:
        image: As for ``find_lattice``.
        mask: The same.
        pixel_nm: The same.
        most: Most lattices.

    Returns:
        At least one, the strongest first; none that covers less than a twentieth of the image.

    Raises:
        LatticeError: If there is none, or the image cannot be used.
    """
    data = np.asarray(image, dtype=float)
    left = np.isfinite(data) if mask is None else np.isfinite(data) & mask
    fits = [find_lattice(data, left, pixel_nm)]
    while len(fits) < most:
        empty = np.ones(data.shape, bool)
        empty[tuple(np.round(fits[-1].sites).astype(int).T)] = False
        left = left & (ndimage.distance_transform_edt(empty) > 0.9 * fits[-1].spacing)
        try:
            fit = find_lattice(data, left, pixel_nm)
        except LatticeError:
            break
        if len(fit.sites) * abs(np.linalg.det(fit.vectors)) / len(fit.basis) < data.size / 20:
            break
        fits.append(fit)
    return fits


def _checked(image: ArrayLike, mask: Mask | None) -> tuple[Array, Mask]:
    """The image without its plane and with its gaps filled, and what was measured."""
    data = np.array(image, dtype=float)
    if data.ndim != 2 or min(data.shape) < 24:
        raise LatticeError(
            f"a lattice needs an image [H,W] of at least 24 px, not {list(data.shape)}"
        )
    known = np.isfinite(data) if mask is None else np.isfinite(data) & mask
    if known.sum() < 0.1 * known.size:
        raise LatticeError(f"only {known.mean():.0%} of the image was measured: too little")
    plane = fit_plane(data, known).heights(data.shape)
    data = np.where(known, data - plane, 0.0)
    if data.std() <= 1e-9 * np.abs(plane).max():
        raise LatticeError("no lattice was found: the image is flat")
    return data, known


def _period(bragg: Array, amplitude: Array) -> float:
    """Typical period of the strong Bragg peaks, px."""
    strong = amplitude > 0.2 * amplitude[0]
    lengths = np.linalg.norm(bragg[strong], axis=1)
    return float(1 / np.average(lengths, weights=amplitude[strong] ** 2))


def _describe(
    view: View, motif: Motif, known: Mask, pixel_nm: tuple[float, float] | None
) -> LatticeFit:
    """Numbers the atoms, follows the lattice through the image and describes each site."""
    raised, found, near = view
    sites, atom, reach = grow(motif, found, near, known.shape)
    around = surroundings(sites, found, atom, near, reach)
    inside = _inside(around.place, known, _EDGE * near)
    full = surroundings(sites, sites.ideal, np.where(inside, np.arange(len(atom)), -1), near, reach)
    support = around.support / np.maximum(full.support, 1e-9)
    place = np.where((atom >= 0)[:, None], found[atom], around.place)
    height = ndimage.map_coordinates(raised, np.where(inside[:, None], place, 0.0).T, order=3)
    usual = _usual_height(sites, height, inside & (atom >= 0))
    occupied: Mask = height > _PRESENT * usual
    other = _others(sites, around.place, raised, found, atom, usual, near)
    core: Mask = inside & (support > _SURROUNDED)
    if not core.any():
        raise LatticeError("no lattice was found: too few atoms lie on one")
    beside = KDTree(sites.ideal[core]).query(sites.ideal)[0] < reach
    keep: Mask = inside & beside & np.where(occupied, support > _SUPPORT, core & ~other)
    occupied &= keep

    atom = np.where(occupied, atom, -1)
    measured = atom >= 0
    if measured.sum() < 12:
        raise LatticeError("no lattice was found: too few atoms lie on one")
    around = surroundings(sites, found, atom, near, reach)
    alone: Mask = np.isnan(around.place[:, 0])
    expected = np.where(alone[:, None], found[atom], around.place)
    place = np.where(measured[:, None], found[atom], expected)
    keep &= _inside(place, known, _EDGE * near) & ~(alone & ~measured)
    shift = place - expected
    vectors, origin, basis = mean_lattice(
        sites.cell[measured], sites.kind[measured], found[atom[measured]]
    )
    local = sites.vectors @ (np.eye(2) + around.gradient[keep])
    scale = np.diag(pixel_nm or (1.0, 1.0))  # on px that are not square a strain is another one
    strain = np.linalg.inv(scale) @ (np.linalg.inv(vectors) @ local - np.eye(2)) @ scale
    return LatticeFit(
        vectors=vectors,
        origin=origin,
        basis=basis,
        sites=place[keep],
        cell=sites.cell[keep],
        kind=sites.kind[keep],
        occupied=occupied[keep],
        height=height[keep],
        shift=shift[keep],
        strain=(strain + strain.transpose(0, 2, 1)) / 2,
        spacing=near,
        residual=float(np.sqrt(np.mean(shift[measured & keep] ** 2))),
        pixel_nm=pixel_nm,
    )


def _inside(place: Array, known: Mask, edge: float) -> Mask:
    """Whether places lie on measured pixels, and ``edge`` px from the image's border, [S]."""
    pixel = np.round(np.nan_to_num(place, nan=-9)).astype(int)
    inside = ((place >= edge) & (place <= np.array(known.shape) - 1 - edge)).all(1)
    measured = known[tuple(np.clip(pixel, 0, np.array(known.shape) - 1).T)]
    return np.asarray(inside & measured, bool)


def _others(
    sites: Sites,
    place: Array,
    raised: Array,
    found: Array,
    atom: NDArray[np.int64],
    usual: Array,
    near: float,
) -> Mask:
    """Sites that have atoms beside them which are on no site: not empty, but disordered, [S]."""
    strange = np.setdiff1d(np.arange(len(found)), atom)
    at = np.nan_to_num(place, nan=-1e6)
    owner = KDTree(at).query(found[strange])[1]
    tall = raised[tuple(np.round(found[strange]).astype(int).T)] > _PRESENT * usual[owner]
    if not tall.any():
        return np.zeros(len(place), bool)
    distance = KDTree(found[strange[tall]]).query(at)[0]
    return np.asarray(distance < 0.5 * near, bool)


def _usual_height(sites: Sites, height: Array, measured: Mask) -> Array:
    """Median height of the nearest measured atoms of the same kind, [S]."""
    usual = np.zeros(len(height))
    for kind in range(len(sites.basis)):
        own = sites.kind == kind
        among = own & measured
        if among.any():
            count = min(13, int(among.sum()))
            _, index = KDTree(sites.ideal[among]).query(sites.ideal[own], count)
            usual[own] = np.median(height[among][index.reshape(own.sum(), -1)], axis=1)
    return usual
