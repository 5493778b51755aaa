"""Scores a trained network beside its baselines, and draws what it does."""

import copy
from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from rich.console import Console

from stm_experiments.data import LATTICE_NAMES, PatchData
from stm_experiments.data.sites.site_loader import listed_images
from stm_experiments.evaluation.matrix import all_numbers
from stm_experiments.evaluation.run_figures import run_figures
from stm_experiments.evaluation.site_report import examine_sites
from stm_experiments.figures import patch_montage, save, training_curves
from stm_experiments.latent.codes import encode_all
from stm_experiments.latent.codes_csv import write_latent_csv
from stm_experiments.metrics.measures import noise_floor, patch_measures
from stm_experiments.metrics.scores import NOISY_INPUT, score, score_table
from stm_experiments.metrics.three_patches import three_patch_statistic
from stm_experiments.models import PCA, checkpoint
from stm_experiments.models.interfaces import Autoencoder, Network, Variational
from stm_experiments.simulator import CUT_LATTICES
from stm_experiments.training.callbacks import FirstReconstruction, History
from stm_experiments.training.run_folder import RunFolder

MOST_CODES = 6000  # patches of one split that are enough for pictures and the paper's statistic
LARGEST_PCA = 32  # px; PCA of larger patches takes minutes, and gigabytes


def assess(
    net: Network,
    data: PatchData,
    run: RunFolder,
    history: History,
    first: FirstReconstruction,
    baselines: list[int],
) -> dict[str, float]:
    """Prints and writes the scores on held-out images, the figures and the final model file.

    Args:
        net: The trained network, on the CPU, in evaluation mode.
        data: Where its patches come from.
        run: Where everything goes.
        history: Its losses.
        first: Its first reconstructions.
        baselines: Components of the PCAs that are fitted to the same training patches.

    Returns:
        The content of metrics.json.
    """
    split, window = data.test_split, data.settings.window
    own = net.label
    networks = {own: net, **fit_baselines(data, baselines)}
    scores, by_lattice = score(networks, data.loader(split))
    names = list(LATTICE_NAMES)
    title = f"{split} images of {', '.join(names[label] for label in by_lattice)}"
    if split == "validation":
        title += " (there are no test images: last weights, not the best)"
    console = Console()
    console.print(score_table(scores, title))
    metrics = all_numbers(scores, by_lattice, names, split)
    # Its count of parameters is that of a cut through a crystal.
    crystals = all(names[label] in CUT_LATTICES for label in by_lattice)
    if "mse_clean" in scores[NOISY_INPUT] and crystals and net.window:
        sigma2 = scores[NOISY_INPUT]["mse_clean"].mean
        floor = metrics["floor/mse_clean"] = noise_floor(sigma2, window**2)
        console.print(
            f"floor: no unbiased estimate of a lattice's 8 parameters has a smaller mse clean than "
            f"{floor:.5f}",
            highlight=False,
        )
    if history.rows:
        metrics["train/loss"] = history.rows[-1]["train/loss"]
        losses = [row["val/loss"] for row in history.rows if "val/loss" in row]
        metrics |= {"val/loss": losses[-1], "val/best_loss": min(losses)} if losses else {}

    curves = history.curves()
    loss = "mse_clean" if data.settings.need_clean else "mse_noisy"
    references = {name: scores[name][loss].mean for name in networks if loss in scores[name]}
    references.pop(own, None)
    codes = (
        encode_all(net, data.loader(split), MOST_CODES) if isinstance(net, Autoencoder) else None
    )
    samples = data.samples(8)
    figures = run_figures(net, codes, samples, first.reconstructions, curves, references, names)
    figures["patches"] = montage(data)
    if len(by_lattice) > 1 and codes is not None:
        figures |= examine_latent(networks, data, run)
    images = listed_images(data.sources)
    if images and isinstance(net, Variational):
        pictures, numbers = examine_sites(net, images, run.path)
        what = "loss (of the pose, where it learns first; then nats per patch)"
        pictures["curves"] = training_curves(curves, f"{own}: training", ylabel=what)
        figures, metrics = figures | pictures, metrics | numbers
    for name, figure in figures.items():
        save(figure, run.figures / f"{name}.png")
    if drawn := papers_statistic(net, data):
        run.write_json("three_patches.json", drawn)
    if codes is not None:
        labels = [names[label] for label in codes.lattice]
        write_latent_csv(
            run.path / "latent.csv", codes.codes, labels, codes.image, codes.orientation
        )
    checkpoint.add_scores(run.checkpoints, metrics)
    # Last: a folder with metrics counts as a finished run.
    run.write_json("metrics.json", metrics)
    return metrics


