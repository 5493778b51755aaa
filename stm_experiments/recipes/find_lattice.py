"""The lattice of an image: its vectors, its sites with positions and strain, a picture of them."""

from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from stm_experiments.app.job import new_folder
from stm_experiments.app.settings import resolve
from stm_experiments.core.files import write_csv, write_json
from stm_experiments.core.texts import printable
from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.lattice_map import lattice_map
from stm_experiments.io import scan_files
from stm_experiments.lattice.fit import find_grains
from stm_experiments.lattice.site_table import describe_lattice, site_rows
from stm_experiments.lattice.symmetry import find_symmetries
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.restoration.denoise import DEFAULT, denoise

READING = ("channel", "direction", "frame", "unit", "pixel_nm")


def find_lattices(cfg: DictConfig) -> None:
    """Find the lattice of each image, write it and draw it; continue after files that fail.

    Args:
        cfg: ``conf/find_lattice.yaml`` as composed.

    Raises:
        ValueError: If a setting or the checkpoint cannot be used, or some of the files.
    """
    settings = resolve(cfg)
    paths = scan_files.find_scan_files(settings["image"])
    others = scan_files.passed_over(settings["image"])
    folder = new_folder()
    scan_files.check_unit_settings(settings["unit"], settings["pixel_nm"])
    if not isinstance(settings["grains"], int) or settings["grains"] < 1:
        raise ValueError(f"grains is a whole number of at least 1, not {settings['grains']!r}")
    net = checkpoint.load(settings["checkpoint"] or DEFAULT) if settings["denoise"] else None
    stems = scan_files.result_stems(paths)
    scan_files.for_each_file(
        paths, lambda path: work(path, folder / stems[path], net, settings), others
    )


def work(path: Path, stem: Path, net: Network | None, settings: dict[str, Any]) -> None:
    """Find the lattice of one image; write a table, a description and a picture."""
    scan = scan_files.read_with_units(path, **{key: settings[key] for key in READING})
    data = scan.data if net is None else denoise(scan, net).data
    data = -data if settings["invert"] else data
    fits = find_grains(data, scan.mask, scan.pixel_size, settings["grains"])
    symmetries = find_symmetries(data, scan.mask, fits)
    about = [describe_lattice(*each, scan.unit) for each in zip(fits, symmetries, strict=True)]
    write_json(Path(f"{stem}_lattice.json"), about)
    rows = [row for grain, fit in enumerate(fits) for row in site_rows(fit, grain)]
    write_csv(Path(f"{stem}_sites.csv"), list(rows[0]), [list(row.values()) for row in rows])
    title = "\n".join([printable(path.name), *(text["summary"] for text in about)])
    recorded = np.where(scan.mask, scan.data, np.nan)
    save_figure(lattice_map(recorded, fits, title), f"{stem}_lattice.png")
    for text in about:
        print(printable(f"{path.name}: {text['summary']}"))
    print(printable(f"{stem.parent}: {stem.name}_lattice.json, _lattice.png, _sites.csv"))
