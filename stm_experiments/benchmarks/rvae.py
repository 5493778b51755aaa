"""Sites and defects of MoS2 without labels: rVAEs, a plain VAE, the poster's recipe, pyroVED.

    python -m stm_experiments.benchmarks.rvae
    python -m stm_experiments.benchmarks.rvae --images 12 --epochs 40

Each seed has its own simulated images, in which the sites are detected as in real images, and its
own weights. All networks are trained on the same patches: sites of images, each turned at random.
The scores on held-out images are:

- ARI: adjusted Rand index of k-means classes of the codes and true kinds of sites (Mo, S2, hollow),
  over the sites without a defect, all images together;
- angle: root mean square error modulo 120 degrees, for the same sites;
- turned: variance of the code of a site while its patch is turned, over the variance of all codes;
- AUROC: probability that a defect has a higher anomaly score than a perfect site, for all defects
  and by kind. Perfect sites next to a defect count as perfect;
- speed: training patches per second of CPU time, over the whole training.

The poster's recipe differs from the rVAE in one point: its transformer outputs the angle itself as
one number, and learns it from pairs of a patch and the turned patch. pyroVED, if it is installed,
trains its rotationally invariant VAE on the same patches, in memory.
"""

import argparse
import functools
import importlib
import logging
import math
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from lightning import Trainer
from rich import box
from rich.console import Console
from rich.table import Table

from stm_experiments.data import PatchSettings, SimulatedSites
from stm_experiments.data.module import PatchData
from stm_experiments.data.sites.site_loader import listed_images
from stm_experiments.evaluation.site_report import infer_sites, site_numbers, variance_under_turns
from stm_experiments.models import RVAE, VAE, RVAECoordinates, RVAEPoster
from stm_experiments.simulator import NOISES
from stm_experiments.training import Variational

COLUMNS = {
    "ari": "ARI",
    "angle_error": "angle °",
    "turned": "turned",
    "auroc": "AUROC",
    "auroc_vacancy": "vacancies",
    "auroc_part_of_a_vacancy": "single S",
    "auroc_substitution": "substituted",
    "auroc_adatom": "adatoms",
    "speed": "patches/s",
}


NETWORKS: dict[str, Callable[[], VAE]] = {
    "VAE": VAE,
    "poster's recipe": RVAEPoster,
    "rVAE, transformer": RVAE,
    "rVAE, coordinates": RVAECoordinates,
}


def simulated(seed: int, images: int, test_images: int) -> PatchData:
    """Return sites of simulated MoS2."""
    source = SimulatedSites(
        lattices={"mos2": {}},
        noise=NOISES["mos2_stem"],
        images_per_epoch=images,
        validation_images=1,
        test_images=test_images,
    )
    return PatchData(source, PatchSettings(window=24, batch_size=128, augment=True, seed=seed))


def trained(net: VAE, data: PatchData, epochs: int, seed: int) -> float:
    """Train a network; return the patches per second of CPU time."""
    optimizer = functools.partial(torch.optim.Adam, lr=0.002)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
    )
    start = time.process_time()
    trainer.fit(Variational(net, optimizer, seed=seed), datamodule=data)
    return epochs * data.loader("train").patches_per_epoch / (time.process_time() - start)


def scored(net: VAE, data: PatchData) -> dict[str, float]:
    """Return the scores of a trained network on the test images."""
    images = listed_images(data.sources)
    numbers = site_numbers(infer_sites(net, images), images, 3)
    return numbers | {"turned": variance_under_turns(net, images)}


def pyroved_speed(data: PatchData, steps: int) -> float | str:
    """Return the patches per second of CPU time of pyroVED's rVAE, or why there is no number."""
    try:
        pyroved = importlib.import_module("pyroved")
    except ImportError as error:
        return f"pyroVED was left out: {error}"
    patches = torch.cat([batch.noisy for batch in data.loader("train")])[: 128 * steps]
    loader = pyroved.utils.init_dataloader(0.5 + 0.5 * patches[:, 0].clamp(-1, 1), batch_size=128)
    model = pyroved.models.iVAE((24, 24), latent_dim=2, invariances=["r"], device="cpu")
    trainer = pyroved.trainers.SVItrainer(model, device="cpu")
    start = time.process_time()
    trainer.step(loader)
    return len(patches) / (time.process_time() - start)


def table(results: dict[str, list[dict[str, float]]], title: str) -> Table:
    """Return a table of means over the seeds and, in brackets, the worst seed."""
    shown = Table(title=title, box=box.SIMPLE)
    for heading in ("", *COLUMNS.values()):
        shown.add_column(heading, justify="right" if heading else "left")
    for name, seeds in results.items():
        row = [name]
        for key in COLUMNS:
            values = np.array([numbers.get(key, math.nan) for numbers in seeds])
            values = values[np.isfinite(values)]
            if not len(values):
                row.append("\N{EN DASH}")
            elif key == "speed":
                row.append(f"{values.mean():.0f}")
            else:
                digits = 1 if key == "angle_error" else 3
                large_is_bad = key in ("angle_error", "turned")
                worst = values.max() if large_is_bad else values.min()
                row.append(f"{values.mean():.{digits}f} ({worst:.{digits}f})")
        shown.add_row(*row)
    return shown


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--images", type=int, default=8, help="training images of each seed")
    parser.add_argument("--test-images", type=int, default=6, help="held-out images of each seed")
    parser.add_argument("--epochs", type=int, default=20, help="passes over all sites")
    parser.add_argument("--pyroved-steps", type=int, default=8, help="batches; 0: without it")
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    console = Console(width=175)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in NETWORKS}
    for seed in range(options.seeds):
        data = simulated(seed, options.images, options.test_images)
        for name, network in NETWORKS.items():
            torch.manual_seed(seed)
            net = network()
            speed = trained(net, data, options.epochs, seed)
            results[name].append(scored(net.eval(), data) | {"speed": speed})
            console.print(f"seed {seed}, {name}: {results[name][-1]}", highlight=False)
        if options.pyroved_steps and seed == 0:
            peer = pyroved_speed(data, options.pyroved_steps)
            if isinstance(peer, str):
                console.print(peer)
            else:
                results["pyroVED"] = [{"speed": peer}]
    sites = data.loader("train").patches_per_epoch
    title = (
        f"MoS2, {options.seeds} seeds, {options.images} training images ({sites} sites), "
        f"{options.epochs} epochs; means (worst seed)"
    )
    console.print(table(results, title))


if __name__ == "__main__":
    main()
