"""The point defects of an image: a table, and a picture of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig
from scipy.spatial import KDTree

from stm_experiments.app.logs import print_and_log
from stm_experiments.app.settings import resolve
from stm_experiments.core.files import write_csv
from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.texts import printable
from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.point_defect_sheet import DefectPanel, point_defect_sheet
from stm_experiments.io import scan_files
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.fit import LatticeFit, find_lattice
from stm_experiments.lattice.point_defects import DetectedDefects, find_point_defects, without_cell
from stm_experiments.lattice.vectors import LatticeError
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.recipes.batch import print_written, work_through
from stm_experiments.restoration.denoise import DEFAULT, denoise

ORDERED = "defects in a regular order are taken for the lattice; find_lattice lists its empty sites"
SEARCH = ("threshold", "smoothing", "border")
COLUMNS = (
    *("row_px", "column_px", "row_nm", "column_nm", "sign", "height", "width_px", "score"),
    *("site_cell_a", "site_cell_b", "site_kind", "site_distance_px"),
)


def find_defects(cfg: DictConfig) -> None:
    """Find the point defects of each image; continue after files that fail.

    Args:
        cfg: ``conf/find_defects.yaml`` as composed.

    Raises:
        ValueError: If a setting or the checkpoint cannot be used, or some of the files.
    """
    settings = resolve(cfg)
    for key in SEARCH:
        value = settings[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ValueError(f"{key} is a number above 0, not {value!r}")
    net = checkpoint.load(settings["checkpoint"] or DEFAULT) if settings["denoise"] else None
    work_through(settings, lambda path, stem: work(path, stem, net, settings))


def work(path: Path, stem: Path, net: Network | None, settings: dict[str, Any]) -> None:
    """Find the point defects of one image; write a table and a picture."""
    scan = scan_files.read_as_set(path, settings)
    scan = scan if net is None else denoise(scan, net)
    found = search(scan, {key: settings[key] for key in SEARCH})
    write_csv(Path(f"{stem}_defects.csv"), list(COLUMNS), found.rows)
    levelled = np.where(scan.mask, subtract_plane(scan.data, scan.mask), np.nan)
    panel = DefectPanel(found.summary, levelled, found.defects, scan.pixel_size, scan.unit)
    caption = "".join(f"{note[0].upper()}{note[1:]}. " for note in found.notes)
    figure = point_defect_sheet([[panel]], [None], printable(path.name), caption)
    endings = save_figure(figure, f"{stem}_defects.png")
    for line in [found.summary, *found.notes]:
        print_and_log(f"{path.name}: {line}")
    print_written(stem, ["_defects.csv", *(f"_defects{ending}" for ending in endings)])


class Search(NamedTuple):
    """The point defects of a scan.

    Attributes:
        defects: Those that its lattice does not explain.
        rows: Of their table, see ``defect_rows``.
        summary: How many they are, in words.
        lacking: Why no lattice was found; None: one was.
    """

    defects: DetectedDefects
    rows: list[list[Any]]
    summary: str
    lacking: str | None

    @property
    def notes(self) -> list[str]:
        """What a reader of the table has to know besides, as parts of sentences."""
        if self.lacking is not None:
            return [f"no sites in the table: {self.lacking}"]
        return [] if self.rows else [ORDERED]


def search(scan: Scan, options: Mapping[str, float]) -> Search:
    """Find the point defects of a scan that its lattice does not explain.

    Args:
        scan: Denoised or not.
        options: Of ``find_point_defects``.

    Raises:
        ValueError: As ``find_point_defects``.
    """
    defects = find_point_defects(scan, **options)  # type: ignore[arg-type]
    lattice = lacking = None
    try:
        lattice = find_lattice(scan)
    except LatticeError as error:
        lacking = str(error)
    if lattice is not None:
        defects = defects.select(without_cell(defects, scan, lattice))
    rows = defect_rows(defects, lattice, scan.pixel_size)
    bright = int(defects.bright.sum())
    dark = len(rows) - bright
    none = "no point defects" if lattice is None else "no point defects besides the lattice"
    summary = f"{bright} bright and {dark} dark point defects" if rows else none
    return Search(defects, rows, summary, lacking)


def defect_rows(
    defects: DetectedDefects, lattice: LatticeFit | None, pixel_nm: tuple[float, float] | None
) -> list[list[Any]]:
    """Return a row of ``COLUMNS`` for each defect, the strongest first; None: unknown.

    Args:
        defects: Of an image.
        lattice: Of the same image, for the nearest site; None: no lattice was found.
        pixel_nm: Size of a pixel along axes 0 and 1, nm; None: unknown.
    """
    sites: list[list[Any]] = [[None] * 4 for _ in defects.score]
    if lattice is not None and len(sites):
        distance, nearest = KDTree(lattice.sites).query(defects.position)
        columns = (*lattice.cell[nearest].T, lattice.kind[nearest], distance)
        sites = [list(row) for row in zip(*(c.tolist() for c in columns), strict=True)]
    rows = []
    for number, (row, column) in enumerate(defects.position.tolist()):
        in_nm = [None, None] if pixel_nm is None else [row * pixel_nm[0], column * pixel_nm[1]]
        sign = "bright" if defects.bright[number] else "dark"
        values = [float(array[number]) for array in (defects.height, defects.width, defects.score)]
        rows.append([row, column, *in_nm, sign, *values, *sites[number]])
    return rows
