"""The lattice of an image: its vectors, its sites with positions and strain, a picture of them."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig

from stm_experiments.app.settings import resolve
from stm_experiments.core.arrays import Array
from stm_experiments.core.files import write_csv, write_json
from stm_experiments.core.texts import printable
from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.lattice_map import lattice_map
from stm_experiments.io import scan_files
from stm_experiments.io.read import read_other_trace
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.fit import LatticeFit, find_grains
from stm_experiments.lattice.grains import Grains, segment_grains
from stm_experiments.lattice.site_table import describe_grains, describe_lattice, site_table
from stm_experiments.lattice.symmetry import find_symmetries
from stm_experiments.lattice.vectors import LatticeError
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.recipes.batch import print_written, work_through
from stm_experiments.restoration.denoise import DEFAULT, denoise
from stm_experiments.restoration.waves.lattice_waves import doubt_lattice

FEWER = 0.95  # least share of the denoised image's sites that the image itself must show
DENOISE = ("auto", True, False)


def find_lattices(cfg: DictConfig) -> None:
    """Find the lattice of each image, write it and draw it; continue after files that fail.

    Args:
        cfg: ``conf/find_lattice.yaml`` as composed.

    Raises:
        ValueError: If a setting or the checkpoint cannot be used, or some of the files.
    """
    settings = resolve(cfg)
    grains = settings["grains"]
    if grains != "auto" and (not isinstance(grains, int) or grains < 1):
        raise ValueError(f"grains is auto or a whole number of at least 1, not {grains!r}")
    if settings["denoise"] not in DENOISE:
        raise ValueError(f"denoise is auto, true or false, not {settings['denoise']!r}")
    net = checkpoint.load(settings["checkpoint"] or DEFAULT) if settings["denoise"] else None
    work_through(settings, lambda path, stem: work(path, stem, net, settings))


class Found(NamedTuple):
    """Lattices, and the image in which they were found.

    Attributes:
        name: ``image itself`` or ``denoised image``.
        data: [H, W].
        fits: At least one.
        grains: With ``grains=auto``, the grains that the image was divided into; else None.
    """

    name: str
    data: Array
    fits: list[LatticeFit]
    grains: Grains | None


def find_precisely(scan: Scan, net: Network | None, settings: dict[str, Any]) -> Found:
    """Find the lattices of a scan in the image itself or in the denoised one.

    With ``denoise=auto`` both are tried. The image itself is taken if its lattice has the smaller
    standard errors and no fewer sites: a denoiser must not make a lattice worse.

    Args:
        scan: The scan.
        net: Denoises it; None: only the image itself is tried.
        settings: ``denoise``, ``invert`` and ``grains``.

    Raises:
        LatticeError: If neither shows a lattice.
    """
    sign = -1 if settings["invert"] else 1
    images = {} if settings["denoise"] is True else {"image itself": scan.data}
    if net is not None:
        images["denoised image"] = denoise(scan, net).data
    found: list[Found] = []
    for name, data in images.items():
        try:
            found.append(_find(name, sign * data, scan, settings["grains"]))
        except LatticeError:
            if name == list(images)[-1] and not found:
                raise
    if len(found) == 2:
        itself, denoised = (one.fits[0] for one in found)
        precise = np.trace(itself.covariance) <= np.trace(denoised.covariance)
        if not (precise and len(itself.sites) >= FEWER * len(denoised.sites)):
            return found[1]
    return found[0]


def _find(name: str, data: Array, scan: Scan, grains: int | str) -> Found:
    """Find the lattices of an image [H, W] of a scan."""
    if isinstance(grains, int):
        fits = find_grains(data, scan.mask, scan.pixel_size, grains)
        return Found(name, data, fits, None)
    parts = segment_grains(data, scan.mask, scan.pixel_size)
    return Found(name, data, parts.fits, parts)


def describe_found(scan: Scan, found: Found) -> list[dict[str, Any]]:
    """Return each lattice of a scan in plain numbers and words, with what makes it doubtful."""
    symmetries = find_symmetries(found.data, scan.mask, found.fits)
    other = read_other_trace(scan)
    about = []
    for fit, symmetry in zip(found.fits, symmetries, strict=True):
        reason = doubt_lattice(scan, fit.vectors, other)
        text = describe_lattice(fit, symmetry, scan.unit) | {
            "found_in": found.name,
            "reason": reason,
        }
        about.append(text if reason is None else text | {"confidence": "low"})
    if found.grains is None:
        return about
    grains = describe_grains(found.grains)
    return [text | grain for text, grain in zip(about, grains, strict=True)]


def work(path: Path, stem: Path, net: Network | None, settings: dict[str, Any]) -> None:
    """Find the lattice of one image; write a table, a description and a picture."""
    scan = scan_files.read_as_set(path, settings)
    found = find_precisely(scan, net, settings)
    fits, about = found.fits, describe_found(scan, found)
    write_json(Path(f"{stem}_lattice.json"), about)
    tables = [site_table(fit, grain) for grain, fit in enumerate(fits)]
    rows = (row for table in tables for row in zip(*table.values(), strict=True))
    write_csv(Path(f"{stem}_sites.csv"), list(tables[0]), rows)
    title = "\n".join([printable(path.name), *(text["summary"] for text in about)])
    recorded = np.where(scan.mask, scan.data, np.nan)
    labels = None if found.grains is None else found.grains.labels
    endings = save_figure(lattice_map(recorded, fits, title, labels), f"{stem}_lattice.png")
    written = ["_lattice.json", *(f"_lattice{ending}" for ending in endings), "_sites.csv"]
    if labels is not None:
        np.save(f"{stem}_grains.npy", labels)
        written.append("_grains.npy")
    for text in about:
        print(printable(f"{path.name}: {text['summary']}; found in the {found.name}"))
        if text["reason"] is not None:
            print(printable(f"{path.name}: this may be no lattice: {text['reason']}"))
        if found.grains is not None:
            print(printable(f"{path.name}: {text['grain_summary']}"))
    print_written(stem, written)
