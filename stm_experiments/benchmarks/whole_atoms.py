"""Atoms that denoising invents or erases, and the threshold from which an atom is certain.

    python -m stm_experiments.benchmarks.whole_atoms --images 500 --write whole_atoms.json
    python -m stm_experiments.benchmarks.whole_atoms --split development

An atom of the result is invented where the truth rises by less than a quarter of the usual atom,
and an atom of the truth is erased where the result does (``restoration.whole_atoms``). The loss of
a scan is the share of its atoms, those of the truth that are erased included, that are wrong and
not marked. The first command denoises simulated scans of random crystals, and of what may lie on
them, with the noises of the collection (other scans than ``benchmarks.stated_error`` uses). It
writes the least threshold for which the mean loss over such scans is at most 1 % with 95 %
confidence: a split-conformal guarantee, "risk-controlling prediction sets" (Bates et al., J. ACM
68, 43 (2021)), with the bound of Hoeffding and Bentkus. It holds for scans that are drawn in the
same way, whatever the denoiser does. The second command measures the loss on the frozen collection,
which is drawn differently, and has surfaces without a crystal.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.spatial import KDTree

from stm_experiments.benchmarks.quality.collection import SPLITS, build_case, case_names
from stm_experiments.benchmarks.stated_error import simulated_scan, surface_seed
from stm_experiments.core.arrays import Array, Mask
from stm_experiments.core.files import atomic_write_text
from stm_experiments.models import checkpoint
from stm_experiments.restoration.denoise import DEFAULT, run_network
from stm_experiments.restoration.measured import as_scan
from stm_experiments.restoration.mixture.local_risk import LocalRisk
from stm_experiments.restoration.whole_atoms import (
    ATOM,
    NONE,
    Calibration,
    calibration,
    find_rises,
    score_atoms,
)
from stm_experiments.simulator.surface.any_surface import is_crystal

SHARE, CONFIDENCE = 0.01, 0.95
FIRST = 2000  # number of the first scan: those of the stated error are lower


class AtomErrors(NamedTuple):
    """The atoms of a scan that are wrong, and how sure the result is of all.

    Attributes:
        present: Score of each atom of the result, [P].
        invented: Which of them are invented, [P] bool.
        erased: Least score of a place within half a period of each erased atom of the truth, [E];
            infinite where there is none.
    """

    present: Array
    invented: Mask
    erased: Array

    def loss(self, threshold: float) -> float:
        """Return the share of the atoms that are wrong and not marked."""
        wrong = (self.invented & (self.present >= threshold)).sum()
        wrong += (self.erased >= threshold).sum()
        return float(wrong / max(1, len(self.present) + len(self.erased)))

    @property
    def wrong(self) -> float:
        """The share of the atoms that are wrong, marked or not."""
        return self.loss(-math.inf)

    def marked(self, threshold: float) -> float:
        """Return the share of the atoms of the result that are marked."""
        return float(np.mean(self.present < threshold)) if len(self.present) else 0.0


def atom_errors(noisy: Array, clean: Array, output: Array, deviation: Array) -> AtomErrors:
    """Compare the atoms of a result with the truth; all [H, W] in one unit."""
    rises = find_rises(output)
    atoms, present, gaps, absent = score_atoms(noisy, output, deviation, rises)
    truth = rises.of(clean)
    invented = rises.highest_near(truth)[tuple(atoms.T.astype(int))] < NONE * rises.usual
    erased = rises.maxima(truth) & (truth >= max(ATOM * rises.usual, 1e-12))
    places = np.argwhere(erased & (rises.highest_near(rises.heights) < NONE * rises.usual))
    if not len(places) or not len(gaps):
        return AtomErrors(present, invented, np.full(len(places), math.inf))
    near = KDTree(gaps).query_ball_point(places, 2 * rises.reach, p=math.inf)
    scores = [min(absent[numbers], default=math.inf) for numbers in near]
    return AtomErrors(present, invented, np.array(scores))


def of_scan(noisy: Array, clean: Array, net: LocalRisk) -> AtomErrors:
    """Denoise a scan and compare its atoms with the truth."""
    run = run_network(net, as_scan(noisy), "plane", 1, uncertainty=True)
    if run.deviation is None:
        raise ValueError("the model states no uncertainty")
    image, output, deviation = (x.numpy() for x in (run.image, run.output, run.deviation))
    return atom_errors(image, clean / run.affine.scale, output, deviation)


def least_threshold(scans: Sequence[AtomErrors]) -> float:
    """Return the least threshold for which the mean loss is bounded.

    Raises:
        ValueError: If there is none: too few scans.
    """
    scores = np.unique(np.concatenate([np.r_[x.present[x.invented], x.erased] for x in scans]))
    steps = np.r_[-np.inf, np.nextafter(scores[np.isfinite(scores)], np.inf)]

    def bounded(step: int) -> bool:
        return is_bounded([scan.loss(steps[step]) for scan in scans])

    if not bounded(len(steps) - 1):
        raise ValueError(f"{len(scans)} scans are too few, or too many of their atoms are wrong")
    low, high = -1, len(steps) - 1  # the loss decreases with the threshold
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if bounded(middle) else (middle, high)
    return float(steps[high])


def is_bounded(losses: Sequence[float]) -> bool:
    """Return whether the mean loss, of 0 to 1, is at most ``SHARE`` with ``CONFIDENCE``."""
    number, mean = len(losses), float(np.mean(losses))
    if mean >= SHARE:
        return False
    apart = scipy.special.rel_entr([mean, 1 - mean], [SHARE, 1 - SHARE]).sum()
    bentkus = math.e * scipy.stats.binom.cdf(math.ceil(number * mean), number, SHARE)
    return bool(min(math.exp(-number * apart), bentkus) <= 1 - CONFIDENCE)


def crystals() -> Iterator[tuple[Array, Array]]:
    """Simulate scans of crystals, with noise and without, [H, W] each."""
    for number in count(FIRST):
        if is_crystal(surface_seed(number)):
            yield simulated_scan(number)


def calibrate(scans: Iterable[AtomErrors]) -> Calibration:
    """Calibrate the threshold.

    Raises:
        ValueError: If there are too few scans.
    """
    errors = list(scans)
    threshold = max(least_threshold(errors), 0.0)
    return Calibration(round(threshold + 5e-4, 3), SHARE, CONFIDENCE, len(errors))


def collection_table(split: str, net: LocalRisk) -> Table:
    """Tabulate the losses on the frozen collection by surface and by noise."""
    groups: dict[str, list[AtomErrors]] = {}
    for name in track(case_names(split), "collection"):
        case = build_case(name)
        errors = of_scan(case.noisy, case.clean, net)
        for group in (f"surface: {name.surface_kind}", f"noise: {name.noise_kind}", "all"):
            groups.setdefault(group, []).append(errors)
    columns = ("", "scans", "wrong", "wrong and not marked", "scans above 1 %", "marked (median)")
    table = Table(*columns, box=box.SIMPLE_HEAD)
    threshold = calibration().threshold
    for group, scans in sorted(groups.items()):
        losses = np.array([scan.loss(threshold) for scan in scans])
        table.add_row(
            group,
            str(len(scans)),
            f"{np.mean([scan.wrong for scan in scans]):.2%}",
            f"{losses.mean():.2%}",
            f"{np.mean(losses > SHARE):.1%}",
            f"{np.median([scan.marked(threshold) for scan in scans]):.1%}",
        )
    return table


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=500, help="simulated scans to calibrate on")
    parser.add_argument("--write", help="a new file for the calibration")
    parser.add_argument("--split", choices=SPLITS, help="measure on this split of the collection")
    parser.add_argument("--model", default=DEFAULT, help="the denoiser")
    options = parser.parse_args()
    try:
        net = LocalRisk(checkpoint.load(options.model))
        if options.write:
            if Path(options.write).exists():
                raise ValueError(f"{options.write} exists and is not overwritten")
            scans = track(islice(crystals(), options.images), "scans", options.images)
            result = calibrate(of_scan(noisy, clean, net) for noisy, clean in scans)
            atomic_write_text(Path(options.write), json.dumps(result._asdict(), indent=1) + "\n")
            print(result)
        if options.split:
            Console(width=120).print(collection_table(options.split, net))
        if not (options.write or options.split):
            raise ValueError("give --write for a calibration, or --split to measure")
    except ValueError as error:
        print(f"whole_atoms: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
