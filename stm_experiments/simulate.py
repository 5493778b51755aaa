"""A picture of simulated topographs, of any lattice, noise and orientation."""

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
from stm_experiments.figures import artefact_sheet, save, topograph_sheet
from stm_experiments.simulator import PRESETS, AnyLattice, Topographs, simulate
from stm_experiments.simulator.checks import checked_orientation
from stm_experiments.simulator.examples import each_alone


def simulate_sheet(cfg: DictConfig) -> None:
    """Simulates what ``conf/simulate.yaml`` asks for, draws it and, if asked, writes the arrays."""
    settings = build.resolve(cfg)
    folder = new_folder()
    for key, known in (("preset", tuple(PRESETS)), ("save", (None, "npz", "tiff"))):
        if settings[key] not in known:
            raise ValueError(f"{key} is one of {known}, not {settings[key]!r}")
    count = settings["count"]
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"count is a whole number of at least 1, not {count!r}")
    kinds = choose_lattices(settings["lattice"])
    lattices = [kind for kind in kinds for _ in range(count)]
    seeds = [seed_of(settings["seed"], "simulate", index) for index in range(len(lattices))]
    preset, given = PRESETS[settings["preset"]], settings["orientation"]
    if settings["artefacts"]:
        alone = each_alone(kinds[0], seeds[0], preset, settings["size"], given)
        save(artefact_sheet(alone, kinds[0].spread), folder / "artefacts.png")
        return print(f"{folder}: artefacts.png")
    orientation = None if given is None else checked_orientation([given] * len(lattices))
    strengths, size = build.build_noise(settings), settings["size"]
    topographs = simulate(
        lattices, seeds, strengths, preset, size, settings["domains"], orientation=orientation
    )
    noise = choice("noise")
    title = f"Simulated topographs: preset {settings['preset']}, noise {noise}"
    save(sheet(topographs, lattices, title), folder / "topographs.png")
    if settings["save"] is not None:
        write_arrays(topographs, [x.name for x in lattices], folder, settings["save"])
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.glob('*.*')))}")


def sheet(topographs: Topographs, lattices: list[AnyLattice], title: str) -> Figure:
    """Topographs without and with noise: up to five above their noisy partners, else in pairs."""
    many = len(lattices) > 5
    # Without noise both are the same picture.
    kinds = ("clean",) if topographs.noisy.equal(topographs.clean) else ("clean", "noisy")
    pairs = [(index, name) for index in range(len(lattices)) for name in kinds]
    if not many:
        pairs.sort(key=lambda pair: pair[1])
    images, titles = [], []
    for index, name in pairs:
        lattice, fractions = lattices[index], topographs.orientation[index].tolist()
        limits = (lattice.azimuth_max, lattice.tilt_max, lattice.rotation_max)
        azimuth, tilt, rotation = (x * limit for x, limit in zip(fractions, limits, strict=True))
        images.append(getattr(topographs, name)[index, 0])
        titles.append(
            f"{lattice.name}, {name}\n"
            f"azimuth {azimuth:.0f}°, tilt {tilt:.0f}°, rotation {rotation:.0f}°"
        )
    spreads = [lattices[index].spread for index, _ in pairs]
    columns = 4 if many else max(len(lattices), 2)
    return topograph_sheet(images, titles, spreads, columns=columns, title=title)


def write_arrays(topographs: Topographs, names: list[str], folder: Path, form: str) -> None:
    """Writes noisy and clean images: one .npz of all and the truth, or a float32 TIFF of each."""
    arrays = {kind: getattr(topographs, kind)[:, 0].numpy() for kind in ("noisy", "clean")}
    if form == "npz":
        about: dict[str, Any] = {"lattice": names, "orientation": topographs.orientation.numpy()}
        about |= {f"truth_{name}": values.numpy() for name, values in topographs.truth.items()}
        np.savez_compressed(folder / "topographs.npz", **arrays, **about)
        return
    for index, name in enumerate(names):
        for kind, images in arrays.items():
            tifffile.imwrite(folder / f"{name}_{index}_{kind}.tiff", images[index])


def main() -> None:
    """The command ``stm-simulate``."""
    launch(simulate_sheet, "simulate")


if __name__ == "__main__":
    main()
