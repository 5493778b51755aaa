"""Pictures of trainings: topographs, patches, reconstructions, codes, curves, tables."""

from functools import cache

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from stm_experiments import simulator
from stm_experiments.benchmarks.gallery.entry import Entry
from stm_experiments.core.batch import Batch
from stm_experiments.data import SimulatedData
from stm_experiments.data.module import PatchData
from stm_experiments.evaluation.assess import montage
from stm_experiments.figures.anomalous_sites import anomalous_sites
from stm_experiments.figures.codes.centred_patches import centred_patches_figure
from stm_experiments.figures.codes.confusion import confusion_figure
from stm_experiments.figures.codes.latent_pca import latent_pca
from stm_experiments.figures.codes.pooled_latent import pooled_latent
from stm_experiments.figures.codes.traversals import traversals
from stm_experiments.figures.matrix_figure import matrix_figure
from stm_experiments.figures.network_diagram import network_diagram
from stm_experiments.figures.reconstruction_grid import reconstruction_grid
from stm_experiments.figures.topograph_sheets import artefact_sheet, simulation_sheet
from stm_experiments.figures.training_curves import training_curves
from stm_experiments.latent.codes import Codes
from stm_experiments.models import CAEA, PCA
from stm_experiments.simulator.examples import artefacts_alone

NAMES = ("sc", "bcc", "fcc", "hex1", "hex2", "zrte3", "tas2", "tise2", "mos2", "srtio3")
LONG = "convolutional autoencoder with a long name, lower learning rate, more patches, seed 1"


@cache
def data() -> PatchData:
    """Return simulated patches of three lattices."""
    source = SimulatedData(
        ["sc", "bcc", "fcc"], images_per_epoch=12, validation_images=3, test_images=12, size=128
    )
    return PatchData(source)


@cache
def batch() -> Batch:
    """Return held-out patches."""
    first: Batch = next(iter(data().loader("test")))
    return first


@cache
def pca() -> PCA:
    """Return ten principal components of the patches."""
    net = PCA(window=17, components=10)
    net.fit(part.noisy for part in data().loader("train"))
    return net.eval()


def topographs(count: int) -> Figure:
    """Draw simulated topographs of the first lattices as the command ``simulate`` does."""
    kinds = simulator.choose_lattices({name: {} for name in NAMES[:count]})
    images = simulator.simulate(kinds, list(range(count)), noise="realistic", size=128)
    return simulation_sheet(images, kinds, "Simulated topographs: preset physical, noise realistic")


def artefacts() -> Figure:
    """Draw each artefact alone as ``simulate artefacts=true`` does."""
    (kind,) = simulator.choose_lattices({"fcc": {}})
    return artefact_sheet(artefacts_alone(kind, 0, "physical", 96, None), kind.spread)


def reconstructions() -> Figure:
    """Draw patches, a poor and a better reconstruction."""
    some = batch()
    noisy, clean = some.noisy[:4], some.clean
    assert clean is not None
    with torch.inference_mode():
        final = pca()(noisy)
    labels = [f"fcc, image {number}" for number in range(4)]
    return reconstruction_grid(
        noisy, clean[:4], 0.3 * final, final, labels, title="PCA-10: held-out patches"
    )


def curves(n_curves: int) -> Figure:
    """Draw invented training curves."""
    epochs = np.arange(1, 21)
    history = {
        f"val/loss {LONG}" if number else "train/loss": [
            (float(epoch), 0.02 * (1 + number / 5) + 0.2 / epoch**1.2) for epoch in epochs
        ]
        for number in range(n_curves)
    }
    references = {"PCA-10": 0.036, "PCA-20": 0.0106, "PCA-40": 0.0049, "noisy input": 0.0051}
    return training_curves(history, "CAE-A: training", references, "mean squared error per pixel")


def codes(classes: int) -> Codes:
    """Return random codes of patches of some lattices, ten images each."""
    rng = np.random.default_rng(0)
    lattice = np.repeat(np.arange(classes), 200)
    image = np.arange(len(lattice)) // 20
    centres = rng.normal(size=(classes, 8))
    points = centres[lattice] + 0.5 * rng.normal(size=(len(lattice), 8))
    return Codes(
        torch.from_numpy(points),
        torch.from_numpy(lattice),
        torch.from_numpy(image),
        torch.full((len(lattice), 3), torch.nan),
    )


def names(classes: int) -> list[str]:
    """Return names of lattices, the last ones invented."""
    return [*NAMES, "graphene on Ir(111)", "Si(111) 7x7", "Au(111) herringbone"][:classes]


