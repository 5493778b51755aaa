"""The benchmark of stripe removers: decibels, changes elsewhere, waves, severe damage.

    python -m stm_experiments.benchmarks.destripe
    python -m stm_experiments.benchmarks.destripe --models outputs/.../checkpoints/best.ckpt

Nothing is trained here. The simulated images have seeds of their own, which no training uses, and
lattices on which the first model was trained are listed apart from those that it never saw. The
clean images span [-1, 1]; decibels are 10 log10(4 / MSE), averaged over images. White noise on the
whole image limits what any stripe remover can reach there: so the pixels in the stripes are also
scored separately, and each method once more with the shipped denoiser after it. Everything is
printed, and written as CSV and pictures to a new folder.
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import track

from stm_experiments.benchmarks.command import Writer, run_benchmark
from stm_experiments.benchmarks.destripe.figures import examples_figure, widths_figure
from stm_experiments.benchmarks.destripe.images import (
    AFTER,
    KINDS,
    SEVERITIES,
    WAVE_LATTICES,
    WIDTHS,
    StripedImage,
    StripeKind,
    StripeRemover,
    psnr_within,
    satellite_fidelity,
    stripe_removers,
    striped_image,
)
from stm_experiments.benchmarks.destripe.unstriped import unstriped_table
from stm_experiments.core.intervals import Interval, mean_and_interval
from stm_experiments.figures.canvas import save_figure
from stm_experiments.metrics.whole_image import change_outside
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Repairing
from stm_experiments.reporting.result_table import Cell, ResultTable, embolden, number
from stm_experiments.restoration.whole_network import whole_image_network
from stm_experiments.simulator import LATTICES

QUICK = ("fcc", "zrte3", "tas2", "bcc", "hex2", "srtio3")  # half of them never trained on
Groups = Mapping[str, Sequence[str]]  # of lattices
Curves = dict[tuple[str, str], list[Interval]]  # (group, method) -> decibels at each width


class WidthScores(NamedTuple):
    """Decibels against the width of the stripes.

    Attributes:
        everywhere: In the whole image.
        inside: In the stripes.
    """

    everywhere: Curves
    inside: Curves


def score_widths(
    kind: StripeKind, methods: Mapping[str, StripeRemover], groups: Groups, count: int, size: int
) -> WidthScores:
    """Score every method at every width of the stripes.

    Args:
        kind: Of the images.
        methods: By name.
        groups: Lattices by the name of their group.
        count: Images of each lattice.
        size: Of the images, px.
    """
    scores = WidthScores({}, {})
    for width in track(WIDTHS, kind.title):
        for group, lattices in groups.items():
            images = [
                striped_image(lattice, index, kind.noise(width), size)
                for lattice in lattices
                for index in range(count)
            ]
            for name, method in methods.items():
                outputs = [(method(image.noisy), image) for image in images]
                whole = [psnr_within(output, image.clean) for output, image in outputs]
                stripes = [psnr_within(out, image.clean, image.stripes) for out, image in outputs]
                for curves, values in zip(scores, (whole, stripes), strict=True):
                    curves.setdefault((group, name), []).append(mean_and_interval(values))
    return scores


def width_table(name: str, scores: WidthScores) -> ResultTable:
    """Tabulate both kinds of decibels, methods down and widths across."""
    places = ("", " in stripes")
    columns = ("lattices", "", *(f"{width} px{place}" for place in places for width in WIDTHS))
    table = ResultTable(name, columns, [])
    for group in dict.fromkeys(group for group, _ in scores.everywhere):
        for denoised in (False, True):
            block = []
            for (key, method), values in scores.everywhere.items():
                if key == group and method.endswith(AFTER) == denoised:
                    cells = [
                        # The CSV has the intervals too.
                        number(mean, 1, half)._replace(text=number(mean, 1).text)
                        for mean, half in [*values, *scores.inside[key, method]]
                    ]
                    block.append([Cell(group), Cell(method), *cells])
            for column in range(2, len(columns) if block else 0):
                embolden(block, column, smallest=False)
            table.rows.extend(block)
    return table


def wave_table(methods: Mapping[str, StripeRemover], count: int, size: int) -> ResultTable:
    """Tabulate what is left of charge-density waves, and the changes outside of the stripes."""
    headings = (
        "",
        *(f"{lattice} wave" for lattice in WAVE_LATTICES),
        "largest change outside",
        "changed px",
    )
    table = ResultTable("waves", headings, [])
    noise = KINDS["lost"].noise(4)
    images = [
        striped_image(lattice, index, noise, size)
        for lattice in WAVE_LATTICES
        for index in range(count)
    ]
    for name, method in methods.items():
        outputs = [(method(image.noisy), image) for image in images]
        row = [Cell(name)]
        for lattice in WAVE_LATTICES:
            mean, half = mean_and_interval(
                [
                    satellite_fidelity(out, image)
                    for out, image in outputs
                    if image.lattice == lattice
                ]
            )
            row.append(number(mean, 3, half))
        largest = max(change_outside(out, image.noisy, image.stripes) for out, image in outputs)
        changed = [
            float(((output != image.noisy) & ~image.stripes).float().mean())
            for output, image in outputs
        ]
        table.rows.append([*row, number(largest, 3), number(sum(changed) / len(changed), 5)])
    return table


def severity_table(net: Repairing, groups: Groups, count: int, size: int) -> ResultTable:
    """Tabulate how a network repairs minor, moderate and severe damage."""
    headings = (
        "damage", "lattices", "found", "repaired", "left", "rms error, repaired",
        "rms uncertainty", "rms error, left", "rms uncertainty, left", "left: changed px",
    )  # fmt: skip
    table = ResultTable("severity", headings, [])
    for severity, noise in SEVERITIES.items():
        for group, lattices in groups.items():
            rows = [
                _repair_scores(net, striped_image(lattice, index, noise, size))
                for lattice in lattices
                for index in range(count)
            ]
            means = [mean_and_interval(column).mean for column in zip(*rows, strict=True)]
            table.rows.append([Cell(severity), Cell(group), *(number(x, 3) for x in means)])
    return table


def _repair_scores(net: Repairing, image: StripedImage) -> list[float]:
    """Return the columns of ``severity_table`` for one image."""
    repair = net.repair(image.noisy[None, None])
    repaired, left = repair.repaired[0, 0], repair.unrepaired[0, 0]
    error, deviation = repair.output[0, 0] - image.clean, repair.deviation[0, 0]

    def rms(values: torch.Tensor) -> float:
        return float(values.square().mean().sqrt())

    shares = [
        float(part[image.stripes].float().mean()) for part in (repaired | left, repaired, left)
    ]
    return [
        *shares,
        *(rms(values[repaired & image.stripes]) for values in (error, deviation)),
        *(rms(values[left & image.stripes]) for values in (error, deviation)),
        float((repair.output[0, 0] != image.noisy)[left].float().sum()),
    ]


def run(options: argparse.Namespace, folder: Path, console: Console) -> None:
    """Score, print and write.

    Raises:
        ValueError: If an option names something that does not exist.
    """
    unknown = set(options.lattices) - set(LATTICES)
    if unknown:
        raise ValueError(f"lattices {', '.join(sorted(unknown))} are not known")
    if options.images < 1 or options.size < 64:
        raise ValueError("--images is at least 1, --size at least 64 px")
    nets = {path: checkpoint.load(path) for path in options.models}
    card = nets[options.models[0]].card if options.models else None
    trained = set(card.lattice) if card else set()
    groups = {
        "trained on": [lattice for lattice in options.lattices if lattice in trained],
        "never seen": [lattice for lattice in options.lattices if lattice not in trained],
    }
    groups = {name: lattices for name, lattices in groups.items() if lattices}
    alone, denoised = stripe_removers(nets), stripe_removers(nets, denoised=True)
    write = Writer(folder, console)
    names = "; ".join(f"{group}: {', '.join(lattices)}" for group, lattices in groups.items())
    console.print(f"{names}; {options.images} image(s) of each, {options.size} px", highlight=False)
    with torch.inference_mode():
        for name, kind in KINDS.items():
            methods = {**alone, **denoised} if kind.white and not options.quick else alone
            scores = score_widths(kind, methods, groups, options.images, options.size)
            write(width_table(name, scores), f"PSNR [dB]: {kind.title}")
            figure = widths_figure(kind.title, scores.everywhere, scores.inside)
            save_figure(figure, folder / f"{name}.png")
        write(
            wave_table(alone, options.images, options.size),
            "Charge-density waves",
            "Amplitude at the wave's peaks over the clean image's, stripes 4 px wide, white noise; "
            "change where there is no stripe, on [-1, 1], and share of such pixels.",
        )
        write(
            unstriped_table(nets, options.images, options.size),
            "Scans without stripes",
            "Pixels that denoise changes, per cent: all of them are changed wrongly.",
        )
        for path, net in nets.items():
            whole = whole_image_network(net)
            if isinstance(whole, Repairing):
                table = severity_table(whole, groups, options.images, options.size)
                write(table, f"Minor, moderate and severe damage: {path}")
        examples = {
            name: striped_image("zrte3", 0, noise, options.size)
            for name, noise in SEVERITIES.items()
        }
        save_figure(examples_figure(examples, alone), folder / "examples.png")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="*", default=["destripe"], help="checkpoints, or shipped")
    parser.add_argument("--lattices", nargs="+", default=QUICK, help="of the simulation")
    parser.add_argument("--images", type=int, default=1, help="per lattice and kind")
    parser.add_argument("--size", type=int, default=161, help="of the images, px")
    parser.add_argument("--quick", action="store_true", help="no method with the denoiser after it")
    parser.add_argument("--out", help="folder to be made; default: outputs/destripe_<time>")
    options = parser.parse_args()
    run_benchmark("destripe", options.out, partial(run, options), width=180)


if __name__ == "__main__":
    main()
