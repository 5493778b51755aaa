"""A picture of simulated topographs, of any lattice, noise and orientation."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from hydra.core.hydra_config import HydraConfig
from matplotlib.figure import Figure
from omegaconf import DictConfig
from rich.console import Console

from stm_experiments import build, config
from stm_experiments.data.batch import seed_of
from stm_experiments.data.simulated import chosen_lattices
from stm_experiments.figures import save, topograph_sheet
from stm_experiments.simulator import PRESETS, Lattice, Topographs, simulate


def simulate_sheet(cfg: DictConfig) -> None:
    """Simulates, draws and, where asked, writes the arrays.

    Args:
        cfg: ``conf/simulate.yaml`` as composed.

    Raises:
        ValueError: If a name or number makes no sense.
    """
    settings = build.plain(cfg)
    check(settings)
    kinds = chosen_lattices(settings["lattice"])
    lattices = [kind for kind in kinds for _ in range(settings["count"])]
    orientation = settings["orientation"]
    topographs = simulate(
        lattices,
        [seed_of(settings["seed"], "simulate", index) for index in range(len(lattices))],
        build.build_noise(settings),
        PRESETS[settings["preset"]],
        settings["size"],
        settings["domains"],
        None if orientation is None else torch.tensor([orientation] * len(lattices)),
    )
    folder = Path(HydraConfig.get().runtime.output_dir)
    save(sheet(topographs, lattices, settings["preset"]), folder / "topographs.png")
    if settings["save"] is not None:
        write_arrays(topographs, lattices, folder, settings["save"])
    Console().print(f"[bold]{folder}[/bold]: topographs.png and what was asked for")


def sheet(topographs: Topographs, lattices: list[Lattice], preset: str) -> Figure:
    """Every topograph without and with noise: rows of clean ones, each above its noisy partner."""
    columns = min(len(lattices), 5)
    images, titles, spreads = [], [], []
    for first in range(0, len(lattices), columns):
        shown = range(first, min(first + columns, len(lattices)))
        for name, rows in (("clean", topographs.clean), ("noisy", topographs.noisy)):
            for index in shown:
                angles = describe(lattices[index], topographs.orientation[index].tolist())
                images.append(rows[index, 0])
                titles.append(f"{lattices[index].name}, {name}\n{angles}")
                spreads.append(lattices[index].spread)
    title = f"Simulated topographs, preset {preset}"
    return topograph_sheet(images, titles, spreads, columns, title)


def check(settings: dict[str, Any]) -> None:
    """Refuses settings that make no sense, by the name of their key.

    Raises:
        ValueError: If there are any.
    """
    if settings["preset"] not in PRESETS:
        raise ValueError(f"preset is one of {', '.join(PRESETS)}, not {settings['preset']!r}")
    if settings["save"] not in (None, "npz", "tiff"):
        raise ValueError(f"save is npz, tiff or null, not {settings['save']!r}")
    if not isinstance(settings["count"], int) or settings["count"] < 1:
        raise ValueError(f"count is a whole number of at least 1, not {settings['count']!r}")


def describe(lattice: Lattice, fractions: list[float]) -> str:
    """An orientation in degrees."""
    azimuth, tilt, rotation = fractions
    return (
        f"azimuth {azimuth * lattice.azimuth_max:.0f}°, tilt {tilt * lattice.tilt_max:.0f}°, "
        f"rotation {rotation * 180:.0f}°"
    )


def write_arrays(topographs: Topographs, lattices: list[Lattice], folder: Path, form: str) -> None:
    """Writes noisy and clean images: one .npz of all, or a float32 TIFF of each."""
    if form == "npz":
        np.savez_compressed(
            folder / "topographs.npz",
            noisy=topographs.noisy[:, 0].numpy(),
            clean=topographs.clean[:, 0].numpy(),
            orientation=topographs.orientation.numpy(),
            lattice=np.array([lattice.name for lattice in lattices]),
        )
        return
    for index, lattice in enumerate(lattices):
        for name, images in (("noisy", topographs.noisy), ("clean", topographs.clean)):
            tifffile.imwrite(
                folder / f"{lattice.name}_{index}_{name}.tiff", images[index, 0].numpy()
            )


def main() -> None:
    """The command ``stm-simulate``."""
    config.launch(simulate_sheet, "simulate")


if __name__ == "__main__":
    main()
