"""The file latent.csv of a run folder: principal components of codes and what each code shows."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from stm_experiments.core.files import read_csv, write_csv
from stm_experiments.core.texts import spreadsheet_text
from stm_experiments.latent.components import principal_components

COLUMNS = ("pc1", "pc2", "pc3", "lattice", "image", "azimuth", "tilt", "rotation")
MOST_POINTS = 1500  # codes that are written; enough for a cloud of points


def write_latent_csv(
    path: Path, codes: Tensor, lattice: Sequence[str], image: Tensor, orientation: Tensor
) -> None:
    """Write the codes on their first three principal axes; missing axes are 0.

    The axes are those of all codes; of more than 1500 codes, 1500 at equal steps are written.

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
    chosen = torch.linspace(0, count - 1, min(count, MOST_POINTS)).round().long().tolist()
    rows: list[list[object]] = []
    for i in chosen:
        coordinates = [f"{value:.4g}" for value in points[i].tolist()]
        factors = [f"{value:.3f}" for value in orientation[i].tolist()]
        rows.append([*coordinates, spreadsheet_text(lattice[i]), int(image[i]), *factors])
    write_csv(path, COLUMNS, rows)


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
