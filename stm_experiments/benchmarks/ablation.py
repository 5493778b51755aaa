"""What each constant of the rules around the shipped networks is worth.

    python -m stm_experiments.benchmarks.ablation
    python -m stm_experiments.benchmarks.ablation --only report --images 2

Each rule is switched off, and each constant is halved and doubled, while all others keep their
value; the same images are restored again. The tables show the difference from the rules as they
are, averaged over images, with its 95 % interval. A difference is marked with * where it is larger
than its interval. A rule that is worth its place loses quality when it is switched off.

- stripes: PSNR of the whole image (dB) where full lines are lost without noise, where parts of
  lines are lost and where they are shifted, with white noise; how many of the pixels outside of the
  stripes are changed (per cent); and how many pixels of severe damage, 64 lines, are repaired,
  which should be left.
- mixture: gain of the mixture of experts (dB) on lattices, on features, and with noise that is not
  white; what is left of noise alone (per cent), and its maxima above three standard deviations.
- report: per cent of the images in which the report of a removed wave is right. It should come
  where less than half of a striation, or of the sample's charge-density wave, is left by the
  denoiser, and nowhere else (lattices with white noise, without noise, with slow realistic noise).
"""

import argparse
import hashlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from stm_experiments.benchmarks.destripe.images import (
    KINDS,
    SEVERITIES,
    WIDTHS,
    StripedImage,
    psnr_within,
    striped_image,
)
from stm_experiments.benchmarks.quality.case_scores import gain, invention_scores
from stm_experiments.benchmarks.quality.collection import CaseName, build_case
from stm_experiments.benchmarks.quality.images import WHITE
from stm_experiments.benchmarks.waves import __main__ as waves
from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.core.normalisation import denormalise, normalise_plane
from stm_experiments.core.seeds import seed_of
from stm_experiments.models import Destripe, checkpoint
from stm_experiments.models.networks.destripe import Estimate
from stm_experiments.restoration.denoise import DEFAULT, denoise
from stm_experiments.restoration.mixture.local_risk import LocalRisk, MixtureRules
from stm_experiments.restoration.stripe_repair import StripeRepair, StripeRules
from stm_experiments.restoration.waves.plane_waves import strongest_wave
from stm_experiments.restoration.waves.wave_report import ReportRules, removed_wave
from stm_experiments.simulator import (
    CUT_LATTICES,
    LATTICES,
    NOISES,
    PRESETS,
    Noise,
    Topographs,
    simulate,
)

Rules = TypeVar("Rules", StripeRules, ReportRules, MixtureRules)
Scores = dict[str, float]  # measure -> value, of one image
AS_IT_IS = "as it is"
STRIPE_SIZE, WAVE_SIZE, MIXED_SIZE = 129, 160, 128  # px
KEPT = 0.5  # share of a wave below which its removal is to be reported
MATERIALS = ("fcc", "zrte3", "tas2", "bcc", "hex2", "srtio3")  # half of them never trained on
OFF: dict[type, dict[str, Any]] = {
    StripeRules: {"rough": 1.0, "reach": 0, "sure": math.inf, "fewest": 0},
    ReportRules: {"share": 0.0, "rms": 0.0, "periods": 0.0, "prominence": 0.0},
    MixtureRules: {"prior": 0.0, "least_gain": 0.0, "caution": 0.0, "least_advantage": 0.0},
}


def variants(rules: Rules) -> dict[str, Rules]:
    """Return the rules with one constant switched off, halved or doubled, by name."""
    result = {AS_IT_IS: rules}
    for field in fields(rules):
        value = getattr(rules, field.name)
        if field.name in OFF[type(rules)]:
            off = OFF[type(rules)][field.name]
            result[f"{field.name} off"] = replace(rules, **{field.name: off})
        if isinstance(value, tuple) or field.name in ("piece", "margin"):  # of large scans
            continue
        for factor in (0.5, 2):
            changed = factor * value
            if field.name == "along":
                changed = 7 if factor < 1 else 31  # an odd number
            elif isinstance(value, int):
                changed = max(1, round(changed))
            label = f"{field.name} {value} -> {changed}"
            result[label] = replace(rules, **{field.name: changed})
    return result


class FirstLook(StripeRepair):
    """The stripe network without the second look."""

    def confirmed(self, x: Tensor, odds: Tensor) -> Tensor:
        """Return the marked pixels, [B, 1, H, W] bool."""
        return odds > 0


