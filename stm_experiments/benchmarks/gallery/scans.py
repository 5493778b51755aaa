"""Pictures of scans: levelled, denoised, aligned, with lattice, defects and sites."""

from functools import cache

import numpy as np
from matplotlib.figure import Figure

from stm_experiments import simulator
from stm_experiments.benchmarks.gallery.entry import Entry
from stm_experiments.core.arrays import Array
from stm_experiments.core.planes import subtract_plane
from stm_experiments.figures.lattice_map import lattice_map
from stm_experiments.figures.point_defect_sheet import DefectPanel, point_defect_sheet
from stm_experiments.figures.scans.frame_comparison import CorrelationCurve, frame_comparison
from stm_experiments.figures.scans.scan_sheet import Line, caption_of, scan_sheet
from stm_experiments.figures.site_map import site_map
from stm_experiments.figures.whole_image import whole_image
from stm_experiments.io.metadata import describe
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.fit import find_grains
from stm_experiments.lattice.grains import segment_grains
from stm_experiments.lattice.point_defects import find_point_defects
from stm_experiments.lattice.site_table import describe_lattice
from stm_experiments.lattice.symmetry.bravais import find_symmetries
from stm_experiments.restoration.denoise import denoise
from stm_experiments.restoration.denoised import Denoised, compare_with_clean
from stm_experiments.restoration.frames import align_frames
from stm_experiments.restoration.history import picture_title
from stm_experiments.restoration.preparation import prepare
from stm_experiments.restoration.profiles import line_profile

PIXEL = 0.05  # nm
CORRUGATION = 2e-11  # m, of a simulated height of 1
LONG = "2026-11-29_sample_with_a_long_name_Si(111)-7x7_after_flash_at_1200C_$300mV$_0042.sxm"


@cache
def scan(lattice: str, noise: str = "realistic", size: int = 192, seed: int = 3) -> Scan:
    """Simulate a scan in m, with a tilt."""
    return _as_scan(
        simulator.simulate([lattice], [seed], noise=noise, size=size).noisy[0, 0].numpy(), lattice
    )


@cache
def clean(lattice: str, size: int = 192, seed: int = 3) -> Scan:
    """Return the partner of ``scan`` without noise."""
    images = simulator.simulate([lattice], [seed], noise="realistic", size=size)
    return _as_scan(images.clean[0, 0].numpy(), lattice)


def _as_scan(heights: Array, name: str) -> Scan:
    data = CORRUGATION * heights.astype(float) + 3e-7
    about = {"bias_V": -0.3, "setpoint_A": 1e-10, "date": "2026-11-29"}
    mask = np.ones(data.shape, bool)
    return Scan(data, mask, "m", (PIXEL, PIXEL), "Z", name=f"{name}.sxm", metadata=about)


def show(levelled: Scan) -> Figure:
    """Draw a scan as the command ``show`` does."""
    profile = line_profile(levelled)
    rows, columns = zip(profile.start, profile.end, strict=True)
    line = Line(rows, columns, profile.distance, profile.height, profile.length)
    caption = caption_of(describe(levelled.metadata), list(levelled.history), levelled.data.shape)
    shown = np.where(levelled.mask, levelled.data, np.nan)
    title = f"{levelled.name}: {levelled.channel} ({levelled.direction})"
    return scan_sheet(shown, levelled.unit, levelled.pixel_size, line, title, caption)


def denoised(result: Denoised, truth: Scan | None = None) -> Figure:
    """Draw a denoised scan as the command ``reconstruct`` does."""
    fitted = None
    if truth is not None:
        fitted = result.without_tilt(compare_with_clean(result, truth).fitted)
    return whole_image(
        result.without_tilt(result.before.data),
        result.without_tilt(result.data),
        result.unit,
        result.pixel_size,
        picture_title(result),
        clean=fitted,
        uncertainty=result.uncertainty,
        uncertain_atoms=result.uncertain_atoms,
    )


def lattice(one: Scan, grains: int | str = 1) -> Figure:
    """Draw the lattice of a scan as the command ``find_lattice`` does."""
    labels = None
    if grains == "auto":
        parts = segment_grains(one.data, one.mask, one.pixel_size)
        fits, labels = parts.fits, parts.labels
    else:
        fits = find_grains(one.data, one.mask, one.pixel_size, int(grains))
    symmetries = find_symmetries(one.data, one.mask, fits)
    words = [
        describe_lattice(fit, symmetry, one.unit)["summary"]
        for fit, symmetry in zip(fits, symmetries, strict=True)
    ]
    return lattice_map(
        np.where(one.mask, one.data, np.nan), fits, "\n".join([one.name, *words]), labels
    )


def frames() -> Figure:
    """Draw three frames that drift as the command ``align`` does."""
    whole = scan("srtio3", "none", 224, 5)
    rng = np.random.default_rng(0)
    shots = []
    for number, (row, column) in enumerate(((8, 8), (11, 6), (14, 5))):
        cut = whole.data[row : row + 192, column : column + 192]
        noisy = subtract_plane(cut) + 5e-12 * rng.normal(size=cut.shape)
        mask = np.ones(cut.shape, bool)
        shots.append(Scan(noisy, mask, "m", (PIXEL, PIXEL), "Z", name=f"{number}"))
    comparison = align_frames(shots, None)
    names = [f"frame {number}" for number in range(3)]
    curves = [
        CorrelationCurve(name, curve.frequency, curve.correlation, curve.threshold)
        for name, curve in zip(names[1:], comparison.curves, strict=True)
    ]
    difference = np.where(comparison.difference.mask, comparison.difference.data, np.nan)
    return frame_comparison(
        shots[0].data,
        np.where(comparison.mean.mask, comparison.mean.data, np.nan),
        difference,
        curves,
        "m",
        (PIXEL, PIXEL),
        "frame 0 and 2 further frames",
        "\n".join(comparison.sentences(names)),
    )


