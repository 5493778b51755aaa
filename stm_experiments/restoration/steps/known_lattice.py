"""Drift, shear and calibration corrected by a lattice that is known."""

import itertools
import math
from typing import Any

import numpy as np

from stm_experiments.core.arrays import Array
from stm_experiments.core.texts import did_you_mean
from stm_experiments.io.scan import Scan
from stm_experiments.restoration.steps.arguments import pairs
from stm_experiments.restoration.steps.geometry import apply_map

KNOWN = {  # lattice constants a, b in nm and their angle in degrees
    "graphite": (0.2461, 0.2461, 120.0),
    "cu111": (0.2556, 0.2556, 120.0),
    "au111": (0.2884, 0.2884, 120.0),
    "ag111": (0.2889, 0.2889, 120.0),
    "si111_7x7": (2.688, 2.688, 120.0),
    "nacl": (0.3988, 0.3988, 90.0),
}
FARTHEST = 0.35  # largest change of a length or shear that drift is believed to cause


def correct_lattice(scan: Scan, argument: Any) -> Scan:
    """Undo drift at constant velocity, shear and wrong calibrations by a known lattice.

    The lattice that is found in the scan is mapped to the known one by an upper triangular matrix:
    the fast axis keeps its direction, the slow one is sheared and stretched, as drift does it.

    Args:
        scan: Of known pixel size.
        argument: A name in ``KNOWN``, or two vectors [[x, y], [x, y]] in nm.

    Raises:
        ValueError: If the pixel size is not known, no lattice is found, or it is too far from the
            known one.
    """
    # Here, for this takes a second that levelling can do without.
    from stm_experiments.lattice.fit import find_lattice

    known = known_vectors(argument)
    if scan.pixel_size is None:
        raise ValueError("prepare: lattice needs a scan whose pixel size is known")
    found = np.asarray(find_lattice(scan).vectors) * np.array(scan.pixel_size)
    columns = found[:, ::-1].T  # x, y in nm, one vector per column
    shift = correction(columns, known)
    sizes = np.array(scan.pixel_size)[::-1]
    in_px = shift * sizes[None, :] / sizes[:, None]  # of (x, y) in px
    lengths = np.linalg.norm(columns, axis=0)
    sentence = (
        f"mapped to the known lattice {_name(argument)}: the lattice found has a = "
        f"{lengths[0]:.4g} nm, b = {lengths[1]:.4g} nm; fast axis times {shift[0, 0]:.4f}, slow "
        f"axis times {shift[1, 1]:.4f}, sheared by {math.degrees(math.atan(shift[0, 1])):.2f} deg"
    )
    return apply_map(scan, in_px[::-1, ::-1], sentence)


def correction(found: Array, known: Array) -> Array:
    """Return the upper triangular map of (x, y) that brings a lattice to a known one.

    Args:
        found: Its vectors, one per column, [2, 2] nm.
        known: Those that it should have, in any basis and rotation.

    Returns:
        [2, 2]; of all choices of a basis the map that is nearest to the identity.

    Raises:
        ValueError: If none is near.
    """
    best, distance = np.eye(2), math.inf
    inverse = np.linalg.inv(found)
    for entries in itertools.product((-1, 0, 1), repeat=4):
        basis = np.array(entries, float).reshape(2, 2)
        if abs(np.linalg.det(basis)) != 1:
            continue
        vectors = known @ basis
        # The map U has U' U = metric, and is upper triangular: it keeps the fast axis.
        metric = inverse.T @ (vectors.T @ vectors) @ inverse
        upper = np.linalg.cholesky(metric).T
        away = float(np.abs(upper - np.eye(2)).max())
        if away < distance:
            best, distance = upper, away
    if distance > FARTHEST:
        lengths = np.linalg.norm(found, axis=0)
        raise ValueError(
            f"prepare: the lattice of the scan (a = {lengths[0]:.3g} nm, b = {lengths[1]:.3g} nm) "
            f"is {100 * distance:.0f} % from the known one, too far for drift"
        )
    return best


def known_vectors(argument: Any) -> Array:
    """Return the vectors of a lattice, one per column, [2, 2] nm.

    Raises:
        ValueError: If the argument names none.
    """
    if isinstance(argument, str):
        if argument.lower() not in KNOWN:
            likely = did_you_mean(argument.lower(), KNOWN)
            raise ValueError(
                f"prepare: lattice {argument!r} is not known{likely}: choose from "
                f"{', '.join(KNOWN)}, or give two vectors [[x, y], [x, y]] in nm"
            )
        a, b, angle = KNOWN[argument.lower()]
        turn = math.radians(angle)
        return np.array([[a, b * math.cos(turn)], [0.0, b * math.sin(turn)]])
    vectors = pairs(argument, "lattice", "a name, or two vectors [[x, y], [x, y]] in nm")
    matrix = np.array(vectors).T
    if matrix.shape != (2, 2) or abs(np.linalg.det(matrix)) < 1e-9:
        raise ValueError(f"prepare: lattice takes two vectors that span a cell, not {argument!r}")
    return matrix


def _name(argument: Any) -> str:
    return argument if isinstance(argument, str) else "that was given"
