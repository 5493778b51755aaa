"""A lattice as plain numbers and table columns, for files."""

from typing import Any

import numpy as np

from stm_experiments.core.arrays import Array
from stm_experiments.lattice.errors import measure_cell, reciprocal_errors
from stm_experiments.lattice.fit import LatticeFit
from stm_experiments.lattice.grains import Grains
from stm_experiments.lattice.symmetry.bravais import Symmetry
from stm_experiments.lattice.symmetry.plane_group import PlaneGroup

_STRAINED = 0.02  # strain between grains that is worth a word


def describe_lattice(
    fit: LatticeFit,
    symmetry: Symmetry | None,
    unit: str,
    group: PlaneGroup | None = None,
    *,
    is_doubtful: bool = False,
) -> dict[str, Any]:
    """Return a lattice in plain numbers.

    Args:
        fit: The lattice.
        symmetry: Of the same lattice; None: it could not be judged.
        unit: Of the image's heights.
        group: Its plane group; None: not judged.
        is_doubtful: Whether the lattice may be none, so that its class has a low confidence.

    Returns:
        ``summary``, one sentence; lengths and angle (nm if the size of a pixel is known, and px);
        ``vectors_px`` and ``origin_px`` (row, column); ``vectors_nm`` and ``reciprocal_per_nm``
        (without 2 pi) as (x, y), x along the rows, which are the fast axis, and y up the image;
        ``standard_errors`` of lengths, angle and vectors under the same names;
        the class ``bravais``, its ``confidence`` and ``runner_up``; the same of ``plane_group``;
        basis and so on.
    """
    about: dict[str, Any] = {"vectors_px": fit.vectors.tolist()}
    errors: dict[str, Any] = {"vectors_px": _root(fit.covariance)}
    for length, pixel in (("px", (1.0, 1.0)), ("nm", fit.pixel_nm)):
        if pixel is None:
            continue
        to_xy = np.array([[0.0, -pixel[0]], [pixel[1], 0.0]])
        vectors, both = fit.vectors @ to_xy, np.kron(np.eye(2), to_xy)
        covariance = both.T @ fit.covariance @ both
        cell = measure_cell(vectors, covariance)
        about |= {f"lengths_{length}": cell.lengths.tolist(), "angle_degrees": cell.angle}
        errors |= {
            f"lengths_{length}": cell.length_errors.tolist(),
            "angle_degrees": cell.angle_error,
        }
        if length == "nm":
            about["vectors_nm"] = vectors.tolist()
            about["reciprocal_per_nm"] = np.linalg.inv(vectors).T.tolist()
            errors["vectors_nm"] = _root(covariance)
            errors["reciprocal_per_nm"] = reciprocal_errors(vectors, covariance).tolist()
    about["standard_errors"] = errors
    about["errors_limited_by"] = fit.error_limit
    symmetry_words, symmetry_values = _describe_symmetry(fit, symmetry, is_doubtful=is_doubtful)
    group_words, group_values = _describe_group(group, symmetry_values["confidence"])
    words = [", ".join(fit.facts), symmetry_words, *group_words]
    about["summary"] = "; ".join([*words, f"errors limited by {fit.error_limit}"])
    return (
        about
        | symmetry_values
        | group_values
        | {
            "basis": fit.basis.tolist(),
            "origin_px": fit.origin.tolist(),
            "sites": len(fit.sites),
            "empty": int((~fit.occupied).sum()),
            "unknown": len(fit.unknown),
            "residual_px": fit.residual,
            "height_unit": unit,
        }
    )


def _root(covariance: Array) -> list[list[float]]:
    """Return the standard errors of two vectors, [2, 2]."""
    errors: list[list[float]] = np.sqrt(np.diag(covariance)).reshape(2, 2).tolist()
    return errors


def _describe_symmetry(
    fit: LatticeFit, symmetry: Symmetry | None, *, is_doubtful: bool
) -> tuple[str, dict[str, Any]]:
    """Return a lattice's class in words and as values.

    The class has a low confidence if the lattice is doubtful.
    """
    if symmetry is None:
        return "class unknown", {"bravais": None, "confidence": "low", "runner_up": None}
    confidence = "low" if is_doubtful else symmetry.confidence
    words = f"{symmetry.bravais}, {confidence} confidence (next: {symmetry.runner_up})"
    pixel = np.array(fit.pixel_nm or (1.0, 1.0))
    unit = "px" if fit.pixel_nm is None else "nm"
    if round(abs(float(np.linalg.det(symmetry.vectors @ np.linalg.inv(fit.vectors))))) > 1:
        a, b = np.linalg.norm(symmetry.vectors * pixel, axis=1)
        words += f"; the pattern repeats after a = {a:.4g} {unit}, b = {b:.4g} {unit} only"
    foreign = None
    if symmetry.foreign is not None:
        foreign = float(1 / np.linalg.norm(symmetry.foreign / pixel))
        words += f"; a strong wave of {foreign:.3g} {unit} does not belong to this cell"
    return words, {
        "bravais": symmetry.bravais,
        "confidence": confidence,
        "runner_up": symmetry.runner_up,
        "symmetry_vectors_px": symmetry.vectors.tolist(),
        "symmetry_strain": symmetry.strain,
        "symmetry_asymmetry": symmetry.asymmetry,
        f"foreign_period_{unit}": foreign,
    }


