"""The command that draws simulated topographs of any lattice, noise and orientation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from matplotlib.figure import Figure
from omegaconf import DictConfig

from stm_experiments.app import build
from stm_experiments.app.job import choice, new_folder
from stm_experiments.app.launching import launch
from stm_experiments.core.seeds import seed_of
from stm_experiments.data.sources.simulated import choose_lattices
from stm_experiments.figures import artefact_sheet, save_figure, topograph_sheet
from stm_experiments.simulator import PRESETS, AnyLattice, Topographs, simulate
from stm_experiments.simulator.examples import artefacts_alone


def simulate_sheet(cfg: DictConfig) -> None:
    """Simulate topographs, draw them and, if asked, write their arrays; see conf/simulate.yaml."""
    settings = build.resolve(cfg)
    check_settings(settings)
    folder = new_folder()
    preset, size, angles = settings["preset"], settings["size"], settings["orientation"]
    kinds = choose_lattices(settings["lattice"])
    lattices = [kind for kind in kinds for _ in range(settings["count"])]
    seeds = [seed_of(settings["seed"], "simulate", index) for index in range(len(lattices))]
    if settings["artefacts"]:
        images = artefacts_alone(kinds[0], seeds[0], preset, size, angles)
        save_figure(artefact_sheet(images, kinds[0].spread), folder / "artefacts.png")
        return print(f"{folder}: artefacts.png")
    orientation = None if angles is None else [angles] * len(lattices)
    noise, domains = build.build_noise(settings), settings["domains"]
    topographs = simulate(lattices, seeds, noise, preset, size, domains, orientation=orientation)
    title = f"Simulated topographs: preset {preset}, noise {choice('noise')}"
    save_figure(draw_sheet(topographs, lattices, title), folder / "topographs.png")
    if settings["save"] is not None:
        names = [lattice.name for lattice in lattices]
        write_arrays(topographs, names, folder / f"topographs.{settings['save']}")
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.glob('*.*')))}")


def check_settings(settings: dict[str, Any]) -> None:
    """Refuse settings that make no sense, before anything is simulated."""
    for key, choices in (("preset", tuple(PRESETS)), ("save", (None, "npz", "tiff"))):
        if settings[key] not in choices:
            raise ValueError(f"{key} is one of {choices}, not {settings[key]!r}")
    count = settings["count"]
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"count is a whole number of at least 1, not {count!r}")


def draw_sheet(topographs: Topographs, lattices: Sequence[AnyLattice], title: str) -> Figure:
    """Draw up to five topographs above their noisy partners, more of them next to these."""
    many = len(lattices) > 5
    images = {"clean": topographs.clean, "noisy": topographs.noisy}
    if topographs.noisy.equal(topographs.clean):  # without noise both are the same picture
        del images["noisy"]
    panels = [(index, name) for index in range(len(lattices)) for name in images]
    if not many:
        panels.sort(key=lambda panel: panel[1])
    titles = []
    for index, name in panels:
        lattice, fractions = lattices[index], topographs.orientation[index].tolist()
        limits = (lattice.azimuth_max, lattice.tilt_max, lattice.rotation_max)
        azimuth, tilt, rotation = (x * limit for x, limit in zip(fractions, limits, strict=True))
        angles = f"azimuth {azimuth:.0f}°, tilt {tilt:.0f}°, rotation {rotation:.0f}°"
        titles.append(f"{lattice.name}, {name}\n{angles}")
    shown = [images[name][index, 0] for index, name in panels]
    spreads = [lattices[index].spread for index, _ in panels]
    columns = 4 if many else max(len(lattices), 2)
    return topograph_sheet(shown, titles, spreads, columns=columns, title=title)


def write_arrays(topographs: Topographs, names: Sequence[str], path: Path) -> None:
    """Write all images and the truth to one .npz file, or each image to a float32 TIFF."""
    images = {"noisy": topographs.noisy[:, 0].numpy(), "clean": topographs.clean[:, 0].numpy()}
    if path.suffix == ".npz":
        about: dict[str, Any] = {"lattice": names, "orientation": topographs.orientation.numpy()}
        about |= {f"truth_{name}": values.numpy() for name, values in topographs.truth.items()}
        np.savez_compressed(path, allow_pickle=False, **images, **about)
        return
    for index, name in enumerate(names):
        for kind in images:
            tifffile.imwrite(path.with_name(f"{name}_{index}_{kind}.tiff"), images[kind][index])


def main() -> None:
    """Run the command ``stm-simulate``."""
    launch(simulate_sheet, "simulate")


if __name__ == "__main__":
    main()
