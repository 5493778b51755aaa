"""The command that denoises scans: results in the units of the scan, and a picture of each."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich.markup import escape
from rich.progress import Progress

from stm_experiments.app.settings import resolve
from stm_experiments.core.files import atomic_write, write_json
from stm_experiments.core.texts import printable
from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.whole_image import whole_image
from stm_experiments.io import scan_files
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.recipes.batch import list_scans, print_written, work_through
from stm_experiments.restoration.denoise import DEFAULT, check_denoising, denoise
from stm_experiments.restoration.denoised import Comparison, Denoised, compare_with_clean
from stm_experiments.restoration.history import picture_title
from stm_experiments.restoration.preparation import listed
from stm_experiments.restoration.whole_network import NetworkAlone

DENOISING = ("stride", "uncertainty", "prepare", "remove_waves", "normalisation")
log = logging.getLogger(__name__)


def reconstruct(cfg: DictConfig) -> None:
    """Read, prepare, denoise, write and draw each scan; a bad file does not stop the others.

    Args:
        cfg: ``conf/reconstruct.yaml`` as composed.

    Raises:
        ValueError: If a setting or the checkpoint cannot be used, or some of the files.
    """
    settings = resolve(cfg)
    if settings["list"]:
        return list_scans(settings)
    settings["prepare"] = listed(settings["prepare"])
    net = checkpoint.load(settings["checkpoint"] or DEFAULT)
    checked = {key: settings[key] for key in DENOISING if key != "uncertainty"}
    check_denoising(net, **checked)
    if settings["alone"]:
        net = NetworkAlone(net)
    work_through(
        settings, lambda path, stem: restore(path, stem, net, settings), ending="_reconstructed"
    )


def restore(path: Path, stem: Path, net: Network, settings: dict[str, Any]) -> None:
    """Denoise one scan and write ``stem`` with several endings."""
    scan = scan_files.read_as_set(path, settings)
    clean = settings["clean"] and scan_files.read_partner(path, settings["clean"], scan.data.shape)
    with Progress() as bars:
        bar = bars.add_task(escape(printable(path.name)))
        options = {key: settings[key] for key in DENOISING}
        options["progress"] = lambda done, total: bars.update(bar, completed=done, total=total)
        result = denoise(scan, net, **options)
    comparison = compare_with_clean(result, clean) if clean else None
    write_result(result, stem, comparison)
    for line in [*result.history, *([comparison.sentence()] if comparison else [])]:
        log.info("%s: %s", printable(path.name), printable(line))


def write_result(result: Denoised, stem: Path, comparison: Comparison | None) -> None:
    """Write a result, its uncertainty, its measures and a picture."""
    written = [".npy", ".tiff", ".gwy"]
    for ending in written:
        result.save(f"{stem}{ending}")
    if result.uncertainty is not None:
        with atomic_write(Path(f"{stem}_uncertainty.npy")) as file:
            np.save(file, result.uncertainty)
        written.append("_uncertainty.npy")
    if comparison:
        write_json(Path(f"{stem}_metrics.json"), comparison.measures)
        written.append("_metrics.json")
    figure = whole_image(
        result.without_tilt(result.before.data),
        result.without_tilt(result.data),
        result.unit,
        result.pixel_size,
        picture_title(result),
        clean=result.without_tilt(comparison.fitted) if comparison else None,
        uncertainty=result.uncertainty,
        uncertain_atoms=result.uncertain_atoms,
    )
    print_written(stem, [*written, *save_figure(figure, f"{stem}.png")])
