"""The full metrics of trained models on any data, and how each does on lattices it never saw."""

import glob
import json
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from stm_experiments.app import build
from stm_experiments.app.job import new_folder
from stm_experiments.app.launching import launch
from stm_experiments.data import LATTICE_NAMES
from stm_experiments.evaluation.assess import fit_baselines
from stm_experiments.evaluation.matrix import all_numbers, error_matrix, matrix_table, write_matrix
from stm_experiments.figures import save
from stm_experiments.figures.error_matrix import matrix_figure
from stm_experiments.metrics.scores import score, score_table
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Network


def evaluate(cfg: DictConfig) -> None:
    """Scores each model of ``conf/evaluate.yaml`` on each lattice, prints and writes metrics.json.

    Raises:
        ValueError: If a model or the data cannot be used.
    """
    settings = build.resolve(cfg)
    folder = new_folder()
    models = load_models(settings["checkpoint"], settings["net"])
    # A network that takes any size takes that of the others.
    windows = {net.window for net in models.values()} - {None}
    if len(windows) > 1:
        raise ValueError(f"models of one window at a time can be compared, not of {windows} px")
    # Nothing is trained here: PCA is fitted to the patches as they are.
    settings["data"]["augment"] = False
    window = windows.pop() if windows else None
    data = build.build_data({**settings, "model": {"target": "noisy"}}, window)
    split = settings["split"] or data.test_split
    baselines = fit_baselines(data, settings["baselines"]) if "train" in data.sources else {}
    scores, by_lattice = score({**models, **baselines}, data.loader(split))
    console = Console()
    names = list(LATTICE_NAMES)
    images = f"{split} images of {', '.join(names[label] for label in by_lattice)}"
    console.print(score_table(scores, images))
    files = ["metrics.json"]
    metrics = all_numbers(scores, by_lattice, names, split)
    (folder / files[0]).write_text(json.dumps(metrics, indent=2), encoding="utf-8")
    if len(by_lattice) > 1:
        matrix = error_matrix({names[label]: of for label, of in by_lattice.items()})
        console.print(matrix_table(matrix))
        write_matrix(matrix, folder / "matrix.csv")
        save(matrix_figure(matrix, f"Mean squared error, {images}"), folder / "matrix.png")
        files += ["matrix.csv", "matrix.png"]
    print(f"{folder}: {', '.join(files)}")


def load_models(pattern: str, net: str | None) -> dict[str, Network]:
    """Networks by name: what they were trained on and what they are.

    Args:
        pattern: A file, or a pattern of files.
        net: Name in ``conf/model`` of the network of files with bare weights.

    Raises:
        ValueError: If there is no such file, or one cannot be used.
    """
    found = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern))
    paths = [Path(path) for path in found]
    models: dict[str, Network] = {}
    for path in paths:
        if net is None:
            model = checkpoint.load(path)
        else:
            model = checkpoint.load_weights(path, build.build_network(net))
        card = model.card
        name = f"{card.network} {'+'.join(card.lattice)}".strip() if card else path.stem
        if len(paths) > 1 and card:
            # A run folder tells models apart that are alike.
            run = path.parent.parent if path.parent.name == "checkpoints" else path
            name += f" {run.stem}"
        models[str(path) if name in models else name] = model
    if not models:
        raise ValueError(f"{pattern}: no such checkpoint file")
    return models


def main() -> None:
    """The command ``stm-evaluate``."""
    launch(evaluate, "evaluate")


if __name__ == "__main__":
    main()
