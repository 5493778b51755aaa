"""latent.csv of a run folder: the principal components of its codes, and what each code shows."""

import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

COLUMNS = ("pc1", "pc2", "pc3", "lattice", "image", "azimuth", "tilt", "rotation")
MOST_POINTS = 1500


def write_latent_csv(
    path: Path, codes: Tensor, lattice: Sequence[str], image: Tensor, orientation: Tensor
) -> None:
    """Writes the codes on their first three principal axes; missing axes are 0.

    The axes are those of all codes; of more than 1500 codes, 1500 at equal steps are written.

    Args:
        path: The file to write.
        codes: [n,D] latent codes, n >= 2.
        lattice: [n] name of the lattice type of each.
        image: [n] number of the image from which each was cut.
        orientation: [n,3] azimuth, tilt and rotation as fractions of their ranges; NaN: unknown.

    Raises:
        ValueError: If there are fewer than two codes, some are not finite, or the lengths differ.
    """
    count = len(codes)
    if codes.ndim != 2 or count < 2 or not torch.isfinite(codes).all():
        raise ValueError(f"expected at least two finite codes [n,D], not {list(codes.shape)}")
    if not count == len(lattice) == len(image) == len(orientation):
        raise ValueError("codes, lattice, image and orientation must be equally many")
    centred = codes.double() - codes.double().mean(0)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:3]
    # The sign of an axis is arbitrary: its largest entry is positive.
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    points = torch.zeros(count, 3, dtype=torch.float64)
    points[:, : len(axes)] = centred @ (axes * signs).T
    chosen = torch.linspace(0, count - 1, min(count, MOST_POINTS)).round().long().tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for i in chosen:
            place = [f"{value:.4g}" for value in points[i].tolist()]
            factors = [f"{value:.3f}" for value in orientation[i].tolist()]
            writer.writerow([*place, lattice[i], int(image[i]), *factors])


def read_latent_csv(path: Path) -> dict[str, list[str] | list[float]]:
    """The columns of a latent.csv: numbers, or the text of a column that holds anything else.

    Raises:
        ValueError: If pc1, pc2 or pc3 is not there or holds something else than finite numbers.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns: dict[str, list[str] | list[float]] = {}
    for name in rows[0] if rows else ():
        texts = [row[name] or "" for row in rows]
        try:
            columns[name] = [float(text) for text in texts]
        except ValueError:
            columns[name] = texts
    for name in COLUMNS[:3]:
        values = columns.get(name, [])
        if not values or not all(isinstance(v, float) and abs(v) < float("inf") for v in values):
            raise ValueError(f"{path.name} has no finite numbers in a column {name}")
    return columns
