"""The lattice of an image: its vectors, its sites with positions and strain, a picture of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig

from stm_experiments.app.logs import print_and_log
from stm_experiments.app.settings import resolve
from stm_experiments.core.arrays import Array
from stm_experiments.core.files import write_csv, write_json
from stm_experiments.core.texts import printable
from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.lattice_map import lattice_map
from stm_experiments.io import scan_files
from stm_experiments.io.read import read_other_trace
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.fit import LatticeFit, covered_share, find_grains, with_verdicts
from stm_experiments.lattice.fit import find_lattice as fit_lattice
from stm_experiments.lattice.grains import Grains, segment_grains
from stm_experiments.lattice.measured import fullest_window
from stm_experiments.lattice.site_table import describe_grains, describe_lattice, site_table
from stm_experiments.lattice.symmetry.bravais import find_symmetries
from stm_experiments.lattice.symmetry.plane_group import plane_group_of
from stm_experiments.lattice.vectors import LatticeError
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.recipes.batch import print_written, work_through
from stm_experiments.restoration.denoise import DEFAULT, denoise
from stm_experiments.restoration.preparation import check_steps, listed, prepare
from stm_experiments.restoration.waves.lattice_waves import doubt_lattice

COVERED = 0.8  # share of the image on the sites below which it is told
FEWER = 0.95  # share of the sites of the other image below which an image is left
CLEAR = 0.03  # residual up to which an image needs no denoiser, distances of nearest neighbours
TRIAL = 384  # px; of a scan twice as large as this square, a part tells whether a denoiser helps
CLOSER = 0.9  # residual of the denoised part up to which it does, of that of the part itself
STEPS = (["plane", "rows_differences"], ["poly2", "rows_differences"])  # that can show a lattice
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
    settings["prepare"] = listed(settings["prepare"])
    check_steps(settings["prepare"])
    net = checkpoint.load(settings["checkpoint"] or DEFAULT) if settings["denoise"] else None
    work_through(settings, lambda path, stem: work(path, stem, net, settings))


class Found(NamedTuple):
    """Lattices, and the image in which they were found.

    Attributes:
        name: ``image itself`` or ``denoised image``.
        data: [H, W].
        fits: At least one.
        grains: With ``grains=auto``, the grains that the image was divided into; else None.
        doubt: Why the cell is not sure, as part of a sentence; None: no reason.
        runner_up: The vectors of the other cell then, (row, column), [2, 2] px; else None.
    """

    name: str
    data: Array
    fits: list[LatticeFit]
    grains: Grains | None
    doubt: str | None = None
    runner_up: Array | None = None


def find_precisely(scan: Scan, net: Network | None, settings: dict[str, Any]) -> Found:
    """Find the lattices of a scan in the image itself or in the denoised one.

    With ``denoise=auto`` the denoised image is tried too, unless the atoms of the image itself lie
    close to their sites, or a part of a large scan tells that a denoiser gains little. It must not
    make a lattice worse (``choose_image``).

    Args:
        scan: The scan.
        net: Denoises it; None: only the image itself is tried.
        settings: ``denoise``, ``invert`` and ``grains``.

    Raises:
        LatticeError: If neither shows a lattice.
    """
    sign, itself, refusal = -1 if settings["invert"] else 1, None, None
    if settings["denoise"] is not True:
        try:
            itself = _find("image itself", sign * scan.data, scan, settings["grains"])
        except LatticeError as error:
            refusal = error
    if itself is None and net is None:
        raise refusal or LatticeError("no lattice was found")
    if itself is not None and (
        net is None or _is_clear(itself.fits[0]) or not _is_worth_denoising(scan, net, sign)
    ):
        return itself
    try:
        data = denoise(scan, net).data
        denoised = _find("denoised image", sign * data, scan, settings["grains"])
    except LatticeError:
        if itself is None:
            raise
        return itself
    return denoised if itself is None else choose_image(itself, denoised)


def _is_clear(fit: LatticeFit) -> bool:
    """Return whether atoms lie so close to their sites that there is nothing to denoise."""
    return fit.residual < CLEAR * fit.spacing


def _is_worth_denoising(scan: Scan, net: Network, sign: int) -> bool:
    """Return whether a denoiser adds sites or brings atoms closer to them in a part of a scan.

    A scan that is not much larger than the part is always worth it.
    """
    if scan.data.size < 2 * TRIAL**2:
        return True
    part = _cut_part(scan)
    try:
        first = fit_lattice(sign * part.data, part.mask)
    except LatticeError:
        return True
    try:
        second = fit_lattice(sign * denoise(part, net).data, part.mask)
    except LatticeError:
        return False
    is_closer = second.residual / second.spacing < CLOSER * first.residual / first.spacing
    return is_closer or len(first.sites) < FEWER * len(second.sites)


def choose_image(itself: Found, denoised: Found) -> Found:
    """Return the lattices of the image that shows them better.

    That is the one with more sites; if they have about as many, the one with fewer atoms in the
    cell, as noise and denoisers make superlattices; else the one whose atoms lie closer to their
    sites. Where the cells are the same, the image itself tells which sites are empty; those that
    hold an atom in the denoised image are unknown.

    Args:
        itself: Lattices of the image itself.
        denoised: Those of the denoised one.
    """
    first, second = itself.fits[0], denoised.fits[0]
    if len(first.sites) < FEWER * len(second.sites):
        best, other = denoised, itself
    elif len(second.sites) < FEWER * len(first.sites):
        best, other = itself, denoised
    else:
        order = [(len(one.fits[0].basis), one.fits[0].residual) for one in (itself, denoised)]
        best, other = (itself, denoised) if order[0] <= order[1] else (denoised, itself)
    rival = other.fits[0]
    if len(rival.basis) == len(best.fits[0].basis):
        fits = [with_verdicts(best.fits[0], first), *best.fits[1:]]
        return best._replace(fits=fits)
    a, b = np.linalg.norm(rival.vectors * np.array(rival.pixel_nm or (1.0, 1.0)), axis=1)
    unit = "px" if rival.pixel_nm is None else "nm"
    doubt = (
        f"the {other.name} has another cell: a = {a:.4g} {unit}, b = {b:.4g} {unit}, "
        f"{len(rival.basis)} atom{'s' if len(rival.basis) > 1 else ''}"
    )
    return best._replace(doubt=doubt, runner_up=rival.vectors)


def _find(name: str, data: Array, scan: Scan, grains: int | str) -> Found:
    """Find the lattices of an image [H, W] of a scan."""
    if isinstance(grains, int):
        fits = find_grains(data, scan.mask, scan.pixel_size, grains)
        return Found(name, data, fits, None)
    parts = segment_grains(data, scan.mask, scan.pixel_size)
    return Found(name, data, parts.fits, parts)


def hint_at_steps(scan: Scan, sign: int) -> str:
    """Return which steps of preparation show a lattice in a refused scan, as the end of a sentence.

    They are tried in a part of the scan. Empty if none helps.

    Args:
        scan: The scan.
        sign: 1; -1 if atoms are dark.
    """
    part = _cut_part(scan)
    for steps in STEPS:
        try:
            levelled = prepare(part, steps)
            fit = fit_lattice(sign * levelled.data, part.mask)
        except ValueError:
            continue
        if doubt_lattice(part, fit.vectors) is not None:
            continue
        return f"; a lattice is found with prepare=[{','.join(steps)}]"
    return ""


def _cut_part(scan: Scan) -> Scan:
    """Return the fullest part of a scan that is not larger than ``TRIAL``."""
    window = fullest_window(scan.mask, TRIAL)
    return replace(scan, data=scan.data[window], mask=scan.mask[window])


def describe_found(scan: Scan, found: Found) -> list[dict[str, Any]]:
    """Return each lattice of a scan in plain numbers and words, with what makes it doubtful.

    The class is that of the scan as it was recorded: what a denoiser leaves of noise looks like a
    superlattice.
    """
    symmetries = find_symmetries(scan.data, scan.mask, found.fits)
    other = read_other_trace(scan)
    about: list[dict[str, Any]] = []
    for fit, symmetry in zip(found.fits, symmetries, strict=True):
        doubts = [doubt_lattice(scan, fit.vectors, other), None if about else found.doubt]
        reason = "; ".join(doubt for doubt in doubts if doubt) or None
        group = plane_group_of(scan, fit, symmetry)
        text = describe_lattice(fit, symmetry, scan.unit, group, is_doubtful=reason is not None)
        text |= {"found_in": found.name, "reason": reason}
        text["covered_share"] = covered_share(fit, scan.mask)
        if not about and found.runner_up is not None:
            text["runner_up_vectors_px"] = found.runner_up.tolist()
        about.append(text)
    if found.grains is None:
        return about
    grains = describe_grains(found.grains)
    return [text | grain for text, grain in zip(about, grains, strict=True)]


def tell_covered(about: list[dict[str, Any]], grains: int | str) -> str:
    """Return that the lattices cover a part of the image only, as a sentence; empty if they do not.

    Args:
        about: From ``describe_found``.
        grains: The setting.
    """
    share = sum(text["covered_share"] for text in about)
    if share >= COVERED:
        return ""
    advice = ": grains=auto looks for other lattices" if grains == 1 else ""
    return f"the sites cover {share:.0%} of the image{advice}"


def work(path: Path, stem: Path, net: Network | None, settings: dict[str, Any]) -> None:
    """Find the lattice of one image; write a table, a description and a picture."""
    scan = prepare(scan_files.read_as_set(path, settings), settings["prepare"])
    try:
        found = find_precisely(scan, net, settings)
    except LatticeError as error:
        sign = -1 if settings["invert"] else 1
        raise LatticeError(f"{error}{hint_at_steps(scan, sign)}") from error
    fits, about = found.fits, describe_found(scan, found)
    write_json(Path(f"{stem}_lattice.json"), about)
    tables = [site_table(fit, grain) for grain, fit in enumerate(fits)]
    rows = (row for table in tables for row in zip(*table.values(), strict=True))
    write_csv(Path(f"{stem}_sites.csv"), list(tables[0]), rows)
    title = "\n".join([printable(path.name), *(text["summary"] for text in about)])
    recorded = np.where(scan.mask, scan.data, np.nan)
    labels = None if found.grains is None else found.grains.labels
    doubts = dict.fromkeys(text["reason"] for text in about if text["reason"] is not None)
    note = "".join(f"Low confidence: {doubt}. " for doubt in doubts)
    covered = tell_covered(about, settings["grains"])
    note += f"{covered[:1].upper()}{covered[1:]}. " if covered else ""
    figure = lattice_map(recorded, fits, title, labels, note)
    endings = save_figure(figure, f"{stem}_lattice.png")
    written = ["_lattice.json", *(f"_lattice{ending}" for ending in endings), "_sites.csv"]
    if labels is not None:
        np.save(f"{stem}_grains.npy", labels)
        written.append("_grains.npy")
    for text in about:
        print_and_log(f"{path.name}: {text['summary']}; found in the {found.name}")
        if text["reason"] is not None:
            print_and_log(f"{path.name}: low confidence: {text['reason']}")
        if found.grains is not None:
            print_and_log(f"{path.name}: {text['grain_summary']}")
    if covered:
        print_and_log(f"{path.name}: {covered}")
    print_written(stem, written)
