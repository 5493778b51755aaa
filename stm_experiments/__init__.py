"""Autoencoders for scanning tunnelling microscopy: simulate, train, denoise, find lattices."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stm_experiments.data import SimulatedData
    from stm_experiments.data.module import PatchData
    from stm_experiments.figures.scans.notebook import compare, plot, profile, spectrum
    from stm_experiments.io import read_scan
    from stm_experiments.latent.codes_csv import codes_table
    from stm_experiments.models.checkpoint import card_of, load, save
    from stm_experiments.reporting.runs import read_run
    from stm_experiments.restoration.denoise import denoise
    from stm_experiments.simulator import render_topographs, simulate

__all__ = [
    "PatchData",
    "SimulatedData",
    "card_of",
    "codes_table",
    "compare",
    "denoise",
    "load",
    "plot",
    "profile",
    "read_run",
    "read_scan",
    "render_topographs",
    "save",
    "simulate",
    "spectrum",
]

# Imported when they are first used: the import of torch takes seconds.
_MODULES = {
    "PatchData": "stm_experiments.data.module",
    "SimulatedData": "stm_experiments.data",
    "card_of": "stm_experiments.models.checkpoint",
    "codes_table": "stm_experiments.latent.codes_csv",
    "save": "stm_experiments.models.checkpoint",
    "simulate": "stm_experiments.simulator",
    "compare": "stm_experiments.figures.scans.notebook",
    "denoise": "stm_experiments.restoration.denoise",
    "plot": "stm_experiments.figures.scans.notebook",
    "profile": "stm_experiments.figures.scans.notebook",
    "spectrum": "stm_experiments.figures.scans.notebook",
    "load": "stm_experiments.models.checkpoint",
    "read_run": "stm_experiments.reporting.runs",
    "read_scan": "stm_experiments.io",
    "render_topographs": "stm_experiments.simulator",
}


def __getattr__(name: str) -> Any:
    """Import a name of the public API (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public API too, before it is imported."""
    return sorted({*globals(), *__all__})