class OnlyTheNetwork(StripeRepair):
    """The rules without a comparison of the network's estimate with the classical ones."""

    def best_estimate(self, x: Tensor, damaged: Tensor, marked: Tensor) -> Estimate:
        """Return the network's estimate."""
        return self.net.refine(x, damaged, marked)


class RememberedDestripe(Destripe):
    """The stripe network that computes nothing twice on one image."""

    def __init__(self, net: Destripe) -> None:
        nn.Module.__init__(self)
        self.finder, self.repairer = net.finder, net.repairer
        self.memory: dict[Any, Any] = {}

    def logits(self, x: Tensor) -> Tensor:
        """As ``Destripe.logits``."""
        odds: Tensor = self._remembered(("logits",), lambda: Destripe.logits(self, x))
        return odds

    def refine(self, x: Tensor, damaged: Tensor, kind: Tensor | None = None) -> Estimate:
        """As ``Destripe.refine``."""
        key = ("refine", digest(damaged), None if kind is None else digest(kind))
        estimate: Estimate = self._remembered(key, lambda: Destripe.refine(self, x, damaged, kind))
        return estimate

    def _remembered(self, key: Any, work: Callable[[], Any]) -> Any:
        if key not in self.memory:
            self.memory[key] = work()
        return self.memory[key]


def digest(values: Tensor) -> str:
    """Return a hash of a tensor's values."""
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()


def striped_images(count: int) -> Iterator[tuple[str, StripedImage]]:
    """Yield striped images with the name of their kind; the stripes' widths take turns."""
    for number in range(count):
        for place, lattice in enumerate(MATERIALS):
            width = WIDTHS[(number + place) % len(WIDTHS)]
            for name, kind in KINDS.items():
                index = 100 + number  # others than those of benchmarks.destripe
                yield name, striped_image(lattice, index, kind.noise(width), STRIPE_SIZE)
            severe = SEVERITIES["severe (64 px)"]
            yield "severe", striped_image(lattice, index, severe, STRIPE_SIZE)


def stripe_scores(count: int) -> dict[str, list[Scores]]:
    """Score every variant of the stripe rules on every image."""
    shipped = checkpoint.load("destripe")
    assert isinstance(shipped, Destripe)
    choices: dict[str, Callable[[Destripe], StripeRepair]] = {
        name: lambda net, rules=rules: StripeRepair(net, rules)  # type: ignore[misc]
        for name, rules in variants(StripeRules()).items()
    }
    choices |= {"second look off": FirstLook, "best estimate off": OnlyTheNetwork}
    scores: dict[str, list[Scores]] = {name: [] for name in choices}
    for kind, image in track([*striped_images(count)], "stripes"):
        net = RememberedDestripe(shipped)
        for name, choice in choices.items():
            output = choice(net)(image.noisy[None, None])[0, 0]
            changed = (output != image.noisy).float()
            values = {f"changed {kind}": 100 * float(changed[~image.stripes].mean())}
            if kind == "severe":
                values["repaired severe"] = 100 * float(changed[image.stripes].mean())
            else:
                values[f"PSNR {kind}"] = psnr_within(output, image.clean)
            scores[name].append(values)
    return scores


MIXED = (
    ("lattice", "kagome", "white_0.03"), ("lattice", "hexagonal_5_8px", "white_0.3"),
    ("features", "holes", "white_0.1"), ("features", "half_steps", "white_0.03"),
    ("features", "gaussian_adsorbates", "poisson_100"), ("colour", "oblique", "pink"),
    ("colour", "islands", "rows"), ("alone", "empty", "white_0.1"), ("alone", "empty", "white_0.6"),
)  # fmt: skip


def mixture_scores(count: int) -> dict[str, list[Scores]]:
    """Score every variant of the mixture's rules on every image."""
    shipped = checkpoint.load(DEFAULT)
    choices = variants(MixtureRules())
    scores: dict[str, list[Scores]] = {name: [] for name in choices}
    work = [(kind, CaseName(surface, noise, "ablation", number, (MIXED_SIZE, MIXED_SIZE)))
            for number in range(count) for kind, surface, noise in MIXED]  # fmt: skip
    for kind, name in track(work, "mixture"):
        case = build_case(name)
        pixels, affine = normalise_plane(case.noisy)
        for variant, rules in choices.items():
            output = LocalRisk(shipped, rules).mixture(torch.from_numpy(pixels)).output
            heights = denormalise(output.double().numpy(), affine)
            if kind == "alone":
                invented = invention_scores(case, heights)
                values = {"left": 100 * invented["left"], "maxima": invented["maxima"]}
            else:
                values = {f"gain {kind}": gain(case, heights)}
            scores[variant].append(values)
    return scores


