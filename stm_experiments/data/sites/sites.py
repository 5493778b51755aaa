"""Patches around the sites of a lattice: atoms, missing atoms, and hollows between atoms.

The slow background and the finest noise of an image are removed, and the image is brought to one
scale: patches show the same surroundings at every magnification of the microscope.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.images import fill_nearest
from stm_experiments.lattice.fit import LatticeFit, find_lattice

MARGIN = 2  # px around a patch that are needed to turn and shift it
# Widths of the band-pass, distances of nearest neighbours: finer noise and slower background go.
_FINE, _SLOW = 0.12, 1.2
# Least distance of a hollow from its atoms, distances of nearest neighbours: 1 in a honeycomb, 0.71
# in a square, 0.58 in a close packing.
_OPEN = 0.85
_SHOWN = 0.99  # least share of measured pixels of an interpolated one that counts as measured
_STEPS = 48  # of the search for a hollow, along each lattice vector; a multiple of 3 and 4


@dataclass(frozen=True, eq=False)
class SiteImage:
    """An image and the sites of its lattice whose surroundings lie within it; S sites.

    Attributes:
        name: Name of the file, or another name.
        recorded: The image as it was recorded, in its own unit, [H, W].
        image: The image after the band-pass, at the scale of the patches, on about [-1, 1]; its
            mean is 0, [1, h, w].
        position: Sites in the recorded image, px, [S, 2].
        place: Sites in ``image``, px, [S, 2].
        kind: Number of the site's atom in the cell of the lattice; the last kind may be the hollow,
            [S].
        occupied: False where an atom is missing, and in hollows, [S].
        spacing: Distance of nearest neighbours in the recorded image, px; along the shorter side of
            pixels that are not square.
        pixel_nm: Size of a pixel along axes 0 and 1, nm; None: unknown.
        truth: What is true of each site of a simulated image, by name, as in ``SimulatedSites``,
            [S] each; empty for other images.
        lattice: Label of the lattice; -1: unknown.
        orientation: The three uniforms of a simulated crystal, NaN where unknown, [3].
    """

    name: str
    recorded: NDArray[np.float64]
    image: Tensor
    position: NDArray[np.float64]
    place: Tensor
    kind: NDArray[np.int64]
    occupied: NDArray[np.bool_]
    spacing: float
    pixel_nm: tuple[float, float] | None = None
    truth: dict[str, NDArray[Any]] = field(default_factory=dict)
    lattice: int = -1
    orientation: Tensor = field(default_factory=lambda: torch.full((3,), torch.nan).double())


@dataclass(frozen=True)
class Sites:
    """Sites of a lattice and its hollows; S sites.

    Attributes:
        position: Positions, px, [S, 2].
        kind: Number of the site's atom in the cell; the last kind may be the hollow, [S].
        occupied: Whether an atom is there, [S].
    """

    position: NDArray[np.float64]
    kind: NDArray[np.int64]
    occupied: NDArray[np.bool_]


def make_site_image(
    name: str,
    data: NDArray[np.float64],
    window: int,
    width: float,
    mask: NDArray[np.bool_] | None = None,
    pixel_nm: tuple[float, float] | None = None,
) -> SiteImage:
    """Find the lattice of an image and prepare its sites.

    An image whose pixels are not square is interpolated first, so that patches are square in nm.

    Args:
        name: Name of the image.
        data: The image, any unit, [H, W].
        window: Side of the patches, px.
        width: The same in distances of nearest neighbours.
        mask: True where it was measured, [H, W]; None: everywhere.
        pixel_nm: Size of a pixel along axes 0 and 1, nm.

    Raises:
        LatticeError: If no lattice is found.
        ValueError: If no site is far enough from the border.
    """
    measured = np.isfinite(data) if mask is None else np.isfinite(data) & mask
    square = _with_square_pixels(data, measured, pixel_nm)
    fit = find_lattice(square.data, square.measured)
    sites = add_hollows(fit)
    image = _band_pass(square.data, square.measured, fit.spacing)
    image = ndimage.zoom(image, window / (width * fit.spacing), order=3)
    largest = np.array(image.shape) - 1
    place = sites.position * largest / (np.array(square.data.shape) - 1)
    reach = window / 2 + 1
    inside = ((place >= reach) & (place <= largest - reach)).all(1)
    if not measured.all():
        inside &= _is_surrounded(sites.position, square.measured, 0.5 * width * fit.spacing)
    if not inside.any():
        raise ValueError(
            f"{name}: no site is {width / 2:g} distances of neighbours from the border"
        )
    return SiteImage(
        name=name,
        recorded=np.where(measured, data, np.nan),
        image=torch.from_numpy(image.astype(np.float32))[None],
        position=sites.position[inside] / square.scale,
        place=torch.from_numpy(place[inside]),
        kind=sites.kind[inside],
        occupied=sites.occupied[inside],
        spacing=fit.spacing,
        pixel_nm=pixel_nm,
    )


class _Square(NamedTuple):
    """An image with square pixels.

    Attributes:
        data: [h, w].
        measured: [h, w].
        scale: Its places over those in the recorded image, along axes 0 and 1.
    """

    data: NDArray[np.float64]
    measured: NDArray[np.bool_]
    scale: NDArray[np.float64]


def _with_square_pixels(
    data: NDArray[np.float64],
    measured: NDArray[np.bool_],
    pixel_nm: tuple[float, float] | None,
) -> _Square:
    """Interpolate an image along the longer side of its pixels."""
    sides = np.array(pixel_nm or (1.0, 1.0))
    old = np.array(data.shape)
    new = np.rint((old - 1) * sides / sides.min()).astype(int) + 1
    if (new == old).all():
        return _Square(data, measured, np.ones(2))
    zoom = new / old
    fine = ndimage.zoom(fill_nearest(data, measured), zoom, order=3)
    shown = ndimage.zoom(measured.astype(float), zoom, order=1) > _SHOWN
    return _Square(fine, shown, (new - 1) / np.maximum(old - 1, 1))


def _band_pass(
    data: NDArray[np.float64], measured: NDArray[np.bool_], spacing: float
) -> NDArray[np.float64]:
    """Subtract slow background and finest noise; scale the 99th percentile of |values| to 1."""
    flat = np.where(measured, data, data[measured].mean())
    passed = ndimage.gaussian_filter(flat, _FINE * spacing)
    passed = passed - ndimage.gaussian_filter(flat, _SLOW * spacing)
    scale = float(np.percentile(np.abs(passed[measured]), 99))
    return np.where(measured, passed, 0.0) / scale


def _is_surrounded(
    position: NDArray[np.float64], measured: NDArray[np.bool_], radius: float
) -> NDArray[np.bool_]:
    """Return whether all pixels within a radius (px) of sites [S, 2] were measured, [S]."""
    distance = ndimage.distance_transform_edt(measured)
    row, column = np.round(position).astype(int).T
    return np.asarray(distance[row, column] > radius, bool)


def add_hollows(fit: LatticeFit) -> Sites:
    """Return the sites of a lattice and, in an open lattice such as a honeycomb, its hollows.

    A hollow is the place of the cell that is furthest from all atoms. Each atom around a hollow
    predicts its position; the mean of these predictions follows the distortion of the lattice.
    """
    steps = np.arange(_STEPS) / _STEPS
    places = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 2, indexing="ij"), -1).reshape(-1, 2)
    count = len(fit.basis)
    atoms = (shifts[:, None] + fit.basis).reshape(-1, 2)
    distance = KDTree(atoms @ fit.vectors).query(places @ fit.vectors)[0]
    hollow = places[distance.argmax()]
    if distance.max() < _OPEN * fit.spacing:
        return Sites(fit.sites, fit.kind, fit.occupied)
    offsets = (atoms - hollow) @ fit.vectors
    around = np.flatnonzero(np.linalg.norm(offsets, axis=1) < 1.15 * distance.max())
    cells, predictions = [], []
    for index in around:
        cell, kind = shifts[index // count], index % count
        same_kind = fit.kind == kind
        cells.append(fit.cell[same_kind] - cell)
        predictions.append(fit.sites[same_kind] - offsets[index])
    hollow_cells, cell_index, votes = np.unique(
        np.concatenate(cells), axis=0, return_inverse=True, return_counts=True
    )
    total = np.zeros((len(hollow_cells), 2))
    np.add.at(total, cell_index.reshape(-1), np.concatenate(predictions))
    hollows = (total / votes[:, None])[votes > len(around) / 2]
    return Sites(
        np.concatenate([fit.sites, hollows]),
        np.concatenate([fit.kind, np.full(len(hollows), count)]),
        np.concatenate([fit.occupied, np.zeros(len(hollows), bool)]),
    )


def disc(window: int) -> Tensor:
    """Return 1 in the circle that fits a patch and 0 outside, with an edge of one px, [w, w].

    The corners outside would appear and disappear when a patch is turned.
    """
    r = torch.arange(window) - (window - 1) / 2
    return (window / 2 - torch.hypot(r[:, None], r)).clamp(0, 1)


def cut_squares(image: Tensor, place: Tensor, window: int, angle: Tensor | None = None) -> Tensor:
    """Cut squares around places between pixels, by bicubic interpolation.

    Args:
        image: The image, [1, h, w].
        place: Middles of the squares, px, [S, 2].
        window: Side of the squares, px.
        angle: Angle by which their content is turned, from axis 1 towards axis 0, rad, [S]; None:
            0.

    Returns:
        Squares, [S, 1, w, w].
    """
    grid = _turned_grid(window, torch.zeros(len(place)) if angle is None else angle)
    size = torch.tensor(image.shape[-2:]) - 1
    points = (2 * (grid + place[:, None, None]) / size - 1).flip(-1).to(image)
    squares = F.grid_sample(
        image[None], points.view(1, -1, window, 2), "bicubic", "reflection", align_corners=True
    )
    return squares.view(-1, 1, window, window)


def turn_and_shift(
    squares: Tensor, window: int, angle: Tensor, shift: Tensor, mirrored: Tensor
) -> Tensor:
    """Return patches from squares that are a few px larger.

    Args:
        squares: [B, 1, W, W].
        window: Side of the patches, px.
        angle: Angle by which their content is turned, from axis 1 towards axis 0, rad, [B].
        shift: Shift before the turn, along axes 0 and 1, px, [B, 2].
        mirrored: Whether the content is mirrored before, [B].

    Returns:
        Discs, [B, 1, w, w].
    """
    grid = _turned_grid(window, angle) - shift[:, None, None]
    grid[..., 1] *= torch.where(mirrored, -1.0, 1.0)[:, None, None]
    points = (2 * grid / (squares.shape[-1] - 1)).flip(-1).to(squares)
    return F.grid_sample(squares, points, align_corners=True) * disc(window).to(squares)


def _turned_grid(window: int, angle: Tensor) -> Tensor:
    """Return where the pixels of turned patches are read, px from the middle, [B, w, w, 2]."""
    r = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    row, column = torch.meshgrid(r, r, indexing="ij")
    cos, sin = (x[:, None, None].double() for x in (angle.cos(), angle.sin()))
    return torch.stack([row * cos - column * sin, row * sin + column * cos], -1)
