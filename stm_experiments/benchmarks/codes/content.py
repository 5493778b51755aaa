"""Domain knowledge or a disentangled variational autoencoder: what the numbers of a code tell.

    python -m stm_experiments.benchmarks.codes.content

Trains on the same images of all five lattices

- ``two_decoders`` with several weights of the centred patch's error: the more it weighs, the more
  the content tells of the lattice, and the less remains for the patch;
- ``mlp``, a code of as many numbers without a meaning (with the clean patch as its target);
- ``beta_vae``.

The first table has the errors and the probe of the lattice type by single patches. The second one
has, for each factor that the simulator varies, the mutual information gap of the whole code and R^2
of a linear map on held-out images (see ``latent.disentanglement`` and ``latent.factors``). A run
that is finished is not repeated.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from stm_experiments.benchmarks.transfer import run_command
from stm_experiments.core.batch import Batch
from stm_experiments.core.files import read_json
from stm_experiments.core.results.names import with_current_names
from stm_experiments.data import PatchSettings, SimulatedData, lattice_names
from stm_experiments.data.module import PatchData
from stm_experiments.data.sources.centred import patch_phases
from stm_experiments.latent.codes import Codes, encode_patches
from stm_experiments.latent.disentanglement import information_gaps
from stm_experiments.latent.factors import factor_targets, held_out_r2
from stm_experiments.models.checkpoint import load
from stm_experiments.models.evaluating import evaluating
from stm_experiments.models.interfaces import Network
from stm_experiments.simulator import CUT_LATTICES, NOISES

WEIGHTS = (0.0, 0.05, 0.15, 0.5, 1.5)
DEFAULT = "two_decoders 0.5"
OTHERS = {
    "mlp": ("model=mlp", "model.target=clean"),
    "beta_vae": ("experiment=beta_vae",),
}
ERRORS = {
    "mse_clean x 1000": ("test/mse_clean", 1000),
    "probe of the code": ("test/latent/probe", 1),
    "probe of the content": ("test/content/probe", 1),
    "centred x 1000": ("test/centred/mse", 1000),
    "shift, px": ("test/pose/shift_px", 1),
    "rotation, degrees": ("test/pose/rotation_deg", 1),
}
IMAGES, PATCHES = 1000, 8  # of the second table; with few images a tilt tells the image
WINDOW = 17  # px


def train(folder: Path, scale: float, seed: int) -> dict[str, Path]:
    """Run all trainings that are not finished; return their folders by name."""
    jobs = {
        f"two_decoders {weight:g}": (f"model.centred_weight={weight}",) for weight in WEIGHTS
    } | OTHERS
    folders = {}
    for name, overrides in jobs.items():
        folders[name] = folder / f"{name.replace(' ', '_')}_{seed}"
        if not (folders[name] / "metrics.json").is_file():
            experiment = () if name == "beta_vae" else ("experiment=two_decoders",)
            run_command(
                *("train", *experiment, *overrides, f"scale={scale}", f"seed={seed}"),
                *("baselines=[10]", f"hydra.run.dir={folders[name]}"),
            )
    return folders


def held_out_patches(seed: int) -> Batch:
    """Return patches of new images of all lattices, with their phases."""
    source = SimulatedData(
        lattices={name: {} for name in CUT_LATTICES},
        noise=NOISES["paper"],
        images_per_epoch=1,
        validation_images=1,
        test_images=IMAGES,
    )
    settings = PatchSettings(
        window=WINDOW,
        batch_size=IMAGES * PATCHES,
        patches_per_image=PATCHES,
        num_workers=0,
        seed=10**6 + seed,
        centred=True,
    )
    return next(iter(PatchData(source, settings).loader("test")))


def gaps_and_r2(net: Network, batch: Batch) -> tuple[dict[str, float], dict[str, float]]:
    """Return the information gap and R^2 of each factor of the patches of a batch."""
    with evaluating([net]):
        codes = Codes(
            encode_patches(net, batch.noisy), batch.lattice, batch.image, batch.orientation
        )
    phases = {
        f"phase {number + 1}": phase.remainder(2 * math.pi)
        for number, phase in enumerate(patch_phases(batch)[0].unbind(1))
    }
    names = ("azimuth", "tilt", "rotation")
    factors: dict[str, Tensor] = {"lattice": batch.lattice}
    factors |= dict(zip(names, batch.orientation.unbind(1), strict=True)) | phases
    targets: dict[str, Tensor] = factor_targets(codes, lattice_names())
    targets |= {name: torch.stack([x.cos(), x.sin()], 1) for name, x in phases.items()}
    return information_gaps(codes.codes, factors), held_out_r2(codes.codes, targets, batch.image)


def error_table(folders: Mapping[str, Path]) -> Table:
    """Return the table of errors and probes, from the metrics of the runs."""
    table = Table("model, weight", *ERRORS, title="single patches of test images", box=box.SIMPLE)
    metrics = {
        name: with_current_names(read_json(folder / "metrics.json"))
        for name, folder in folders.items()
    }
    told = metrics[DEFAULT]
    for name in ("mean", "PCA-4", "guess"):
        head = f"{name}/"
        metrics[name] = {key.removeprefix(head): told[key] for key in told if key.startswith(head)}
    for name, numbers in metrics.items():
        cells = [
            f"{numbers[key] * factor:.3g}" if key in numbers else ""
            for key, factor in ERRORS.values()
        ]
        table.add_row(name, *cells)
    return table


def factor_table(folders: Mapping[str, Path], batch: Batch) -> Table:
    """Return the table of information gaps and R^2 by factor."""
    rows: dict[str, Sequence[dict[str, float]]] = {
        name: gaps_and_r2(load(folder / "checkpoints" / "best.ckpt"), batch)
        for name, folder in folders.items()
    }
    factors = list(dict.fromkeys(key for gaps, r2 in rows.values() for key in (*gaps, *r2)))
    table = Table(
        "model, weight", *factors, title="information gap / R^2 of each factor", box=box.SIMPLE
    )
    for name, (gaps, r2) in rows.items():
        cells = [f"{gaps.get(key, math.nan):.2f} / {r2.get(key, math.nan):.2f}" for key in factors]
        table.add_row(name, *(cell.replace("nan", "-") for cell in cells))
    return table


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="seed of the trainings")
    parser.add_argument("--scale", type=float, default=1.0, help="shrinks epochs and images")
    parser.add_argument(
        "--folder", type=Path, default=Path("outputs/content"), help="folder of the runs"
    )
    options = parser.parse_args()
    folders = train(options.folder, options.scale, options.seed)
    console = Console()
    console.print(error_table(folders))
    console.print(factor_table(folders, held_out_patches(options.seed)))


if __name__ == "__main__":
    main()