def examine_latent(
    networks: Mapping[str, Network], data: PatchData, run: RunFolder
) -> dict[str, Figure]:
    """What the codes of several lattices know, beside PCA's and those of an untrained network.

    Prints the table, writes latent.json and, if there are images enough to learn from some and
    look at others, draws single and pooled codes.
    """
    # scikit-learn takes a second to import, which only runs with several lattices need.
    from stm_experiments.figures.pooled_latent import pooled_latent
    from stm_experiments.latent.report import latent_report, latent_table

    names, split = list(LATTICE_NAMES), data.test_split
    own, net = next(iter(networks.items()))
    compared = {own: net, **{name: networks[name] for name in ("PCA-10",) if name in networks}}
    if next(net.parameters(), None) is not None:
        compared["untrained"] = untrained(net)
    source = data.sources[split]
    report = latent_report(compared, data.loader(split), source(0, 0, source.count).noisy, names)
    Console().print(latent_table(report))
    run.write_json("latent.json", report)
    codes = encode_all(net, data.loader(split), 10**6)
    shown, classes = codes.lattice.unique(return_inverse=True)
    images = [codes.image[codes.lattice == label].unique().numel() for label in shown]
    if min(images) < 4:
        return {}
    kinds = [names[label] for label in shown]
    title = f"{own}: lattice types in the latent codes"
    return {"latent_pooled": pooled_latent(codes.codes, codes.image, classes, kinds, title)}


def untrained(net: Network) -> Network:
    """A copy of a network with fresh weights, the same ones every time."""
    fresh = copy.deepcopy(net)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for module in fresh.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    return fresh


def papers_statistic(net: Network, data: PatchData) -> dict[str, dict[str, float]]:
    """The statistic of the paper's Table 2: three training patches, drawn many times, if any."""
    mse, ssim, count = [], [], 0
    for batch in data.loader("train"):
        with torch.inference_mode():
            measures = patch_measures(net(batch.noisy), batch.noisy, None)
        mse.append(measures["mse_noisy"])
        ssim.append(measures["ssim_paper"])
        count += len(batch.noisy)
        if count >= MOST_CODES:
            break
    if count < 3:
        return {}
    return three_patch_statistic(torch.cat(mse).numpy(), torch.cat(ssim).numpy())


def montage(data: PatchData) -> Figure:
    """The first test image, clean and noisy, with patches that are cut from it (Figure 10)."""
    loader = data.loader(data.test_split)
    image = data.sources[data.test_split](0, 0, 1)
    batch = next(iter(loader))
    here = (batch.image == image.number[0]).nonzero().flatten()[:16]
    clean = None if image.clean is None else image.clean[0, 0]
    noisy, cut = image.noisy[0, 0], batch.noisy[here]
    return patch_montage(noisy, clean, batch.position[here], cut.shape[-1], cut)


def check_baselines(components: object, window: int) -> None:
    """Refuses PCAs that cannot be fitted, before anything is trained.

    Raises:
        ValueError: If it is not a list of numbers of components.
    """
    fits = isinstance(components, list) and all(
        isinstance(number, int) and 1 <= number <= window**2 for number in components
    )
    if not fits:
        raise ValueError(
            f"baselines is a list of numbers of components from 1 to {window**2}, such as [10,20], "
            f"not {components!r}"
        )


def fit_baselines(data: PatchData, components: list[int]) -> dict[str, PCA]:
    """PCAs of several sizes from one fit to an epoch of training patches."""
    check_baselines(components, data.settings.window)
    if not components or data.settings.window > LARGEST_PCA:
        return {}
    largest = PCA(max(components), data.settings.window)
    largest.fit(batch.noisy for batch in data.loader("train"))
    return {f"PCA-{number}": largest.truncated(number) for number in components}
