"""The command that levels and draws scans, without a network."""

from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from stm_experiments.app.settings import resolve
from stm_experiments.core.files import write_csv
from stm_experiments.core.texts import printable
from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.scans.scan_sheet import Line, caption_of, scan_sheet
from stm_experiments.io import scan_files
from stm_experiments.io.metadata import describe
from stm_experiments.io.scan import Scan
from stm_experiments.recipes.batch import check_formats, list_scans, print_written, work_through
from stm_experiments.restoration.preparation import check_steps, listed, prepare
from stm_experiments.restoration.profiles import Profile, line_profile


def show(cfg: DictConfig) -> None:
    """Read, level, draw and convert each scan; a bad file does not stop the others.

    Args:
        cfg: ``conf/show.yaml`` as composed.

    Raises:
        ValueError: If a setting cannot be used, or some of the files.
    """
    settings = resolve(cfg)
    if settings["list"]:
        return list_scans(settings)
    settings["prepare"] = listed(settings["prepare"])
    check_steps(settings["prepare"])
    endings = check_formats(settings["formats"])
    work_through(settings, lambda path, stem: work(path, stem, settings, endings))


def work(path: Path, stem: Path, settings: dict[str, Any], endings: list[str]) -> None:
    """Level and draw one scan; write its profile, and the scan in other formats."""
    recorded = scan_files.read_as_set(path, settings)
    scan = prepare(recorded, settings["prepare"])
    profile = line_profile(scan, settings["profile"])
    for ending in endings:
        scan.save(f"{stem}{ending}")
    height_unit = f"height ({scan.unit})" if scan.unit else "height"
    rows = np.column_stack([profile.distance, profile.height]).tolist()
    write_csv(Path(f"{stem}_profile.csv"), [f"distance ({profile.length})", height_unit], rows)
    pictures = draw(scan, profile, Path(f"{stem}.png"))
    for line in [*describe(scan.metadata), *scan.history]:
        print(printable(f"{path.name}: {line}"))
    print_written(stem, [*pictures, "_profile.csv", *endings])


def draw(scan: Scan, profile: Profile, path: Path) -> list[str]:
    """Draw a scan with its profile and spectrum; return the endings of the pictures."""
    line = Line(
        (profile.start[0], profile.end[0]),
        (profile.start[1], profile.end[1]),
        profile.distance,
        profile.height,
        profile.length,
    )
    about, steps = (
        [printable(text) for text in texts] for texts in (describe(scan.metadata), scan.history)
    )
    figure = scan_sheet(
        np.where(scan.mask, scan.data, np.nan),
        scan.unit,
        scan.pixel_size,
        line,
        f"{printable(scan.name)}: {scan.channel} ({scan.direction})",
        caption_of(about, steps, scan.data.shape),
    )
    return save_figure(figure, path)
