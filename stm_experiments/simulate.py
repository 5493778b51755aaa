"""A picture of simulated topographs, of any lattice, noise and orientation."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from hydra.core.hydra_config import HydraConfig
from matplotlib.figure import Figure
from omegaconf import DictConfig

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
        None
        if orientation is None
        else torch.tensor([orientation] * len(lattices), dtype=torch.float64),
    )
    folder = Path(HydraConfig.get().runtime.output_dir)
    noise = HydraConfig.get().runtime.choices["noise"]
    title = f"Simulated topographs: preset {settings['preset']}, noise {noise}"
    save(sheet(topographs, lattices, title), folder / "topographs.png")
    if settings["save"] is not None:
        write_arrays(topographs, lattices, folder, settings["save"])
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.glob('*.*')))}")


def sheet(topographs: Topographs, lattices: list[Lattice], title: str) -> Figure:
    """Topographs without and with noise: up to five above their noisy partners, else in pairs."""
    many = len(lattices) > 5
    pairs = [(index, name) for index in range(len(lattices)) for name in ("clean", "noisy")]
    if not many:
        pairs.sort(key=lambda pair: pair[1])
    images = [getattr(topographs, name)[index, 0] for index, name in pairs]
    titles = [
        f"{lattices[index].name}, {name}\n"
        + describe(lattices[index], topographs.orientation[index].tolist())
        for index, name in pairs
    ]
    spreads = [lattices[index].spread for index, _ in pairs]
    columns = 4 if many else max(len(lattices), 2)
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
    fractions = settings["orientation"]
    if fractions is not None and not (
        isinstance(fractions, list) and all(isinstance(x, int | float) for x in fractions)
    ):
        raise ValueError(f"orientation is three numbers, [.1,.5,.2], or null, not {fractions!r}")
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
