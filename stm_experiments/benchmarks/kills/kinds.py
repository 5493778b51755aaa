"""The kinds of run that are killed: every objective, data source and logger; sweeps; reports.

Each training is as small as it can be. A step takes less than a second, and there is a checkpoint
after each.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from stm_experiments.models import CAEA, checkpoint
from stm_experiments.models.interfaces import Card
from stm_experiments.simulator import LATTICES, NOISES, PRESETS, simulate

SHORT = ("trainer=cpu", "trainer.max_epochs=3", "checkpoint_minutes=0", "baselines=[]")
PATCHES = ("data.patches_per_image=16", "data.batch_size=24", "data.num_workers=0")
TINY = (*PATCHES, *SHORT)
SIMULATED = ("data.size=64", "data.images_per_epoch=4", "data.validation_images=2")
ALL_SIMULATED = (*SIMULATED, "data.test_images=2", *TINY)
SITES = (
    *("experiment=mos2_rvae", "data.size=129", "data.images_per_epoch=2", "data.test_images=1"),
    *("data.validation_images=1", "data.batch_size=64", "model.net.width=16", *SHORT),
)
WHOLE_IMAGES = (*ALL_SIMULATED, "data.patch=32", "model.net.width=4")


class Kind(NamedTuple):
    """A kind of run.

    Attributes:
        name: Its name.
        overrides: Its overrides.
        door: The command.
        is_swept: Whether it is a sweep of several jobs.
    """

    name: str
    overrides: tuple[str, ...]
    door: str = "train"
    is_swept: bool = False

    @property
    def logs(self) -> bool:
        """Whether the run has a logger besides its own files."""
        return any(text.startswith("logger=") for text in self.overrides)


def all_kinds(inputs: Path) -> list[Kind]:
    """Return the kinds of run.

    Args:
        inputs: Folder that ``write_inputs`` has filled.
    """
    images = (f"data.root={inputs / 'images'}", *TINY)
    trainings = {
        "cae_a": ALL_SIMULATED,
        "several_steps": (*ALL_SIMULATED, "data.batch_size=3"),
        "cae_b": ("model=cae_b", "model.scheduler=null", *ALL_SIMULATED),
        "mlp": ("model=mlp", "model.net.width=16", *ALL_SIMULATED),
        "pca": ("model=pca", *ALL_SIMULATED),
        "denoise": ("experiment=denoise", *WHOLE_IMAGES),
        "destripe": ("experiment=destripe", "model.net.finder_width=4", *WHOLE_IMAGES),
        "stacked": (
            *("experiment=srtio3_autoencoder", "model.net.widths=[32,16]", "model.pretraining=0.5"),
            *ALL_SIMULATED,
        ),
        "zrte3": (
            *("experiment=zrte3_as_published", "data.size=64", "data.patch=32", "data.pairs=12"),
            *("data.clean_images=2", "data.images_per_epoch=12", "data.validation_images=2"),
            *("data.test_images=2", "model.net.filters=4", *SHORT),
        ),
        "vae": ("model=vae", *SITES),
        "rvae": ("model=rvae", *SITES),
        "rvae_coordinates": ("model=rvae_coordinates", *SITES),
        "rvae_poster": ("model=rvae_poster", *SITES),
        "sites": (
            *("experiment=mos2_rvae", "data=sites", f"data.root={inputs / 'sites'}"),
            *("data.patches_per_epoch=256", "data.batch_size=64", "model.net.width=16", *SHORT),
        ),
        "scans": (
            *("data=scans", f"data.root={inputs / 'scans'}", "model=denoiser_rowblind"),
            *("data.patch=32", "model.net.width=4", *TINY),
        ),
        "images": ("data=images", "lattice=sc", *images),
        "published": (
            *("experiment=paper_lr_decay", "data=published", "lattice=sc", "data.resize=32"),
            *("model.scheduler.step_size=1", "model.target=clean", *images),
        ),
        "fixed": ("data.fresh=false", "lattice=[sc,fcc]", *ALL_SIMULATED),
        "init": (f"init={inputs / 'init.ckpt'}", "patience=1", *ALL_SIMULATED),
        "worker": (*ALL_SIMULATED, "data.num_workers=1"),
        "tensorboard": ("logger=tensorboard", *ALL_SIMULATED),
        "wandb": ("logger=wandb", "logger.wandb.offline=true", *ALL_SIMULATED),
    }  # fmt: skip
    two_jobs = ("seed=0,1", *ALL_SIMULATED)
    local = ("hydra/launcher=local_gpus", "hydra.launcher.cores_per_job=1")
    return [
        *(Kind(name, overrides) for name, overrides in trainings.items()),
        Kind("sweep", two_jobs, is_swept=True),
        Kind("local_gpus", (*two_jobs, *local), is_swept=True),
        Kind("report", (), door="report"),
    ]


def write_inputs(folder: Path) -> None:
    """Write the images, scans, sites and the model file that some kinds of run read."""
    draw = np.random.default_rng(0)
    images = folder / "images" / "sc"
    for split, count in (("train", 4), ("validation", 2), ("test", 2)):
        for name in (split, f"{split}_clean"):
            (images / name).mkdir(parents=True)
            for number in range(count):
                np.save(images / name / f"{number}.npy", draw.normal(size=(40, 40)))
    (folder / "scans").mkdir()
    for number in range(6):
        np.save(folder / "scans" / f"{number}.npy", draw.normal(size=(64, 64)))
    (folder / "sites").mkdir()
    perfect = simulate([LATTICES["mos2"]], [1], NOISES["mos2_stem"], PRESETS["physical"], 161)
    np.save(folder / "sites" / "mos2.npy", perfect.noisy[0, 0].numpy())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = CAEA()
    checkpoint.save(net, Card("CAEA", {}, net.window), folder / "init.ckpt")
