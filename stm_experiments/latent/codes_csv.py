"""The file latent.csv of a run folder: principal components of codes and what each code shows."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from stm_experiments.core.files import read_csv, write_csv
from stm_experiments.core.texts import spreadsheet_text
from stm_experiments.latent.codes import Codes
from stm_experiments.latent.components import principal_components
from stm_experiments.simulator import LATTICES

COLUMNS = ("pc1", "pc2", "pc3", "lattice", "image", "azimuth", "tilt", "rotation")
MOST_POINTS = 1500  # codes that are written; enough for a cloud of points


def write_latent_csv(
    path: Path, codes: Tensor, lattice: Sequence[str], image: Tensor, orientation: Tensor
) -> None:
    """Write the codes, and their places on their first three principal axes; missing axes are 0.

    The numbers of a code are the columns ``code1`` and so on, after those of ``COLUMNS``. The axes
    are those of all codes; of more than 1500 codes, 1500 at equal steps are written.

    Args:
        path: The file to write.
        codes: Latent codes, [n, D], n >= 2.
        lattice: Name of the lattice type of each code, [n].
        image: Number of the image from which each patch was cut, [n].
        orientation: Azimuth, tilt and rotation as fractions of their ranges; NaN: unknown, [n, 3].

    Raises:
        ValueError: If there are fewer than two codes, some are not finite, or the lengths differ.
    """
    count = len(codes)
    components = principal_components(codes).points[:, :3]
    if not count == len(lattice) == len(image) == len(orientation):
        raise ValueError("codes, lattice, image and orientation must be equally many")
    points = torch.zeros(count, 3, dtype=torch.float64)
    points[:, : components.shape[1]] = components
    rows: list[list[object]] = []
    for i in written_rows(count):
        coordinates = [f"{value:.4g}" for value in points[i].tolist()]
        factors = [f"{value:.3f}" for value in orientation[i].tolist()]
        numbers = [f"{value:.6g}" for value in codes[i].tolist()]
        origin = (spreadsheet_text(lattice[i]), int(image[i]))
        rows.append([*coordinates, *origin, *factors, *numbers])
    write_csv(path, (*COLUMNS, *code_columns(codes)), rows)


def written_rows(count: int) -> list[int]:
    """Return which of ``count`` codes are written: at most 1500, at equal steps."""
    chosen: list[int] = (
        torch.linspace(0, count - 1, min(count, MOST_POINTS)).round().long().tolist()
    )
    return chosen


def code_columns(codes: Tensor) -> list[str]:
    """Return the names of the columns of codes [n, D]."""
    return [f"code{number}" for number in range(1, codes.shape[1] + 1)]


def codes_table(codes: Codes) -> pd.DataFrame:
    """Return codes and their origin as a table, a row per patch.

    The columns are ``lattice`` (its name), ``image``, ``azimuth``, ``tilt`` and ``rotation`` (as
    fractions of their ranges; NaN: unknown), and ``code1`` and so on.
    """
    names = [*LATTICES, "unknown lattice"]
    table = pd.DataFrame(codes.orientation.numpy(), columns=["azimuth", "tilt", "rotation"])
    table.insert(0, "image", codes.image.numpy())
    table.insert(0, "lattice", [names[label] for label in codes.lattice.tolist()])
    numbers = pd.DataFrame(codes.codes.numpy(), columns=code_columns(codes.codes))
    return pd.concat([table, numbers], axis="columns")


def read_latent_csv(path: Path) -> dict[str, list[str] | list[float]]:
    """Read the columns of a latent.csv: numbers, or the text of a column that holds other values.

    Raises:
        ValueError: If pc1, pc2 or pc3 is missing or holds values that are not finite numbers.
    """
    rows = read_csv(path)
    columns: dict[str, list[str] | list[float]] = {}
    for name in rows[0] if rows else ():
        texts = [row[name] for row in rows]
        try:
            columns[name] = [float(text) for text in texts]
        except ValueError:
            columns[name] = texts
    for name in COLUMNS[:3]:
        values = columns.get(name, [])
        if not values or not all(isinstance(v, float) and abs(v) < float("inf") for v in values):
            raise ValueError(f"{path.name} has no finite numbers in a column {name}")
    return columns
