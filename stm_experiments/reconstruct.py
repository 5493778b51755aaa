"""Whole images through a network: each result in its scan's own units, and a picture of it."""

import json
import logging
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich.progress import Progress

from stm_experiments.app import build
from stm_experiments.app.job import new_folder
from stm_experiments.app.launching import launch
from stm_experiments.figures import save, whole_image
from stm_experiments.io import scan_files
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.restoration.denoise import DEFAULT, check, compare, denoise

log = logging.getLogger(__name__)


def reconstruct(cfg: DictConfig) -> None:
    """Reads, prepares, denoises, writes and draws each scan, going on past bad files.

    Args:
        cfg: ``conf/reconstruct.yaml`` as composed.

    Raises:
        ValueError: If a setting or the checkpoint cannot be used, or some of the files.
    """
    settings = build.resolve(cfg)
    paths = scan_files.find(settings["image"])
    if settings["list"]:
        scan_files.each(paths, scan_files.show_channels)
        return
    folder = new_folder()
    if not isinstance(settings["prepare"], list):
        settings["prepare"] = [settings["prepare"]]
    scan_files.check_units(settings["unit"], settings["pixel_nm"])
    net = checkpoint.load(settings["checkpoint"] or DEFAULT)
    check(net, settings["stride"], settings["prepare"], settings["normalisation"])
    stems = scan_files.stems(paths)
    scan_files.each(paths, lambda path: one(path, folder / stems[path], net, settings))


def one(path: Path, stem: Path, net: Network, settings: dict[str, Any]) -> None:
    """Takes one scan through the network, and writes ``stem`` with several endings."""
    reading = ("channel", "direction", "unit", "pixel_nm")
    scan = scan_files.read(path, **{key: settings[key] for key in reading})
    clean = settings["clean"] and scan_files.partner(path, settings["clean"], scan.data.shape)
    with Progress() as bars:
        bar = bars.add_task(path.name)
        result = denoise(
            scan,
            net,
            settings["stride"],
            settings["uncertainty"],
            prepare=settings["prepare"],
            normalisation=settings["normalisation"],
            progress=lambda done, total: bars.update(bar, completed=done, total=total),
        )
    say = partial(log.info, "%s: %s", path.name)
    for line in result.history:
        say(line)
    truth = None
    if clean:
        measures, truth = compare(result, clean)
        Path(f"{stem}_metrics.json").write_text(json.dumps(measures, indent=2), encoding="utf-8")
        values = ", ".join(f"{name} {value:.4g}" for name, value in measures.items())
        say(f"against the clean image, fitted to the scan by an affine map and a plane: {values}")
    endings = [".npy", ".tiff", ".gwy"] if find_spec("gwyfile") else [".npy", ".tiff"]
    for ending in endings:
        result.save(f"{stem}{ending}")
    if result.uncertainty is not None:
        np.save(f"{stem}_uncertainty.npy", result.uncertainty)
    figure = whole_image(
        result.flat(result.before.data),
        result.flat(result.data),
        result.unit,
        result.pixel_size,
        result.title(),
        clean=None if truth is None else result.flat(truth),
        uncertainty=result.uncertainty,
    )
    save(figure, f"{stem}.png")
    print(f"{stem.parent}: {stem.name}{', '.join([*endings, '.png'])}")


def main() -> None:
    """The command ``stm-reconstruct``."""
    launch(reconstruct, "reconstruct")


if __name__ == "__main__":
    main()
