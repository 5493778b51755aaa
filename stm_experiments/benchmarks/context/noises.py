"""Whether codes read the noise: the probe of one noise on patches with another one."""

from dataclasses import replace

from rich import box
from rich.console import Console
from rich.table import Table

from stm_experiments.benchmarks.context.descriptions import probe
from stm_experiments.benchmarks.context.seeds import Study, interval_text
from stm_experiments.data import PatchSettings, SimulatedData
from stm_experiments.data.module import PatchData
from stm_experiments.latent.codes import Codes, encode_all
from stm_experiments.latent.probes import probe_accuracy
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.simulator import CUT_LATTICES, NOISES, Noise

IMAGES = 250  # of all lattices
PER_IMAGE = 48


def scaled(noise: Noise, factor: float) -> Noise:
    """Return a noise whose detector is so many times as noisy."""
    detector = noise.detector
    gaussian, poisson = detector.gaussian, detector.poisson
    assert isinstance(gaussian, float)  # fixed strengths, no ranges
    assert isinstance(poisson, float)
    stronger = replace(detector, gaussian=factor * gaussian, poisson=factor * poisson)
    return replace(noise, detector=stronger)


PAPER = NOISES["paper"]
CONDITIONS = {  # noise and preset of the simulator
    "as trained": (PAPER, "physical"),
    "half the noise": (scaled(PAPER, 0.5), "physical"),
    "twice the noise": (scaled(PAPER, 2.0), "physical"),
    "no striation": (replace(PAPER, scan=replace(PAPER.scan, striation=0.0)), "physical"),
    "no noise": (NOISES["jitter"], "physical"),
    "published": (PAPER, "published"),
}


def codes_of(net: Network, noise: Noise, preset: str, seed: int) -> Codes:
    """Return the codes of simulated patches of all five lattices."""
    assert net.window is not None
    source = SimulatedData(
        {name: {} for name in CUT_LATTICES}, noise, test_images=IMAGES, preset=preset
    )
    settings = PatchSettings(net.window, patches_per_image=PER_IMAGE, seed=seed)
    return encode_all(net, PatchData(source, settings).loader("test"), IMAGES * PER_IMAGE)


def print_noises(study: Study, seeds: int) -> None:
    """Print the accuracy of a probe that knows the noise, and of one that knows another noise."""
    own: dict[str, list[float]] = {name: [] for name in CONDITIONS}
    moved: dict[str, list[float]] = {name: [] for name in CONDITIONS}
    for seed in range(seeds):
        folder = study.run("context_code", seed)
        net = checkpoint.load(folder / "checkpoints" / "best.ckpt")
        known = codes_of(net, *CONDITIONS["as trained"], 1000 + seed)
        for name, condition in CONDITIONS.items():
            asked = codes_of(net, *condition, 2000 + seed)
            own[name].append(probe_accuracy(asked))
            moved[name].append(probe(known.codes, known.lattice, asked.codes, asked.lattice))
    title = f"context_code, linear probe of single patches, {seeds} seeds"
    table = Table("patches", "probe of these", "probe as trained", title=title, box=box.SIMPLE)
    for name in CONDITIONS:
        table.add_row(name, interval_text(own[name]), interval_text(moved[name]))
    Console(width=100).print(table)
