"""Scores of networks on the held-out images of a data source."""

from collections.abc import Mapping
from typing import NamedTuple

from stm_experiments.data import lattice_names
from stm_experiments.data.module import PatchData
from stm_experiments.metrics.measures import noise_floor
from stm_experiments.metrics.scores import NOISY_INPUT, Scores, flatten_scores, score_networks
from stm_experiments.models.interfaces import Network
from stm_experiments.simulator import CUT_LATTICES


class HeldOutScores(NamedTuple):
    """Scores of networks on the images of one split.

    Attributes:
        split: Name of the split.
        overall: Over all images.
        by_lattice: Over the images of each lattice alone, by name.
    """

    split: str
    overall: Scores
    by_lattice: dict[str, Scores]

    @property
    def title(self) -> str:
        """What was scored."""
        return f"{self.split} images of {', '.join(self.by_lattice)}"

    def numbers(self, own: str = "") -> dict[str, float]:
        """Return flat numbers for metrics.json; those of lattices only where there are several.

        Args:
            own: The run's own network, whose name is left out.
        """
        numbers = flatten_scores(self.overall, self.split, own=own)
        if len(self.by_lattice) > 1:
            for name, scores in self.by_lattice.items():
                numbers |= flatten_scores(scores, self.split, name, own=own)
        return numbers


def score_held_out(networks: Mapping[str, Network], data: PatchData, split: str) -> HeldOutScores:
    """Score networks on all patches of a split.

    Args:
        networks: By name.
        data: Source of the patches.
        split: Name of the split.

    Raises:
        ValueError: If the source has no such split, or a network cannot be scored.
    """
    scores = score_networks(networks, data.loader(split))
    names = lattice_names()
    by_lattice = {names[label]: of_lattice for label, of_lattice in scores.by_lattice.items()}
    return HeldOutScores(split, scores.overall, by_lattice)


def lattice_floor(scores: HeldOutScores, window: int | None) -> float | None:
    """Return the least error that the noise allows for patches of a cut through a crystal.

    Args:
        scores: With those of the noisy input.
        window: Side of the patches, px; None: no fixed size.

    Returns:
        None where it is not known: without clean images, without a window, or for other lattices,
        whose number of parameters is another.
    """
    noisy = scores.overall[NOISY_INPUT]
    is_cut = all(name in CUT_LATTICES for name in scores.by_lattice)
    if window is None or not is_cut or "mse_clean" not in noisy:
        return None
    return noise_floor(noisy["mse_clean"].mean, window**2)
