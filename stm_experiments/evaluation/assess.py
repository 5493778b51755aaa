"""The assessment of a trained network on held-out images: numbers, figures and files."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from stm_experiments.core.results.measures import Measure, is_measured
from stm_experiments.core.results.names import FLOOR, metric_name
from stm_experiments.data import lattice_names
from stm_experiments.data.module import PatchData
from stm_experiments.data.sites.site_loader import listed_images
from stm_experiments.data.sources.simulated import simulated_lattices
from stm_experiments.evaluation.baselines import untrained_copy
from stm_experiments.evaluation.centring import centred_figure, centring_numbers
from stm_experiments.evaluation.held_out import HeldOutScores, lattice_floor
from stm_experiments.evaluation.run_figures import TrainingRecord, run_figures
from stm_experiments.evaluation.site_report import SiteReport, examine_sites, write_sites
from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.codes.confusion import confusion_figure
from stm_experiments.figures.codes.pooled_latent import pooled_latent
from stm_experiments.figures.codes.traversals import traversals
from stm_experiments.figures.patch_montage import patch_montage
from stm_experiments.latent.codes import Codes, encode_all, encode_patches
from stm_experiments.latent.codes_csv import write_latent_csv, written_rows
from stm_experiments.latent.patch_sheet import NAME as PATCH_SHEET
from stm_experiments.latent.patch_sheet import shrink, write_patch_sheet
from stm_experiments.latent.report import FEW_IMAGES, latent_report
from stm_experiments.metrics.measures import patch_measures
from stm_experiments.metrics.three_patches import three_patch_statistic
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import (
    Autoencoder,
    Centring,
    Network,
    Variational,
)
from stm_experiments.simulator import LATTICES
from stm_experiments.training.run_folder import RunFolder

MOST_CODES = 6000  # patches of one split that are enough for pictures and the paper's statistic
ALL_CODES = 10**6
FEWEST_IMAGES = 4  # of each lattice, to learn from some and look at others
SAMPLES = 8  # patches in pictures
STEPS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)  # of a number of a variational code
MOST_ROWS = 20  # images among which one of each lattice is looked for


class Assessment(NamedTuple):
    """What a trained network does on held-out images.

    Attributes:
        numbers: Content of metrics.json.
        figures: By file name.
        codes: Latent codes of held-out patches; None without a bottleneck.
        patches: The patches of the codes that latent.csv has, shrunk, [n, 1, s, s]; or None.
        latent: Content of latent.json; empty unless there are several lattices.
        three_patches: Content of three_patches.json; empty with fewer than three patches.
        sites: What a model of lattice sites infers, or None.
        loss: What the loss is, with its unit.
        measures: What else the objective logs.
    """

    numbers: dict[str, float]
    figures: dict[str, Figure]
    codes: Codes | None
    patches: Tensor | None
    latent: dict[str, dict[str, float]]
    three_patches: dict[str, dict[str, float]]
    sites: SiteReport | None
    loss: str
    measures: Mapping[str, Measure]


def assess(
    networks: Mapping[str, Network],
    data: PatchData,
    scores: HeldOutScores,
    record: TrainingRecord,
) -> Assessment:
    """Compute the numbers of a trained network and draw its figures.

    Args:
        networks: The trained network, in evaluation mode, and its baselines, by name; on the CPU.
        data: Source of its patches.
        scores: Of the networks, on ``data.test_split``.
        record: What its training left.
    """
    name, net = next(iter(networks.items()))
    are_several = len(scores.by_lattice) > 1
    all_codes = encode_split(net, data, ALL_CODES if are_several else MOST_CODES)
    codes = None if all_codes is None else all_codes.first(MOST_CODES)
    latent = {}
    if all_codes is not None and are_several:
        latent = latent_of_lattices(networks, data, all_codes)
    numbers = (
        run_numbers(scores, net.window, record)
        | scores.numbers(own=name)
        | latent_numbers(latent, scores.split)
    )
    images = listed_images(data.sources)
    sites = examine_sites(net, images) if images and isinstance(net, Variational) else None
    loss = "mse_clean" if data.settings.need_clean else "mse_noisy"
    references = {
        other: row[loss].mean
        for other, row in scores.overall.items()
        if other in networks and other != name and loss in row
    }
    figures = run_figures(
        net,
        codes,
        data.samples(SAMPLES),
        record,
        references,
        lattice_names(),
    )
    figures["patches"] = montage(data)
    if all_codes is not None and latent:
        figures |= pooled_figure(name, all_codes)
    if isinstance(net, Centring) and data.settings.centred:
        numbers |= centring_numbers(net, data)
        figures["centred"] = centred_figure(net, data.samples(MOST_ROWS))
    if isinstance(net, Variational) and sites is None:
        figures["traversals"] = traversal_figure(net, data)
    if sites is not None:
        figures |= sites.figures
        numbers |= {
            metric_name(measure, scores.split, part="sites"): value
            for measure, value in sites.numbers.items()
        }
    patches = None if codes is None else patches_of(codes, data)
    statistic = papers_statistic(net, data)
    label = record.label
    label = label or f"mean squared error per px against the {loss.removeprefix('mse_')} patch"
    return Assessment(
        numbers, figures, codes, patches, latent, statistic, sites, label, record.measures
    )


def write_assessment(assessment: Assessment, run: RunFolder) -> None:
    """Write the figures and numbers of a run to its folder.

    metrics.json is the last: a folder that has it counts as a finished run.
    """
    for name, figure in assessment.figures.items():
        save_figure(figure, run.figures / f"{name}.png")
    if assessment.latent:
        run.write_json("latent.json", assessment.latent)
    if assessment.sites is not None:
        write_sites(assessment.sites, run.path / "sites.csv")
    if assessment.three_patches:
        run.write_json("three_patches.json", assessment.three_patches)
    if assessment.codes is not None:
        codes, names = assessment.codes, lattice_names()
        labels = [names[label] for label in codes.lattice]
        path = run.path / "latent.csv"
        write_latent_csv(path, codes.codes, labels, codes.image, codes.orientation)
    if assessment.patches is not None:
        write_patch_sheet(run.path / PATCH_SHEET, assessment.patches)
    own = {name: measure._asdict() for name, measure in assessment.measures.items()}
    run.note(loss=assessment.loss, measures=own)
    checkpoint.add_scores(run.checkpoints, assessment.numbers)
    run.write_json("metrics.json", assessment.numbers)


def run_numbers(
    scores: HeldOutScores, window: int | None, record: TrainingRecord
) -> dict[str, float]:
    """Return the numbers of metrics.json besides the scores: the floor and the last epoch's.

    Args:
        scores: With those of the noisy input.
        window: Side of the network's patches, px, or None.
        record: With the rows of metrics.csv.
    """
    numbers = {}
    if (floor := lattice_floor(scores, window)) is not None:
        numbers[metric_name("mse_clean", scores.split, network=FLOOR)] = floor
    if record.rows:
        for row in record.rows:  # validation may not be that of the last row
            numbers |= {name: value for name, value in row.items() if is_measured(name)}
        losses = [row["val/loss"] for row in record.rows if "val/loss" in row]
        if losses:
            numbers["val/best_loss"] = min(losses)
    return numbers


def encode_split(net: Network, data: PatchData, most: int) -> Codes | None:
    """Return the codes of up to ``most`` held-out patches; None without a bottleneck."""
    if not isinstance(net, Autoencoder):
        return None
    return encode_all(net, data.loader(data.test_split), most)


def patches_of(codes: Codes, data: PatchData) -> Tensor:
    """Return the held-out patches of the codes that latent.csv has, shrunk, [n, 1, s, s].

    Args:
        codes: Those of the first patches of the held-out split.
        data: Source of the patches.
    """
    count, parts = len(codes.codes), []
    for batch in data.loader(data.test_split):
        parts.append(shrink(batch.noisy))
        if sum(map(len, parts)) >= count:
            break
    return torch.cat(parts)[written_rows(count)]


def latent_of_lattices(
    networks: Mapping[str, Network], data: PatchData, codes: Codes
) -> dict[str, dict[str, float]]:
    """Return what the codes of several lattices hold, for latent.json.

    The network is compared with PCA-10 and with itself before record.

    Args:
        networks: The trained network and its baselines, by name.
        data: Source of the patches.
        codes: Of all held-out patches by the trained network.

    Returns:
        Network to numbers.
    """
    name, net = next(iter(networks.items()))
    compared: dict[str, Network] = {name: net}
    if "PCA-10" in networks:
        compared["PCA-10"] = networks["PCA-10"]
    if next(net.parameters(), None) is not None:
        compared["untrained"] = untrained_copy(net)
    source = data.sources[data.test_split]
    images = source(0, 0, source.count).noisy
    return latent_report(
        compared,
        data.loader(data.test_split),
        images,
        lattice_names(),
        LATTICES | simulated_lattices(source),
        known={name: codes},
    )


def latent_numbers(latent: Mapping[str, Mapping[str, float]], split: str) -> dict[str, float]:
    """Return what single codes tell of the lattice type, for metrics.json.

    Args:
        latent: Content of latent.json, the run's own network first.
        split: Of the data.

    Returns:
        ``test/latent/probe``, ``knn``, ``ari`` and ``probe_3_images``; those of the other networks
        with ``<network>/`` before them.
    """
    numbers = {}
    for position, (network, measures) in enumerate(latent.items()):
        other = network if position else ""
        for name in ("probe", "knn", "ari", f"probe_{FEW_IMAGES}_images"):
            if (key := f"single/{name}") in measures:
                numbers[metric_name(name, split, network=other, part="latent")] = measures[key]
    return numbers


def pooled_figure(name: str, codes: Codes) -> dict[str, Figure]:
    """Draw single and pooled codes by lattice, if there are images enough of each lattice."""
    labels, classes = codes.lattice.unique(return_inverse=True)
    images = [codes.image[codes.lattice == label].unique().numel() for label in labels]
    if min(images) < FEWEST_IMAGES:
        return {}
    lattices = [lattice_names()[label] for label in labels]
    title = f"{name}: lattice types in the latent codes"
    return {
        "latent_pooled": pooled_latent(codes.codes, codes.image, classes, lattices, title=title),
        "confusion": confusion_figure(codes, lattices, f"{name}: what a probe takes lattices for"),
    }


def traversal_figure(net: Variational, data: PatchData) -> Figure:
    """Draw what each number of the code of the first test patch changes."""
    [code] = encode_patches(net, data.samples(1).noisy)
    rows = []
    with torch.inference_mode():
        for number in range(len(code)):
            changed = code.repeat(len(STEPS), 1)
            changed[:, number] = torch.tensor(STEPS)
            rows.append(net.decode(changed))
    return traversals(rows, STEPS, title=f"{net.label}: what each number of the code draws")


def papers_statistic(net: Network, data: PatchData) -> dict[str, dict[str, float]]:
    """Return the statistic of the paper's Table 2: three training patches, drawn many times.

    Returns:
        Empty with fewer than three patches.
    """
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
    """Draw the first test image, clean and noisy, with patches cut from it (Figure 10)."""
    loader = data.loader(data.test_split)
    image = data.sources[data.test_split](0, 0, 1)
    batch = next(iter(loader))
    here = (batch.image == image.number[0]).nonzero().flatten()[:16]
    clean = None if image.clean is None else image.clean[0, 0]
    patches = batch.noisy[here]
    return patch_montage(image.noisy[0, 0], clean, batch.position[here], patches.shape[-1], patches)