def wave_images(count: int) -> Iterator[tuple[str, Topographs]]:
    """Yield simulations of one image each, with the name of what their wave is."""
    realistic = NOISES["realistic"]
    slow = replace(realistic, scan=replace(realistic.scan, hum=0.0, striation=0.0))
    settings: list[tuple[str, str, Noise]] = [
        *(("striation", lattice, NOISES["paper"]) for lattice in CUT_LATTICES),
        *(("sample", material, WHITE) for material in waves.MATERIALS),
        *(("both", material, NOISES["paper"]) for material in waves.MATERIALS),
        *(("none", lattice, WHITE) for lattice in CUT_LATTICES),
        *(("clean", lattice, NOISES["none"]) for lattice in CUT_LATTICES),
        *(("slow", lattice, slow) for lattice in CUT_LATTICES),
    ]
    for number in range(count):
        for kind, lattice, noise in settings:
            seed = seed_of("ablation", lattice, number)
            yield (
                kind,
                simulate([LATTICES[lattice]], [seed], noise, PRESETS["physical"], WAVE_SIZE),
            )


def report_scores(count: int, model: str) -> dict[str, list[Scores]]:
    """Score every variant of the rules of the report on every image.

    Args:
        count: Images of each lattice and kind.
        model: Name of the denoiser.
    """
    reports = variants(ReportRules())
    scores: dict[str, list[Scores]] = {name: [] for name in reports}
    net = checkpoint.load(model)
    for kind, topographs in track([*wave_images(count)], model):
        noisy = topographs.noisy[0, 0]
        result = denoise(noisy.numpy(), net)
        vectors = [*topographs.truth.get("wave_vector", torch.zeros(1, 0, 2))[0].numpy()]
        if kind in ("striation", "both"):
            striation = strongest_wave(noisy - topographs.clean[0, 0], noisy).kappa / (2 * math.pi)
            vectors.append(striation.numpy())
        kept = waves.kept_shares(result.data, noisy.double().numpy(), vectors)
        expected = min(kept, default=1.0) < KEPT
        before, after = (
            torch.from_numpy(x / result.affine.scale) for x in (result.before.data, result.data)
        )
        wave = removed_wave(before, after)
        for name, report in reports.items():
            right = 100.0 * (report.report(wave) == expected)
            scores[name].append({f"right {kind}": right})
    return scores


def difference_table(title: str, scores: Mapping[str, list[Scores]]) -> Table:
    """Return the differences from the rules as they are, variants down and measures across."""
    reference = scores[AS_IT_IS]
    measures = sorted({measure for row in reference for measure in row})
    table = Table("", *measures, title=title, box=box.SIMPLE_HEAD)
    for name, rows in scores.items():
        cells = []
        for measure in measures:
            pairs = [
                (row[measure], base[measure])
                for row, base in zip(rows, reference, strict=True)
                if measure in row
            ]
            if name == AS_IT_IS:
                mean, half = mean_and_interval([value for value, _ in pairs])
                cells.append(f"{mean:.4g} (n = {len(pairs)})")
                continue
            mean, half = mean_and_interval([value - base for value, base in pairs])
            sure = "*" if half is not None and abs(mean) > half else ""
            cells.append("0" if not mean and not half else f"{mean:+.3g} ± {half or 0:.2g}{sure}")
        table.add_row(name, *cells)
    return table


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=("stripes", "mixture", "report"), help="one set of rules")
    parser.add_argument("--images", type=int, default=5, help="of each lattice and kind")
    parser.add_argument("--models", nargs="+", default=[DEFAULT], help="denoisers of the report")
    options = parser.parse_args()
    if options.images < 1:
        print("ablation: --images is at least 1", file=sys.stderr)
        sys.exit(1)
    console = Console(width=220)
    with torch.inference_mode():
        if options.only in (None, "stripes"):
            console.print(str(asdict(StripeRules())), highlight=False)
            console.print(difference_table("stripes", stripe_scores(options.images)))
        if options.only in (None, "mixture"):
            console.print(str(asdict(MixtureRules())), highlight=False)
            console.print(difference_table("mixture", mixture_scores(options.images)))
        if options.only in (None, "report"):
            for model in options.models:
                scores = report_scores(options.images, model)
                console.print(difference_table(f"wave report, {model}", scores))


if __name__ == "__main__":
    main()
