"""Repeated frames, or both traces of a scan, aligned: mean, difference, how far they agree."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig

from stm_experiments.app.job import new_folder
from stm_experiments.app.settings import resolve
from stm_experiments.core.arrays import Array
from stm_experiments.core.files import write_csv, write_json
from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.texts import printable
from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.scans.frame_comparison import CorrelationCurve, frame_comparison
from stm_experiments.io import scan_files
from stm_experiments.io.given_units import check_unit_settings
from stm_experiments.io.read import count_frames, read_scan
from stm_experiments.io.scan import Scan
from stm_experiments.recipes.batch import check_formats, print_written
from stm_experiments.restoration.denoise import denoise
from stm_experiments.restoration.frames import FrameComparison, align_frames

READING = ("channel", "unit", "pixel_nm")


class Frame(NamedTuple):
    """A frame and how the names of its results begin."""

    stem: str
    scan: Scan


def align(cfg: DictConfig) -> None:
    """Read, align, average and compare frames; write them, a table and a picture.

    Args:
        cfg: ``conf/align.yaml`` as composed.

    Raises:
        ValueError: If a setting, the checkpoint or a file cannot be used.
    """
    settings = resolve(cfg)
    patterns = [*settings["images"], *([settings["image"]] if settings["image"] else [])]
    if not patterns:
        raise ValueError("image= or images= names the frames")
    paths = [path for pattern in patterns for path in scan_files.find_scan_files(str(pattern))]
    endings = check_formats(settings["formats"])
    check_unit_settings(settings["unit"], settings["pixel_nm"])
    folder = new_folder()
    frames = read_frames(paths, settings)
    first = frames[0].scan
    denoised = denoise(first, settings["checkpoint"]) if settings["denoise"] else None
    comparison = align_frames([frame.scan for frame in frames], denoised)
    write_scans(frames, comparison, folder, endings)
    names = [f"{frame.scan.name} ({frame.scan.direction})" for frame in frames]
    rows = comparison.rows(names)
    write_csv(folder / "frames.csv", list(rows[0]), [list(row.values()) for row in rows])
    summary = comparison.sentences(names)
    write_json(folder / "frames.json", {"frames": rows, "summary": summary})
    endings = draw(first, comparison, names, summary, folder / "frames.png")
    for line in summary:
        print(printable(line))
    print_written(folder / "frames", [".csv", ".json", *endings])


def read_frames(paths: list[Path], settings: dict[str, Any]) -> list[Frame]:
    """Read the frames; of a single file, those of a movie or its two traces."""
    reading = {key: settings[key] for key in READING}
    way = settings["direction"]
    if len(paths) > 1:
        stems = scan_files.result_stems(paths)
        return [Frame(stems[path], read_scan(path, direction=way, **reading)) for path in paths]
    (path,) = paths
    if count := count_frames(path):
        return [
            Frame(
                f"{path.stem}_{frame}",
                read_scan(path, direction=way, frame=frame, **reading),
            )
            for frame in range(count)
        ]
    return [
        Frame(f"{path.stem}_{way}", read_scan(path, direction=way, **reading))
        for way in ("forward", "backward")
    ]


def write_scans(
    frames: list[Frame], comparison: FrameComparison, folder: Path, endings: list[str]
) -> None:
    """Write the aligned frames, their mean and the difference of the first two."""
    results = {f"{frames[0].stem}_mean": comparison.mean}
    results[f"{frames[0].stem}_difference"] = comparison.difference
    for frame, aligned in zip(frames[1:], comparison.aligned, strict=True):
        results[f"{frame.stem}_aligned"] = aligned
    for stem, scan in results.items():
        for ending in endings:
            scan.save(folder / f"{stem}{ending}")
        print_written(folder / stem, endings)


def draw(
    first: Scan, comparison: FrameComparison, names: list[str], summary: list[str], path: Path
) -> list[str]:
    """Draw the comparison; return the endings of the pictures."""
    curves = [
        CorrelationCurve(printable(name), curve.frequency, curve.correlation, curve.threshold)
        for name, curve in zip(names[1:], comparison.curves, strict=True)
    ]
    figure = frame_comparison(
        level(first),
        level(comparison.mean),
        np.where(comparison.difference.mask, comparison.difference.data, np.nan),
        curves,
        first.unit,
        first.pixel_size,
        f"{printable(first.name)} and {len(curves)} further frame{'s' * (len(curves) > 1)}",
        "\n".join(map(printable, summary)),
    )
    return save_figure(figure, path)


def level(scan: Scan) -> Array:
    """Return a scan without its plane, NaN where nothing was measured."""
    return np.where(scan.mask, subtract_plane(scan.data, scan.mask), np.nan)
