"""The pictures of the SrTiO3 benchmark: the paper's figures 2 and 3, and real images."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import ndimage

from stm_experiments.benchmarks.srtio3.fault import FaultImage, ImageMethod, measure_fault
from stm_experiments.benchmarks.srtio3.patches import PatchImages, nine_patches, relative_error
from stm_experiments.core.arrays import Array
from stm_experiments.core.normalisation import normalise_minmax
from stm_experiments.figures.canvas import (
    CATEGORY_COLOURS,
    as_image,
    draw_image,
    height_limits,
    new_figure,
)
from stm_experiments.io import read_scan
from stm_experiments.lattice.fit import find_lattice
from stm_experiments.lattice.vectors import LatticeError
from stm_experiments.models.interfaces import Network
from stm_experiments.restoration.denoise import denoise
from stm_experiments.restoration.fit_weighted import apply_fit_weighted

_NEIGHBOURS = 50**0.5  # px between the Sr and Ti columns on which the network was trained
_SHOWN = 110  # px of an image with a fault that are shown
_LARGEST = 512  # px of a real image that are shown


def patches_figure(nets: Mapping[str, Network], images: PatchImages) -> Figure:
    """Draw the paper's Figure 2: one patch of each image, noisy, after each network, and clean.

    Args:
        nets: By name; those for whole images are left out.
        images: At least one, of which up to nine are shown.
    """
    noisy, clean = nine_patches(images.noisy)[4::9], nine_patches(images.clean)[4::9]
    rows = {"noisy": noisy}
    for name, net in nets.items():
        if net.window == noisy.shape[-1]:
            share = 100 * float(relative_error(net(nine_patches(images.noisy)), images).mean())
            rows[f"{name}\n{share:.1f} % off"] = net(noisy)
    rows["truth"] = clean
    count = len(noisy)
    figure = new_figure(
        1.2 * count + 1,
        1.1 + 1.25 * len(rows),
        "Patches of SrTiO3 at a signal-to-noise ratio of 0.33",
    )
    grid = figure.subplots(len(rows), count, squeeze=False)
    limits = height_limits([as_image(image[0]) for image in clean])
    for (name, shown), axes in zip(rows.items(), grid, strict=True):
        for image, panel in zip(shown, axes, strict=True):
            shown_patch = as_image(image[0])
            draw_image(
                panel, shown_patch, height_limits([shown_patch]) if name == "noisy" else limits, ""
            )
        axes[0].set_ylabel(name, fontsize=9)
    return figure


def fault_figure(case: FaultImage, methods: Mapping[str, ImageMethod], title: str) -> Figure:
    """Draw the paper's Figure 3: an image with a fault after every method, and its elongation.

    Args:
        case: The image and its truth.
        methods: By name.
        title: What was added to it.
    """
    columns: dict[str, ImageMethod | None] = {**methods, "truth": None}
    across = -(-len(columns) // 2)
    figure = new_figure(
        2.6 * across,
        9,
        f"A Ruddlesden-Popper fault, {title}",
        f"Above: {_SHOWN} px around the fault (dotted). Below: elongation from each row of Sr "
        "columns to the next, along the fault's normal, as found in each image, and the truth "
        "(black). The gap at the fault itself is left out.",
    )
    grid = figure.add_gridspec(3, across, height_ratios=(1, 1, 1.1))
    curves = figure.add_subplot(grid[2, :])
    part, point = _around_fault(case)
    for place, (name, method) in enumerate(columns.items()):
        axes = figure.add_subplot(grid[divmod(place, across)])
        image = case.clean if method is None else method(case.noisy)
        shown = as_image(image)[part]
        draw_image(axes, shown, height_limits([shown], 0.5), name)
        if method is None:
            limits = {"xlim": axes.get_xlim(), "ylim": axes.get_ylim()}
            (row, column), (down, right) = point, point + case.along
            axes.axline((column, row), (right, down), color="cyan", linestyle=":")
            axes.set(**limits)
        fit = measure_fault(image, case)
        colour = "black" if method is None else CATEGORY_COLOURS[place % 6]
        style = (
            {"linewidth": 2.5, "zorder": 3} if method is None else {"marker": ".", "linewidth": 1}
        )
        values = fit.truth if method is None else fit.elongation
        curves.plot(fit.place, 100 * values, color=colour, label=name, **style)
    curves.set_xlabel("distance from the fault [px]")
    curves.set_ylabel("elongation [%]")
    curves.set_ylim(-8, 12)
    curves.grid(alpha=0.3)
    curves.legend(fontsize=8, ncols=2)
    return figure


def _around_fault(case: FaultImage) -> tuple[tuple[slice, slice], Array]:
    """Return the part of an image that is shown, and a point of the fault in it, [2] px."""
    size = len(case.noisy)
    middle = np.full(2, (size - 1) / 2)
    fault = middle + case.normal * (measure_fault(case.clean, case).fault - middle @ case.normal)
    first = (fault - _SHOWN / 2).round().astype(int).clip(0, max(size - _SHOWN, 0))
    part = slice(first[0], first[0] + _SHOWN), slice(first[1], first[1] + _SHOWN)
    return part, fault - first


def scan_figure(path: str, nets: Mapping[str, Network]) -> Figure:
    """Draw a real image, scaled to the column distance of SrTiO3, after each network.

    Args:
        path: A file that ``read_scan`` knows.
        nets: By name.

    Raises:
        ValueError: If the file cannot be read.
    """
    scan = read_scan(path)
    data = scan.data
    try:
        factor = _NEIGHBOURS / find_lattice(data, scan.mask).spacing
        scaled = f"scaled by {factor:.2f}: nearest columns {_NEIGHBOURS:.1f} px apart as in SrTiO3"
    except LatticeError:
        factor, scaled = 1.0, "not scaled: no lattice was found"
    data = ndimage.zoom(data, factor, order=1 if factor > 1 else 3)[:_LARGEST, :_LARGEST]
    shown = {"as recorded": data}
    scaled_to_one = torch.from_numpy(normalise_minmax(data)[0])
    for name, net in nets.items():
        shown[name] = denoise(data, net, stride=2).data
        if net.window is not None:
            weighted = apply_fit_weighted(net, scaled_to_one, net.window, 2)
            shown[f"{name}, by fit"] = weighted.numpy()
    figure = new_figure(
        4 * len(shown),
        5,
        f"{scan.name}, {scaled}",
        "The stacked autoencoder was trained on SrTiO3 alone, and can draw nothing else.",
    )
    for (name, image), axes in zip(shown.items(), figure.subplots(1, len(shown)), strict=True):
        draw_image(axes, np.asarray(image), height_limits([image], 0.5), name)
    return figure
