"""A lattice as plain numbers and table rows, for files."""

from typing import Any

import numpy as np

from stm_experiments.lattice.fit import LatticeFit


def describe_lattice(fit: LatticeFit, unit: str) -> dict[str, Any]:
    """Return a lattice in plain numbers.

    Args:
        fit: The lattice.
        unit: Of the image's heights.

    Returns:
        ``summary``, one sentence; vectors (row, column), lengths, angle (in nm if the size of a
        pixel is known, and in px), basis and so on.
    """
    about: dict[str, Any] = {}
    for length, vectors in (("px", fit.vectors), ("nm", fit.vectors_nm)):
        if vectors is None:
            continue
        a, b = np.linalg.norm(vectors, axis=1)
        angle = float(np.degrees(np.arccos(vectors[0] @ vectors[1] / (a * b))))
        summary = f"a = {a:.4g} {length}, b = {b:.4g} {length}, {angle:.1f}°"
        about |= {f"vectors_{length}": vectors.tolist(), f"lengths_{length}": [a, b]}
        about["angle_degrees"] = angle
    empty = int((~fit.occupied).sum())
    about["summary"] = (
        f"{summary}, {len(fit.basis)} in the cell, {len(fit.sites)} sites, {empty} empty"
    )
    return about | {
        "basis": fit.basis.tolist(),
        "origin_px": fit.origin.tolist(),
        "sites": len(fit.sites),
        "empty": empty,
        "residual_px": fit.residual,
        "height_unit": unit,
    }


def site_rows(fit: LatticeFit, grain: int) -> list[dict[str, Any]]:
    """Return a table row for each site.

    Args:
        fit: The lattice.
        grain: Its number among several in one image.

    Returns:
        One dictionary per site: positions (px; nm if the size of a pixel is known), cell and kind,
        ``occupied`` 0 or 1, height, shift (px) and strain: along a column (``rows``), along a row
        (``columns``) and their ``shear``.
    """
    columns: dict[str, Any] = dict(zip(("row_px", "column_px"), fit.sites.T, strict=True))
    if fit.sites_nm is not None:
        columns |= zip(("y_nm", "x_nm"), fit.sites_nm.T, strict=True)
    columns |= zip(("cell_a", "cell_b"), fit.cell.T, strict=True)
    columns |= {"kind": fit.kind, "occupied": fit.occupied.astype(int), "height": fit.height}
    columns |= zip(("shift_row_px", "shift_column_px"), fit.shift.T, strict=True)
    strain = fit.strain.reshape(-1, 4)[:, [0, 1, 3]]
    columns |= zip(("strain_rows", "strain_shear", "strain_columns"), strain.T, strict=True)
    lines = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [{"grain": grain, **dict(zip(columns, line, strict=True))} for line in lines]