def defects() -> Figure:
    """Draw point defects as the command ``find_defects`` does."""
    surface = scan("tise2", "paper", 192, 1)
    rows, columns = np.indices(surface.data.shape)
    places = np.random.default_rng(1).uniform(20, 172, (8, 2))
    for number, (row, column) in enumerate(places):
        spot = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 8)
        surface = surface.with_data(surface.data + (4e-11 if number % 2 else -4e-11) * spot)
    found = find_point_defects(surface)
    panel = DefectPanel(
        f"{len(found.position)} point defects",
        subtract_plane(surface.data, surface.mask),
        found,
        (PIXEL, PIXEL),
        surface.unit,
    )
    return point_defect_sheet([[panel]], [places], surface.name)


def sites(classes: int) -> Figure:
    """Draw sites in several classes as the command ``find_sites`` does."""
    surface = scan("mos2", "paper", 192, 2)
    (fit,) = find_grains(surface.data, surface.mask, surface.pixel_size, 1)
    labels = np.arange(len(fit.sites)) * 7 % classes
    shown = subtract_plane(surface.data, surface.mask)
    return site_map(shown, fit.sites, labels, np.arange(0, 80, 10), surface.name, (PIXEL, PIXEL))


def extreme(shape: tuple[int, int], unit: str, pixel: tuple[float, float] | None) -> Figure:
    """Draw noise of an odd shape before and after, under a long name."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices(shape)
    wave = np.sin(columns / 3) + np.sin(rows / 4)
    scale, offset = (1e-10, -1.17e5) if unit == "" else (1e-10, 0.0)
    before = offset + scale * (wave + 0.3 * rng.normal(size=shape)) * (1e15 if unit == "" else 1)
    after = offset + scale * wave * (1e15 if unit == "" else 1)
    return whole_image(before, after, unit, pixel, LONG)


def unfinished() -> Scan:
    """Return a scan that ended early."""
    whole = scan("hex1")
    mask = np.arange(192)[:, None] < 120
    part = np.broadcast_to(mask, (192, 192)).copy()
    data = np.where(part, whole.data, np.median(whole.data[part]))
    return Scan(data, part, "m", (PIXEL, PIXEL), "Z", name=LONG, metadata=whole.metadata)


def entries() -> list[Entry]:
    """Return the pictures of scans."""
    return [
        Entry("show", "stm-show image=scan.sxm", "A scan levelled by its plane.",
              lambda: show(prepare(scan("sc"), ["plane"]))),
        Entry("show_unfinished", "stm-show image=scan.sxm", "A scan that ended early, a long name.",
              lambda: show(prepare(unfinished(), ["plane"]))),
        Entry("reconstruct", "stm-reconstruct image=scan.sxm", "A scan denoised.",
              lambda: denoised(denoise(scan("fcc")))),
        Entry("reconstruct_uncertainty", "stm-reconstruct image=scan.sxm uncertainty=true",
              "With the stated error of each pixel.",
              lambda: denoised(denoise(scan("tise2"), uncertainty=True))),
        Entry("reconstruct_clean", "stm-reconstruct image=noisy.tiff clean=clean.tiff",
              "With the partner without noise.",
              lambda: denoised(denoise(scan("bcc"), uncertainty=True), clean("bcc"))),
        Entry("reconstruct_unfinished", "stm-reconstruct image=scan.sxm",
              "A scan that ended early.", lambda: denoised(denoise(unfinished()))),
        Entry("reconstruct_tiny", "whole_image", "16 x 16 px, no pixel size, unit unknown.",
              lambda: extreme((16, 16), "", None)),
        Entry("reconstruct_wide", "whole_image", "300 x 60 px that are not square.",
              lambda: extreme((60, 300), "A", (0.2, 0.1))),
        Entry("reconstruct_tall", "whole_image", "60 x 300 px.",
              lambda: extreme((300, 60), "m", (0.1, 0.1))),
        Entry("reconstruct_huge", "whole_image", "2600 x 2600 px.",
              lambda: extreme((2600, 2600), "V", (0.1, 0.1))),
        Entry("lattice", "stm-find-lattice image=scan.sxm", "A lattice and its strain.",
              lambda: lattice(scan("srtio3"))),
        Entry("align", "stm-align images=[a.sxm,b.sxm,c.sxm]", "Frames that drift.", frames),
        Entry("defects", "stm-find-defects image=scan.sxm", "Point defects.", defects),
        Entry("sites", "stm-find-sites image=scan.sxm checkpoint=best.ckpt",
              "13 classes of sites; here their numbers are drawn at random.", lambda: sites(13)),
        Entry("sites_one", "stm-find-sites image=scan.sxm checkpoint=best.ckpt classes=1",
              "One class of sites.", lambda: sites(1)),
    ]  # fmt: skip
