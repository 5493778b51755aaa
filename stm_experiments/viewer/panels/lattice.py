"""The panel that finds the lattice: sites with a table, lattice vectors, strain, grains."""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from stm_experiments.io.scan import Scan
from stm_experiments.viewer.layers import (
    DIFFERENCE_COLOURS,
    LayerData,
    geometry,
    labels_layer,
    points_layer,
    show,
)
from stm_experiments.viewer.panel import Panel
from stm_experiments.viewer.table import show_table

if TYPE_CHECKING:
    from stm_experiments.lattice.fit import LatticeFit
    from stm_experiments.recipes.find_lattice import Found

SITES = ("#009E73", "#56B4E9", "#E69F00", "#CC79A7")  # colours of the places in the cell
EMPTY, UNKNOWN, VECTORS = "#D55E00", "#F0E442", "#FFD000"
LARGE = 8  # cells that a lattice vector is drawn long, at most


class Lattices(NamedTuple):
    """The lattices of a scan, and what they are in plain numbers and words."""

    scan: Scan
    found: "Found"
    about: list[dict[str, Any]]


def find(
    scan: Scan,
    denoise: Literal["auto", "yes", "no"] = "auto",
    invert: bool = False,
    one_grain: bool = True,
) -> Lattices:
    """Find the lattices of a scan, as the command ``find_lattice`` does."""
    from stm_experiments.models.checkpoint import load
    from stm_experiments.recipes.find_lattice import describe_found, find_precisely
    from stm_experiments.restoration.denoise import DEFAULT

    net = None if denoise == "no" else load(DEFAULT)
    settings = {
        "denoise": {"auto": "auto", "yes": True, "no": False}[denoise],
        "invert": invert,
        "grains": 1 if one_grain else "auto",
    }
    found = find_precisely(scan, net, settings)
    return Lattices(scan, found, describe_found(scan, found))


def show_lattices(viewer: Any, name: str, lattices: Lattices) -> list[str]:
    """Show the lattices with the table of their sites, and describe them."""
    found, scan = lattices.found, lattices.scan
    layers = []
    if found.grains is not None and len(found.fits) > 1:
        layers.append(labels_layer(found.grains.labels + 1, scan, f"{name}: grains", opacity=0.3))
    for grain, fit in enumerate(found.fits):
        title = f"{name}: grain {grain}" if len(found.fits) > 1 else name
        layers += fit_layers(fit, grain, scan, title)
    *_, sites, _ = show(viewer, *layers)
    viewer.layers.selection.active = sites
    show_table(viewer)
    words = []
    for about in lattices.about:
        words.append(f"{about['summary']}; found in the {found.name}")
        if about["reason"] is not None:
            words.append(f"low confidence: {about['reason']}")
        if "grain_summary" in about:
            words.append(about["grain_summary"])
    return words


def fit_layers(fit: "LatticeFit", grain: int, scan: Scan, name: str) -> list[LayerData]:
    """Return strain, sites and vectors of a lattice as layers, in this order."""
    from stm_experiments.lattice.site_table import site_rows

    rows = site_rows(fit, grain)
    strains = 100 * np.linalg.eigvalsh(fit.strain)
    dilation, shear = strains.mean(1), (strains[:, 1] - strains[:, 0]) / 2
    largest = float(np.percentile(np.abs(dilation), 98)) or 1.0
    strain = points_layer(
        fit.sites,
        scan,
        f"{name}: strain",
        [
            {"dilation_percent": d, "shear_percent": s}
            for d, s in zip(dilation.tolist(), shear.tolist(), strict=True)
        ],
        size=fit.spacing,
        face_color="dilation_percent",
        face_colormap=DIFFERENCE_COLOURS,
        face_contrast_limits=(-largest, largest),
        border_width=0,
        visible=False,
    )
    colours = [SITES[kind % len(SITES)] for kind in fit.kind]
    marks = [c if full else EMPTY for c, full in zip(colours, fit.occupied, strict=True)]
    sites = points_layer(
        np.concatenate([fit.sites, fit.unknown]),
        scan,
        f"{name}: sites",
        rows,
        size=0.6 * fit.spacing,
        symbol=["disc" if full else "cross" for full in fit.occupied] + ["x"] * len(fit.unknown),
        border_color=[*marks, *[UNKNOWN] * len(fit.unknown)],
    )
    return [strain, sites, vectors_layer(fit, scan, f"{name}: lattice vectors")]


def vectors_layer(fit: "LatticeFit", scan: Scan, name: str) -> LayerData:
    """Return the lattice vectors as arrows from a site in the middle, as long as several cells."""
    middle = fit.sites.mean(0)
    start = fit.sites[np.linalg.norm(fit.sites - middle, axis=1).argmin()]
    longest = np.linalg.norm(fit.vectors, axis=1).max()
    times = max(1, min(LARGE, int(0.2 * min(scan.data.shape) / longest)))
    arrows = np.stack([np.stack([start, times * vector]) for vector in fit.vectors])
    attributes = {
        "name": f"{name} x {times}" if times > 1 else name,
        "edge_width": max(1.0, 0.012 * min(scan.data.shape)),
        "edge_color": VECTORS,
        "vector_style": "arrow",
        **geometry(scan),
    }
    return arrows, attributes, "vectors"


def panel() -> Any:
    """Return the dock widget."""
    return Panel(
        find,
        show_lattices,
        denoise={"label": "denoise first"},
        invert={"label": "atoms are dark"},
        one_grain={"label": "one grain"},
    ).container
