"""Patches centred on the sites of a lattice: where an atom is, where one is missing, and hollows.

An image is freed of its slow background and its finest noise, and brought to one scale, so that
patches show the same surroundings whatever the microscope's magnification was.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.lattice.fit import LatticeFit, find_lattice

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MARGIN = 2  # px around a patch that are kept to turn and shift it
_FINE, _SLOW = 0.12, 1.2  # widths of the band-pass, distances of nearest neighbours
_OPEN = 0.85  # distance of a hollow from its atoms, of nearest neighbours; a close packing has less
_STEPS = 48  # of the search for a hollow, along each lattice vector; thirds and quarters are met


@dataclass(frozen=True, eq=False)
class SiteImage:
    """An image and the sites of its lattice whose surroundings lie in it. S sites.

    Attributes:
        name: Of its file, or what it is.
        recorded: As it was, [H,W] in its own unit.
        image: Band-passed, at the scale of the patches, on about [-1, 1]; 0 is the mean, [1,h,w].
        position: The sites in the recorded image, [S,2] px.
        place: The same in ``image``, [S,2] px.
        kind: Which atom of the lattice's cell, counted from 0; the last one may be its hollow, [S].
        occupied: False where an atom should be and is not, and in hollows, [S].
        spacing: Distance of nearest neighbours in the recorded image, px.
        pixel_nm: Size of a px along axes 0 and 1, nm; None: unknown.
        truth: What is known of each site of a simulated image, by name, [S] each; see
            ``SimulatedSites``.
        lattice: Label of the lattice; -1: unknown.
        orientation: Of a simulated crystal, [3]; NaN: unknown.
    """

    name: str
    recorded: Array
    image: Tensor
    position: Array
    place: Tensor
    kind: NDArray[np.int64]
    occupied: Mask
    spacing: float
    pixel_nm: tuple[float, float] | None = None
    truth: dict[str, NDArray[Any]] = field(default_factory=dict)
    lattice: int = -1
    orientation: Tensor = field(default_factory=lambda: torch.full((3,), torch.nan).double())


def make_site_image(
    name: str,
    data: Array,
    window: int,
    width: float,
    mask: Mask | None = None,
    pixel_nm: tuple[float, float] | None = None,
) -> SiteImage:
    """Finds the lattice of an image and prepares its sites.

    Args:
        name: Of the image.
        data: [H,W], any unit.
        window: Side of the patches, px.
        width: The same in distances of nearest neighbours.
        mask: True where it was measured, [H,W]; None: everywhere.
        pixel_nm: Size of a px along axes 0 and 1, nm.

    Raises:
        LatticeError: If no lattice is found.
        ValueError: If no site is far enough from the border.
    """
    fit = find_lattice(data, mask, pixel_nm)
    position, kind, occupied = with_hollows(fit)
    known = np.isfinite(data) if mask is None else np.isfinite(data) & mask
    image = _band_passed(data, known, fit.spacing)
    factor = window / (width * fit.spacing)
    image = ndimage.zoom(image, factor, order=3)
    place = position * (np.array(image.shape) - 1) / (np.array(data.shape) - 1)
    reach = window / 2 + 1
    inside = ((place >= reach) & (place <= np.array(image.shape) - 1 - reach)).all(1)
    if not known.all():
        inside &= _measured_around(position, known, 0.5 * width * fit.spacing)
    if not inside.any():
        raise ValueError(
            f"{name}: no site is {width / 2:g} distances of neighbours from the border"
        )
    return SiteImage(
        name=name,
        recorded=np.where(known, data, np.nan),
        image=torch.from_numpy(image.astype(np.float32))[None],
        position=position[inside],
        place=torch.from_numpy(place[inside]),
        kind=kind[inside],
        occupied=occupied[inside],
        spacing=fit.spacing,
        pixel_nm=pixel_nm,
    )


def _band_passed(data: Array, known: Mask, spacing: float) -> Array:
    """An image without slow background and finest noise, its 99th percentile at 1."""
    flat = np.where(known, data, data[known].mean())
    passed = ndimage.gaussian_filter(flat, _FINE * spacing)
    passed = passed - ndimage.gaussian_filter(flat, _SLOW * spacing)
    return np.where(known, passed, 0.0) / np.percentile(np.abs(passed[known]), 99)


def _measured_around(position: Array, known: Mask, radius: float) -> Mask:
    """Whether all px within a radius (px) of sites [S,2] were measured."""
    distance = ndimage.distance_transform_edt(known)
    row, column = np.round(position).astype(int).T
    return np.asarray(distance[row, column] > radius, bool)


def with_hollows(fit: LatticeFit) -> tuple[Array, NDArray[np.int64], Mask]:
    """The sites of a lattice and, in an open one such as a honeycomb, the hollows between them.

    A hollow is the place of the cell that is furthest from all atoms. It is put where the atoms
    around it say, which follows the distortion.

    Returns:
        Positions [S,2] px, kinds [S], of which the last one is the hollow, and whether occupied.
    """
    steps = np.arange(_STEPS) / _STEPS
    places = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 2, indexing="ij"), -1).reshape(-1, 2)
    count = len(fit.basis)
    atoms = (shifts[:, None] + fit.basis).reshape(-1, 2)
    distance = KDTree(atoms @ fit.vectors).query(places @ fit.vectors)[0]
    hollow = places[distance.argmax()]
    if distance.max() < _OPEN * fit.spacing:
        return fit.sites, fit.kind, fit.occupied
    away = (atoms - hollow) @ fit.vectors
    around = np.flatnonzero(np.linalg.norm(away, axis=1) < 1.15 * distance.max())
    # Every atom says where the hollows beside it are.
    cells, said = [], []
    for index in around:
        cell, kind = shifts[index // count], index % count
        own = fit.kind == kind
        cells.append(fit.cell[own] - cell)
        said.append(fit.sites[own] - away[index])
    every, which, votes = np.unique(
        np.concatenate(cells), axis=0, return_inverse=True, return_counts=True
    )
    which = which.reshape(-1)
    mean = np.zeros((len(every), 2))
    np.add.at(mean, which, np.concatenate(said))
    sure = votes > len(around) / 2
    hollows = (mean / votes[:, None])[sure]
    return (
        np.concatenate([fit.sites, hollows]),
        np.concatenate([fit.kind, np.full(len(hollows), count)]),
        np.concatenate([fit.occupied, np.zeros(len(hollows), bool)]),
    )


def disc(window: int) -> Tensor:
    """1 in the circle that fits a patch and 0 outside, soft on one px, [w,w].

    What is outside would come and go as a patch is turned.
    """
    r = torch.arange(window) - (window - 1) / 2
    return (window / 2 - torch.hypot(r[:, None], r)).clamp(0, 1)


def cut_squares(image: Tensor, place: Tensor, window: int, angle: Tensor | None = None) -> Tensor:
    """Squares around places between pixels, by bicubic interpolation.

    Args:
        image: [1,h,w].
        place: Their middles, [S,2] px.
        window: Their side, px.
        angle: By which their content is turned, from axis 1 towards axis 0, rad, [S]; None: 0.

    Returns:
        [S,1,window,window].
    """
    grid = _grid(window, torch.zeros(len(place)) if angle is None else angle)
    size = torch.tensor(image.shape[-2:]) - 1
    where = (2 * (grid + place[:, None, None]) / size - 1).flip(-1).to(image)
    read = F.grid_sample(
        image[None], where.view(1, -1, window, 2), "bicubic", "reflection", align_corners=True
    )
    return read.view(-1, 1, window, window)


def turn_and_shift(
    squares: Tensor, window: int, angle: Tensor, shift: Tensor, mirrored: Tensor
) -> Tensor:
    """Patches from squares that are a few px larger.

    Args:
        squares: [B,1,W,W].
        window: Side of the patches, px.
        angle: By which their content is turned, from axis 1 towards axis 0, rad, [B].
        shift: By which it is shifted before, along axes 0 and 1, px, [B,2].
        mirrored: Whether it is mirrored before, [B].

    Returns:
        Discs, [B,1,window,window].
    """
    grid = _grid(window, angle) - shift[:, None, None]
    grid[..., 1] *= torch.where(mirrored, -1.0, 1.0)[:, None, None]
    where = (2 * grid / (squares.shape[-1] - 1)).flip(-1).to(squares)
    return F.grid_sample(squares, where, align_corners=True) * disc(window).to(squares)


def _grid(window: int, angle: Tensor) -> Tensor:
    """Where each px of patches turned by angles [B] is read, from the middle, [B,w,w,2] px."""
    r = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    row, column = torch.meshgrid(r, r, indexing="ij")
    cos, sin = (x[:, None, None].double() for x in (angle.cos(), angle.sin()))
    return torch.stack([row * cos - column * sin, row * sin + column * cos], -1)
