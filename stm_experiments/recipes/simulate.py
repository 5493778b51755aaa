"""The command that draws simulated topographs of any lattice, noise and orientation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from omegaconf import DictConfig

from stm_experiments.app.construct import construct
from stm_experiments.app.job import choice, new_folder
from stm_experiments.app.settings import resolve
from stm_experiments.core.files import atomic_write
from stm_experiments.core.seeds import seed_of
from stm_experiments.core.texts import did_you_mean, printable
from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.topograph_sheets import artefact_sheet, simulation_sheet
from stm_experiments.recipes.batch import print_written
from stm_experiments.simulator import (
    PRESETS,
    AnyLattice,
    Noise,
    Topographs,
    choose_lattices,
    simulate,
)
from stm_experiments.simulator.examples import artefacts_alone


def simulate_sheet(cfg: DictConfig) -> None:
    """Simulate topographs, draw them and, if asked, write their arrays; see conf/simulate.yaml."""
    settings = resolve(cfg)
    check_settings(settings)
    folder = new_folder()
    preset, size, angles = settings["preset"], settings["size"], settings["orientation"]
    kinds = choose_lattices(settings["lattice"])
    lattices = [kind for kind in kinds for _ in range(settings["count"])]
    seeds = [seed_of(settings["seed"], "simulate", index) for index in range(len(lattices))]
    if settings["artefacts"]:
        images = artefacts_alone(kinds[0], seeds[0], preset, size, angles)
        endings = save_figure(artefact_sheet(images, kinds[0].spread), folder / "artefacts.png")
        return print_written(folder / "artefacts", endings)
    orientation = None if angles is None else [angles] * len(lattices)
    noise: Noise = construct(settings["noise"])
    domains = settings["domains"]
    topographs = simulate(lattices, seeds, noise, preset, size, domains, orientation=orientation)
    title = f"Simulated topographs: preset {preset}, noise {choice('noise')}"
    save_figure(simulation_sheet(topographs, lattices, title), folder / "topographs.png")
    if settings["save"] is not None:
        write_arrays(topographs, lattices, folder / f"topographs.{settings['save']}")
    print(printable(f"{folder}: {', '.join(sorted(path.name for path in folder.glob('*.*')))}"))


def check_settings(settings: dict[str, Any]) -> None:
    """Refuse settings that make no sense, before anything is simulated."""
    for key, choices in (("preset", tuple(PRESETS)), ("save", ("null", "npz", "tiff"))):
        value = "null" if settings[key] is None else settings[key]
        if value not in choices:
            near = did_you_mean(str(value), choices)
            raise ValueError(f"{key} is one of {', '.join(choices)}, not {value!r}{near}")
    count = settings["count"]
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"count is a whole number of at least 1, not {count!r}")


def write_arrays(topographs: Topographs, lattices: Sequence[AnyLattice], path: Path) -> None:
    """Write all images and the truth to one .npz file, or each image to a float32 TIFF."""
    images = {"noisy": topographs.noisy[:, 0].numpy(), "clean": topographs.clean[:, 0].numpy()}
    if path.suffix == ".npz":
        about: dict[str, Any] = {f"truth_{name}": x.numpy() for name, x in topographs.truth.items()}
        names = [lattice.name for lattice in lattices]
        about |= {"lattice": names, "orientation": topographs.orientation.numpy()}
        with atomic_write(path) as file:
            np.savez_compressed(file, allow_pickle=False, **images, **about)
        return
    for index, lattice in enumerate(lattices):
        for kind in images:
            with atomic_write(path.with_name(f"{lattice.name}_{index}_{kind}.tiff")) as file:
                tifffile.imwrite(file, images[kind][index])
