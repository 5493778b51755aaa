"""The value of a model of one lattice where there are few images of another lattice.

    python -m stm_experiments.benchmarks.transfer

For each seed, four trainings of a CAE-A for fcc are scored on the same held-out fcc images:

- sc alone: trained on sc images, never on fcc;
- few, from scratch: trained on a tenth of the fcc images;
- few, from sc: the same, but started from the weights of the first (``init=``);
- all, from scratch: trained on all fcc images.

Every training takes the same number of steps, with fixed images and otherwise the defaults; of few
images, more patches are cut from each. Errors are relative to the noisy image. The last column is
the difference from training from scratch on few images, seed by seed.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from stm_experiments.core.intervals import mean_and_interval

IMAGES, FEW, PATCHES, BATCH = 60, 6, 512, 256
STEPS_PER_EPOCH = IMAGES * PATCHES // BATCH
ROWS = {
    "sc alone": "sc",
    "few, from scratch": "few",
    "few, from sc": "few_from_sc",
    "all, from scratch": "all",
}


def run_command(module: str, *overrides: str) -> None:
    """Print and run a command of the package; exit if it fails."""
    print(f"python -m stm_experiments.{module} {' '.join(overrides)}", flush=True)
    command = [sys.executable, "-m", f"stm_experiments.{module}", *overrides]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        sys.exit(process.stdout + process.stderr)


def run_training(
    folder: Path, lattice: str, images: int, epochs: int, seed: int, *extra: str
) -> None:
    """Run one training, unless it is finished.

    Args:
        folder: The run folder.
        lattice: Name of the lattice.
        images: Number of images; the number of patches is always that of ``IMAGES`` images.
        epochs: Passes over all patches.
        seed: Seed of images (held-out ones included) and weights.
        extra: Further overrides.
    """
    if (folder / "metrics.json").is_file():
        return
    run_command(
        "train",
        *(f"lattice={lattice}", "data.fresh=false", f"data.images_per_epoch={images}"),
        *(f"data.patches_per_image={IMAGES * PATCHES // images}", f"data.batch_size={BATCH}"),
        *(f"trainer.max_epochs={epochs}", f"seed={seed}", "baselines=[]", *extra),
        f"hydra.run.dir={folder}",
    )


def make_runs(folder: Path, seed: int, epochs: int) -> None:
    """Make all runs of a seed, and score the sc model on fcc."""
    start = folder / f"sc_{seed}"
    run_training(start, "sc", IMAGES, epochs, seed)
    model = start / "checkpoints" / "best.ckpt"
    run_training(folder / f"few_{seed}", "fcc", FEW, epochs, seed)
    run_training(folder / f"few_from_sc_{seed}", "fcc", FEW, epochs, seed, f"init={model}")
    run_training(folder / f"all_{seed}", "fcc", IMAGES, epochs, seed)
    scored = folder / f"sc_{seed}_on_fcc"
    if not (scored / "metrics.json").is_file():
        run_command(
            *("evaluate", f"checkpoint={model}", "lattice=fcc", "baselines=[]", f"seed={seed}"),
            *("data.images_per_epoch=1", f"hydra.run.dir={scored}"),
        )


def errors(folder: Path, name: str, seeds: int) -> tuple[list[float], list[float]]:
    """Return validation errors after the first epoch, and test errors at the end, by seed."""
    early, final = [], []
    for seed in range(seeds):
        path = folder / f"{name}_{seed}"
        if name != "sc":
            with (path / "metrics.csv").open(newline="", encoding="utf-8") as file:
                early.append(float(next(csv.DictReader(file))["val/loss"]))
        scored = folder / f"sc_{seed}_on_fcc" if name == "sc" else path
        metrics = json.loads((scored / "metrics.json").read_text(encoding="utf-8"))
        final.append(metrics["test/mse_noisy"])
    return early, final


def format_thousandths(values: Sequence[float], sign: str = "") -> str:
    """Format mean and half the 95 % interval over seeds, in thousandths."""
    mean, half = mean_and_interval([1000 * value for value in values])
    return f"{mean:{sign}.2f}" + ("" if half is None else f" ± {half:.2f}") if values else ""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--epochs", type=int, default=6, help=f"epochs of {STEPS_PER_EPOCH} steps")
    parser.add_argument(
        "--folder", type=Path, default=Path("outputs/transfer"), help="folder of the runs"
    )
    options = parser.parse_args()
    for seed in range(options.seeds):
        make_runs(options.folder, seed, options.epochs)
    _, reference = errors(options.folder, "few", options.seeds)
    steps = options.epochs * STEPS_PER_EPOCH
    table = Table(
        *("CAE-A for fcc", "fcc images", f"validation after {STEPS_PER_EPOCH} steps"),
        *(f"test after {steps} steps", "compared with few, from scratch"),
        title=f"squared error x 1000, mean and 95 % interval of {options.seeds} seeds",
        box=box.SIMPLE,
    )
    for row, name in ROWS.items():
        early, final = errors(options.folder, name, options.seeds)
        images = {"sc": 0, "all": IMAGES}.get(name, FEW)
        difference = [error - other for error, other in zip(final, reference, strict=True)]
        change = "" if name == "few" else format_thousandths(difference, "+")
        table.add_row(
            row, str(images), format_thousandths(early), format_thousandths(final), change
        )
    Console().print(table)


if __name__ == "__main__":
    main()
