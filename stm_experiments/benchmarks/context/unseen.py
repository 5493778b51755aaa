"""Lattices that were never seen: trained without one of five, tested on all, then fine-tuned."""

import json
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from stm_experiments.app.tables import matrix_table, print_table
from stm_experiments.benchmarks.context.seeds import Study
from stm_experiments.data import PatchSettings, SimulatedData, lattice_names
from stm_experiments.data.module import PatchData
from stm_experiments.evaluation.error_matrix import ErrorMatrix, write_matrix
from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.matrix_figure import matrix_figure
from stm_experiments.latent.codes import encode_all
from stm_experiments.latent.probes import lattice_confusion
from stm_experiments.metrics.scores import score_networks
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.simulator import CUT_LATTICES, LATTICES, NOISES

IMAGES = 20  # of each lattice, on which everything is tested
PER_IMAGE = 48
FEW = (1, 5, 20)  # images of the new lattice, to which a network is fine-tuned
LEAST = 1e-4  # share of patches, for the logarithmic colours
TASKS = {  # network, settings, measure
    "codes": ("context_code", (), "share of patches whose lattice a linear probe does not tell"),
    "reconstruction": ("mlp", (), "mse_noisy"),
    "denoising": ("mlp", ("model.target=clean",), "mse_clean"),
}


def left_out(study: Study, task: str, lattice: str | None) -> Path:
    """Train a network without a lattice (None: with all five) unless it is; return its folder."""
    network, settings, _ = TASKS[task]
    kept = ",".join(name for name in CUT_LATTICES if name != lattice)
    extra = (f"lattice=[{kept}]", *settings)
    return study.run(f"{task}_without_{lattice or 'none'}", 0, network, *extra)


def unseen_images(names: list[str], window: int) -> PatchData:
    """Return test images that no training has seen."""
    data = SimulatedData(
        {name: {} for name in names}, NOISES["paper"], test_images=IMAGES * len(names)
    )
    return PatchData(data, PatchSettings(window, patches_per_image=PER_IMAGE, seed=3000))


def errors_of(net: Network, data: PatchData, task: str) -> dict[str, float]:
    """Return the error of a network on each lattice, by name."""
    batches = data.loader("test")
    if task == "codes":
        codes = encode_all(net, batches, IMAGES * PER_IMAGE * len(LATTICES))
        told = lattice_confusion(codes).diagonal()
        labels = codes.lattice.unique().tolist()
        return {lattice_names()[i]: max(1 - t, LEAST) for i, t in zip(labels, told, strict=True)}
    by_lattice = score_networks({task: net}, batches).by_lattice
    measure = TASKS[task][2]
    return {lattice_names()[i]: scores[task][measure].mean for i, scores in by_lattice.items()}


def fine_tuned(study: Study, lattice: str, images: int, start: Path | None) -> float:
    """Return the error of an MLP that knows few images of a lattice, from scratch or not."""
    name = f"{lattice}_{images}_{'scratch' if start is None else 'tuned'}"
    settings = (
        *(f"lattice={lattice}", "data.fresh=false", f"data.images_per_epoch={images}"),
        *(f"data.patches_per_image={12_000 // images}", "data.test_images=20"),
        *("data.validation_images=6", "trainer.max_epochs=15"),
    )
    init = () if start is None else (f"init={start / 'checkpoints' / 'best.ckpt'}",)
    # A scale would shrink the number of images, which is what is compared here.
    whole = tuple(key for key in study.overrides if not key.startswith("scale="))
    folder = replace(study, overrides=whole).run(name, 0, "mlp", *settings, *init)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    error: float = metrics["test/mse_noisy"]
    return error


def print_unseen(study: Study) -> None:
    """Print and draw the matrices, and what few images of the new lattice bring."""
    for task, (_, _, measure) in TASKS.items():
        matrix: ErrorMatrix = {}
        for lattice in (None, *CUT_LATTICES):
            net = checkpoint.load(left_out(study, task, lattice) / "checkpoints" / "best.ckpt")
            assert net.window is not None
            data = unseen_images(list(LATTICES), net.window)
            matrix["all five" if lattice is None else f"without {lattice}"] = errors_of(
                net, data, task
            )
        print_table(matrix_table(matrix, measure))
        write_matrix(matrix, study.folder / f"unseen_{task}.csv")
        figure = matrix_figure(matrix, f"Lattices never seen: {task}", measure)
        save_figure(figure, study.folder / f"unseen_{task}.png")
    columns = [f"{n} images, {way}" for n in FEW for way in ("from scratch", "fine-tuned")]
    table = Table("new lattice", *columns, title="MLP, mse_noisy x 1000", box=box.SIMPLE)
    for lattice in CUT_LATTICES:
        start = left_out(study, "reconstruction", lattice)
        ways = [(n, way) for n in FEW for way in (None, start)]
        errors = [fine_tuned(study, lattice, n, way) for n, way in ways]
        table.add_row(lattice, *(f"{1000 * error:.2f}" for error in errors))
    Console(width=160).print(table)