def latent(classes: int) -> Figure:
    """Draw codes in the colours of their lattices; of one class, in those of a number."""
    some = codes(classes)
    if classes == 1:
        return latent_pca(some.codes, some.codes[:, 0], "tilt of the cut (rad)", None)
    return latent_pca(some.codes, some.lattice, "lattice", names(classes))


def pooled(classes: int) -> Figure:
    """Draw codes of patches and of images."""
    some = codes(classes)
    return pooled_latent(some.codes, some.image, some.lattice, names(classes))


def steps() -> Figure:
    """Draw what each number of a code does."""
    values = (-2.0, -1.0, 0.0, 1.0, 2.0)
    mean = pca().encode(batch().noisy[:1])
    spread = pca().encode(batch().noisy).std(0)
    rows: list[Tensor] = []
    for number in range(4):
        changed = mean.repeat(len(values), 1)
        changed[:, number] += torch.tensor(values) * spread[number]
        rows.append(pca().decode(changed))
    return traversals(rows, values, title="PCA-10: what each number draws")


def table() -> Figure:
    """Draw errors of models on lattices."""
    rng = np.random.default_rng(0)
    errors = {
        model: {lattice: float(error) for lattice, error in zip(NAMES, row, strict=True)}
        for model, row in zip(
            ("CAE-A", LONG, "PCA-10"), rng.uniform(0.004, 0.04, (3, 10)), strict=True
        )
    }
    return matrix_figure(errors, "Mean squared error, test")


def anomalies() -> Figure:
    """Draw anomalous sites with their reconstructions."""
    patches = batch().noisy[:10]
    with torch.inference_mode():
        copies = pca()(patches)
    words = [f"image {number}\n12.3, 45.6 px" for number in range(10)]
    return anomalous_sites(patches, copies, words, np.arange(100, 0, -10), "mos2: anomalous sites")


def centred() -> Figure:
    """Draw patches with their clean partners as the columns of a centring network."""
    some = batch()
    assert some.clean is not None
    columns = {"noisy": some.noisy[:3], "denoised": some.clean[:3], "centred": some.clean[3:6]}
    return centred_patches_figure(columns, ["sc", "bcc", "fcc"], title="two decoders")


def diagram() -> Figure:
    """Draw the layers of CAE-A."""
    return network_diagram(CAEA(), (1, 17, 17), "CAE-A")


def entries() -> list[Entry]:
    """Return the pictures of trainings."""
    train, evaluate = "stm-train", "stm-evaluate checkpoint=best.ckpt lattice=all"
    return [
        Entry("topographs", "stm-simulate lattice=[sc,bcc,fcc] noise=realistic",
              "Simulated topographs.", lambda: topographs(3)),
        Entry("topographs_all", "stm-simulate lattice=all noise=realistic",
              "Ten lattices.", lambda: topographs(10)),
        Entry("artefacts", "stm-simulate artefacts=true", "Each artefact alone.", artefacts),
        Entry("patches", train, "Where patches are cut.", lambda: montage(data())),
        Entry("network", train, "The layers of a network.", diagram),
        Entry("reconstructions", train, "Patches and their reconstructions.", reconstructions),
        Entry("curves", train, "Losses beside those of the baselines.", lambda: curves(2)),
        Entry("curves_many", train, "Seven curves with long names.", lambda: curves(7)),
        Entry("latent", train, "Codes of patches of three lattices.", lambda: latent(3)),
        Entry("latent_one", train, "Codes of patches of one lattice.", lambda: latent(1)),
        Entry("latent_many", train, "Codes of 13 classes.", lambda: latent(13)),
        Entry("pooled", train, "Codes of patches, and of whole images.", lambda: pooled(3)),
        Entry("pooled_many", train, "The same of 13 classes.", lambda: pooled(13)),
        Entry("confusion", "python -m stm_experiments.benchmarks.context",
              "What a probe takes each lattice for.",
              lambda: confusion_figure(codes(4), names(4), "Probe of the codes")),
        Entry("traversals", "stm-train model=vae", "What each number of a code draws.", steps),
        Entry("centred", "stm-train model=two_decoders", "Patches turned into place.", centred),
        Entry("matrix", evaluate, "Errors of models on lattices.", table),
        Entry("anomalies", "stm-find-sites image=scan.sxm checkpoint=best.ckpt",
              "Anomalous sites, their reconstructions and the differences.", anomalies),
    ]  # fmt: skip
