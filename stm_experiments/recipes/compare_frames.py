"""Repeated frames, or both traces of a scan: drift, mean, and how far they agree."""

from pathlib import Path
from typing import Any

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
from stm_experiments.io.read import count_frames
from stm_experiments.io.scan import Scan
from stm_experiments.restoration.denoise import denoise
from stm_experiments.restoration.frames import FrameComparison, compare_frames

READING = ("channel", "unit", "pixel_nm")


def compare(cfg: DictConfig) -> None:
    """Read, align, average and compare frames; write the mean, a table and a picture.

    Args:
        cfg: ``conf/compare_frames.yaml`` as composed.

    Raises:
        ValueError: If a setting, the checkpoint or a file cannot be used.
    """
    settings = resolve(cfg)
    patterns = [*settings["images"], *([settings["image"]] if settings["image"] else [])]
    if not patterns:
        raise ValueError("image= or images= names the frames")
    paths = [path for pattern in patterns for path in scan_files.find_scan_files(str(pattern))]
    folder = new_folder()
    scan_files.check_unit_settings(settings["unit"], settings["pixel_nm"])
    frames = read_frames(paths, settings)
    names = [f"{frame.name} ({frame.direction})" for frame in frames]
    denoised = denoise(frames[0], settings["checkpoint"]) if settings["denoise"] else None
    comparison = compare_frames(frames, denoised)
    stem = folder / f"{paths[0].stem}_mean"
    for ending in (".npy", ".tiff"):
        comparison.mean.save(f"{stem}{ending}")
    rows = comparison.rows(names)
    write_csv(folder / "frames.csv", list(rows[0]), [list(row.values()) for row in rows])
    summary = comparison.sentences(names)
    write_json(folder / "frames.json", {"frames": rows, "summary": summary})
    draw(frames[0], comparison, names, summary, Path(f"{stem}.png"))
    for line in summary:
        print(printable(line))
    print(printable(f"{folder}: {stem.name}.npy, .tiff, .png, frames.csv, frames.json"))


def read_frames(paths: list[Path], settings: dict[str, Any]) -> list[Scan]:
    """Read the frames; of a single file, those of a movie or its two traces."""
    reading = {key: settings[key] for key in READING}
    way = settings["direction"]
    if len(paths) > 1:
        return [scan_files.read_with_units(path, direction=way, **reading) for path in paths]
    if count := count_frames(paths[0]):
        return [
            scan_files.read_with_units(paths[0], direction=way, frame=frame, **reading)
            for frame in range(count)
        ]
    return [
        scan_files.read_with_units(paths[0], direction=way, **reading)
        for way in ("forward", "backward")
    ]


def draw(
    first: Scan, comparison: FrameComparison, names: list[str], summary: list[str], path: Path
) -> None:
    """Draw the comparison."""
    curves = [
        CorrelationCurve(printable(name), curve.frequency, curve.correlation, curve.threshold)
        for name, curve in zip(names[1:], comparison.curves, strict=True)
    ]
    figure = frame_comparison(
        level(first),
        level(comparison.mean),
        comparison.difference,
        curves,
        first.unit,
        first.pixel_size[1] if first.pixel_size else None,
        f"{printable(first.name)} and {len(curves)} further frame{'s' * (len(curves) > 1)}",
        "\n".join(map(printable, summary)),
    )
    save_figure(figure, path)


def level(scan: Scan) -> Array:
    """Return a scan without its plane, NaN where nothing was measured."""
    return np.where(scan.mask, subtract_plane(scan.data, scan.mask), np.nan)
