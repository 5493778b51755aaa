"""Trainings of several networks with several seeds, and the table of their codes."""

from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from stm_experiments.benchmarks.transfer import run_command
from stm_experiments.core.files import read_json
from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.core.results.names import with_current_names

MEASURES = {
    "linear probe": "probe",
    "labels of three images": "probe_3_images",
    "nearest codes": "knn",
    "k-means ARI": "ari",
}
NETWORKS = {  # settings besides those of experiment=context_code
    "context_code": (),
    "labelled_code": (),
    "contrastive_code": (),
    "mlp": (),
    "cae_a": (),
    "vae": ("model.net.latent=10", "model.net.window=17"),
}
BASELINES = ("PCA-10", "untrained")  # rows that each run of context_code has
# Spreads of 9 to 19 px, uniform in their logarithm.
ALIKE = (
    *(f"lattice.{name}.spread=13" for name in ("sc", "bcc", "fcc", "hex1", "hex2")),
    "data.zoom=[0.69,1.46]",
)


# Keys of the experiment that a folder of images does not have.
SIMULATED_KEYS = ("images_per_epoch", "validation_images", "test_images")


@dataclass(frozen=True)
class Study:
    """Which trainings there are.

    Attributes:
        folder: Folder of their runs.
        alike: Whether all lattices have the same spreads.
        images: Folder of images of sc, bcc and fcc; None: simulated images of five lattices.
        overrides: More settings of each training.
    """

    folder: Path
    alike: bool = False
    images: Path | None = None
    overrides: tuple[str, ...] = ()

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings of each training."""
        settings: tuple[str, ...] = ("experiment=context_code", "baselines=[10]")
        if self.images is not None:
            settings += ("data=images", f"data.root={self.images}", "data.resize=256")
            settings += ("lattice=[sc,bcc,fcc]", "data.patches_per_image=600")
            settings += tuple(f"~data.{key}" for key in SIMULATED_KEYS)
        if self.alike:
            settings += ALIKE
        return settings

    def run(self, name: str, seed: int, network: str = "context_code", *extra: str) -> Path:
        """Make a run unless it is finished; return its folder."""
        kind = "alike" if self.alike else "own" if self.images is None else "images"
        folder = self.folder / f"{kind}_{name}_{seed}"
        if not (folder / "metrics.json").is_file():
            if network == "context_code" and self.alike:
                extra = ("model.net.description=autocorrelation", *extra)
            settings = (*self.settings, f"model={network}", *NETWORKS[network], f"seed={seed}")
            run_command("train", *settings, *extra, *self.overrides, f"hydra.run.dir={folder}")
        return folder


def print_seeds(study: Study, seeds: int) -> None:
    """Make the runs of all networks and print what their codes tell of the lattice type."""
    measured: dict[str, list[dict[str, float]]] = {}
    for network in NETWORKS:
        for seed in range(seeds):
            path = study.run(network, seed, network) / "metrics.json"
            metrics = with_current_names(read_json(path))
            measured.setdefault(network, []).append(_measures(metrics, "test/latent/"))
            if network == "context_code":
                for name in BASELINES:
                    of_baseline = _measures(metrics, f"{name}/test/latent/")
                    measured.setdefault(name, []).append(of_baseline)
    title = f"Codes of single patches of held-out images, mean and 95 % interval of {seeds} seeds"
    table = Table("codes of", *MEASURES, title=title, box=box.SIMPLE)
    for name, rows in measured.items():
        cells = [interval_text([row[key] for row in rows]) for key in MEASURES.values()]
        table.add_row(name, *cells)
    Console(width=140).print(table)


def _measures(metrics: dict[str, float], head: str) -> dict[str, float]:
    return {key: metrics.get(f"{head}{key}", float("nan")) for key in MEASURES.values()}


def interval_text(values: list[float]) -> str:
    """Return a mean and half its 95 % interval over seeds."""
    mean, half = mean_and_interval(values)
    return f"{mean:.3f}" + ("" if half is None else f" ± {half:.3f}")
