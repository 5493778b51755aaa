"""The full metrics of trained models on any data, also on lattices that they never saw."""

import glob
from pathlib import Path

from omegaconf import DictConfig

from stm_experiments.app import build, job, tables
from stm_experiments.app.settings import resolve
from stm_experiments.core.files import write_json
from stm_experiments.core.texts import printable
from stm_experiments.evaluation.baselines import fit_baselines
from stm_experiments.evaluation.error_matrix import error_matrix, write_matrix
from stm_experiments.evaluation.held_out import score_held_out
from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.matrix_figure import matrix_figure
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Network


def evaluate(cfg: DictConfig) -> None:
    """Score each model on each lattice, print and write the metrics.

    Args:
        cfg: ``conf/evaluate.yaml`` as composed.

    Raises:
        ValueError: If a model or the data cannot be used.
    """
    settings = resolve(cfg)
    folder = job.new_folder()
    models = load_models(settings["checkpoint"], settings["net"])
    # Nothing is trained here: PCA is fitted to the patches as they are.
    settings["data"]["augment"] = False
    data = build.build_data({**settings, "model": {"target": "noisy"}}, common_window(models))
    baselines = fit_baselines(data, settings["baselines"]) if "train" in data.sources else {}
    scores = score_held_out({**models, **baselines}, data, settings["split"] or data.test_split)
    tables.print_table(tables.score_table(scores.overall, scores.title), "metrics.json")
    files = ["metrics.json"]
    write_json(folder / files[0], scores.numbers())
    if len(scores.by_lattice) > 1:
        matrix = error_matrix(scores.by_lattice)
        tables.print_table(tables.matrix_table(matrix), "matrix.csv")
        write_matrix(matrix, folder / "matrix.csv")
        figure = matrix_figure(matrix, f"Mean squared error, {scores.title}")
        endings = save_figure(figure, folder / "matrix.png")
        files += ["matrix.csv", *(f"matrix{ending}" for ending in endings)]
    print(printable(f"{folder}: {', '.join(files)}"))


def common_window(models: dict[str, Network]) -> int | None:
    """Return the patch size of the models, px; a model of any size takes that of the others.

    Raises:
        ValueError: If the models have several sizes.
    """
    windows = {net.window for net in models.values() if net.window is not None}
    if len(windows) > 1:
        raise ValueError(f"models of one window at a time can be compared, not of {windows} px")
    return windows.pop() if windows else None


def load_models(pattern: str, net_name: str | None) -> dict[str, Network]:
    """Load networks, named by what they are and what they were trained on.

    Args:
        pattern: A file, or a pattern of files.
        net_name: Name in ``conf/model`` of the network of files with bare weights.

    Raises:
        ValueError: If there is no such file, or one cannot be used.
    """
    names = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern))
    models: dict[str, Network] = {}
    for path in map(Path, names):
        if net_name is None:
            net = checkpoint.load(path)
        else:
            net = checkpoint.load_weights(path, build.build_network(net_name))
        name = path.stem
        if net.card is not None:
            name = f"{net.label} {'+'.join(net.card.lattice)}".strip()
            if len(names) > 1:
                # The run folder tells models apart that are alike.
                run = path.parent.parent if path.parent.name == "checkpoints" else path
                name += f" {run.stem}"
        models[str(path) if name in models else name] = net
    if not models:
        raise ValueError(f"{pattern}: no such checkpoint file")
    return models
