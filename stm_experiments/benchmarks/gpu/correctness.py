"""The same training and the same images on a device as on the CPU."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from stm_experiments.benchmarks.gpu.work import eager_steps, graph_steps, waves
from stm_experiments.models import CAEA
from stm_experiments.simulator import LATTICES, NOISES
from stm_experiments.simulator.simulation import Simulator

BATCH = 256  # patches
STEPS_A_CALL = 16


def compare_curves(device: torch.device, steps: int) -> dict[str, float]:
    """Return how far loss curves on a device are from the eager one on the CPU.

    Args:
        device: The device.
        steps: Length of the curves.

    Returns:
        The largest difference over the loss of the CPU: of eager steps, of the graph's, and of the
        graph's with TF32.
    """
    start = CAEA()
    patches = waves(steps * BATCH, torch.device("cpu")).view(steps, BATCH, 1, 17, 17)
    wanted = eager_steps(copy.deepcopy(start), patches)

    def difference(curve: Tensor) -> float:
        return float(((curve.cpu() - wanted).abs() / wanted).max())

    def graph_curve() -> Tensor:
        take = graph_steps(copy.deepcopy(start), device)
        return torch.cat([take(part) for part in patches.to(device).split(STEPS_A_CALL)])

    found = {
        "curve_eager": difference(eager_steps(copy.deepcopy(start).to(device), patches.to(device))),
        "curve_graph": difference(graph_curve()),
    }
    with tf32():
        found["curve_graph_tf32"] = difference(graph_curve())
    return found


@contextmanager
def tf32() -> Iterator[None]:
    """Allow products of 10 bits of mantissa, which recent GPUs compute faster."""
    convolutions, matrices = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, matrices.allow_tf32
    convolutions.allow_tf32 = matrices.allow_tf32 = True
    try:
        yield
    finally:
        convolutions.allow_tf32, matrices.allow_tf32 = before


def compare_images(device: torch.device, count: int) -> dict[str, float]:
    """Return how far images that a device simulates are from those of the CPU.

    Args:
        device: The device.
        count: Images, fcc with the paper's noise.

    Returns:
        The largest difference of the clean images; the mean, and the ratio of the standard
        deviations, of the noise, which is drawn by other generators.
    """
    lattices, seeds = [LATTICES["fcc"]] * count, range(count)
    here, there = (
        Simulator(NOISES["paper"], device=each).simulate(lattices, seeds)
        for each in (torch.device("cpu"), device)
    )
    ours, theirs = here.noisy - here.clean, (there.noisy - there.clean).cpu()
    return {
        "image_clean": float((there.clean.cpu() - here.clean).abs().max()),
        "image_noise_mean": float(theirs.mean() - ours.mean()),
        "image_noise_deviation": float(theirs.std() / ours.std()),
    }