def _describe_group(
    group: PlaneGroup | None, class_confidence: str
) -> tuple[list[str], dict[str, Any]]:
    """Return a lattice's plane group in words and as values; no surer than its Bravais class."""
    if group is None:
        return [], {"plane_group": None}
    confidence = group.confidence if class_confidence == "high" else "low"
    words = f"plane group {group.name}, {confidence} confidence (next: {group.runner_up})"
    return [words], {
        "plane_group": group.name,
        "plane_group_confidence": confidence,
        "plane_group_runner_up": group.runner_up,
    }


def describe_grains(grains: Grains) -> list[dict[str, Any]]:
    """Return the grains of an image in plain numbers, one dictionary for each.

    Returns:
        ``grain_share``: share of the image; ``orientation_degrees``: of the first lattice vector,
        counter-clockwise from the rows; ``misorientation_degrees``: of the grain from each grain,
        null where the lattices differ, and ``misorientation_strain``, which the turn leaves;
        ``grain_summary``: one sentence.
    """
    about = []
    for number, fit in enumerate(grains.fits):
        turns, strains = grains.misorientation[:, number], grains.strain[:, number]
        down, across = fit.vectors[0] * np.array(fit.pixel_nm or (1.0, 1.0))
        share = float((grains.labels == number).mean())
        orientation = float(np.degrees(np.arctan2(-down, across)))
        words = f"grain {number}: {share:.0%} of the image, a at {orientation:.2f}°"
        if number and np.isnan(turns[0]):
            words += ", another lattice than grain 0"
        elif number:
            words += f", turned from grain 0 by {turns[0]:.2f}°"
            if strains[0] > _STRAINED:
                words += f"; besides, their lattices differ by a strain of {strains[0]:.1%}"
        about.append(
            {
                "grain_share": share,
                "orientation_degrees": orientation,
                "misorientation_degrees": [None if np.isnan(turn) else turn for turn in turns],
                "misorientation_strain": strains.tolist(),
                "grain_summary": words,
            }
        )
    return about


def site_table(fit: LatticeFit, grain: int) -> dict[str, list[Any]]:
    """Return the columns of a table of the sites.

    Args:
        fit: The lattice.
        grain: Its number among several in one image.

    Returns:
        For each name a value per site, the unknown ones last: positions (px; nm if the size of a
        pixel is known), cell and kind, ``occupied`` 0 or 1, height, shift (px) and strain: along a
        column (``rows``), along a row (``columns``) and their ``shear``. From ``occupied`` on all
        is None for unknown sites; the shift also where no atom was measured.
    """
    places = np.concatenate([fit.sites, fit.unknown])
    columns: dict[str, Any] = {"grain": np.full(len(places), grain)}
    columns |= zip(("row_px", "column_px"), places.T, strict=True)
    if fit.pixel_nm is not None:
        columns |= zip(("row_nm", "column_nm"), (places * np.array(fit.pixel_nm)).T, strict=True)
    cells = np.concatenate([fit.cell, fit.unknown_cell])
    columns |= zip(("cell_a", "cell_b"), cells.T, strict=True)
    columns |= {"kind": np.concatenate([fit.kind, fit.unknown_kind])}
    measured = {"occupied": fit.occupied.astype(int), "height": fit.height}
    measured |= zip(("shift_row_px", "shift_column_px"), fit.shift.T, strict=True)
    strain = fit.strain.reshape(-1, 4)[:, [0, 1, 3]]
    measured |= zip(("strain_rows", "strain_shear", "strain_columns"), strain.T, strict=True)
    table = {name: values.tolist() for name, values in columns.items()}
    nothing = [None] * len(fit.unknown)
    table |= {name: values.tolist() + nothing for name, values in measured.items()}
    for site in np.flatnonzero(~fit.shift.any(1)):
        table["shift_row_px"][site] = table["shift_column_px"][site] = None
    return table


def site_rows(fit: LatticeFit, grain: int) -> list[dict[str, Any]]:
    """Return the rows of ``site_table``, one dictionary per site."""
    table = site_table(fit, grain)
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
