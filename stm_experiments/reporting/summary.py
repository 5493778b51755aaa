"""The tables of a report, from the runs of a sweep."""

import math
from collections.abc import Callable, Sequence

from stm_experiments.reporting import paper
from stm_experiments.reporting.result_table import Cell, Table, embolden, number
from stm_experiments.reporting.runs import Run, by_seed, job_number

NO_RUN = "no finished run"


def mean_and_spread(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean, and standard deviation (n - 1) of two or more values."""
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def average(runs: Sequence[Run], name: str, network: str = "") -> tuple[float | None, float | None]:
    """A measure over seeds: the mean, and half the mean 95 % interval by image."""
    scores = [score for run in runs if (score := run.score(name, network))]
    halves = [score.half for score in scores if score.half is not None]
    return mean_and_spread([s.mean for s in scores])[0], mean_and_spread(halves)[0]


def metric(runs: Sequence[Run], key: str) -> float | None:
    """A number of metrics.json, averaged over seeds."""
    return mean_and_spread([run.metrics[key] for run in runs if key in run.metrics])[0]


def in_order(lattices: set[str]) -> list[str]:
    """The paper's lattices first, in its order; then the others."""
    known = [name for name in paper.LATTICES if name in lattices]
    return [*known, *sorted(lattices - set(known))]


def runs_of(runs: Sequence[Run], lattice: str, configuration: str) -> list[list[Run]]:
    """Finished runs of one cell of the paper's table; more than one list if not only seeds differ.

    Those of the paper's own network come first.
    """
    cell = [
        run
        for run in runs
        if run.finished and run.lattice == lattice and run.configuration == configuration
    ]
    return sorted(by_seed(cell), key=lambda group: group[0].network != "CAE-A")


def table_2(runs: Sequence[Run]) -> Table:
    """The paper's Table 2 beside its own statistic and our means over all held-out patches."""
    groups = (
        ("", 2),
        ("paper, three training patches", 2),
        ("paper", 1),
        ("ours, three training patches: mean (5\N{EN DASH}95 %)", 2),
        ("ours, all held-out patches ± 95 % by image", 2),
        ("ours", 2),
    )
    columns = ("lattice", "configuration", "MSE", "SSIM", "val. loss")
    table = Table(
        "table2", (*columns, "MSE", "SSIM", "MSE", "SSIM", "val. loss", "runs"), [], groups
    )
    for lattice in in_order(set(paper.LATTICES)):
        rows = []
        for name, settings in paper.CONFIGURATIONS.items():
            for place, group in enumerate(runs_of(runs, lattice, name) or [[]]):
                title = settings.title
                if place:
                    title += f" ({group[0].network}: {group[0].label})"
                rows.append([Cell(lattice), Cell(title), *_published(lattice, name), *_ours(group)])
        for column in (2, 4, 5, 7, 9):
            embolden(rows, column, smallest=True)
        for column in (3, 6, 8):
            embolden(rows, column, smallest=False)
        table.rows.extend(rows)
    return table


def _published(lattice: str, configuration: str) -> list[Cell]:
    published = paper.PUBLISHED.get((lattice, configuration))
    if published is None:
        return [number(None, note="not in the paper: in its code the rate never fell")] * 3
    return [number(value) for value in published[:3]]


def _ours(group: Sequence[Run]) -> list[Cell]:
    cells = [three_patches(group, name) for name in ("mse", "ssim")]
    for name in ("mse_noisy", "ssim_paper"):
        mean, half = average(group, name)
        cells.append(number(mean, 4, half, NO_RUN))
    cells.append(number(metric(group, "val/loss"), note=NO_RUN))
    return [*cells, Cell(str(len(group)), len(group))]


def three_patches(group: Sequence[Run], name: str) -> Cell:
    """The paper's statistic of our runs, averaged over seeds, with the range of its draws."""
    known = [run.three_patches[name] for run in group if name in run.three_patches]
    if not known:
        return number(None, note="the run left no three_patches.json" if group else NO_RUN)
    mean, low, high = (
        math.fsum(each[key] for each in known) / len(known) for key in ("mean", "p05", "p95")
    )
    if not math.isfinite(mean):
        return number(None, note="three_patches.json holds no number")
    return Cell(f"{mean:.4f} ({low:.4f}\N{EN DASH}{high:.4f})", mean, low=low, high=high)


def baselines(runs: Sequence[Run]) -> Table:
    """Our best network per lattice, the linear baselines, the untouched input and the floor."""
    measures = ("mse_noisy", "mse_clean", "psnr_clean", "ssim_noisy", "ssim_clean")
    headings = (
        "lattice", "what", "MSE against noisy", "MSE against clean", "PSNR against clean, dB",
        "SSIM against noisy", "SSIM against clean",
    )  # fmt: skip
    table = Table("baselines", headings, [])
    finished = [run for run in runs if run.finished]
    for lattice in in_order({run.lattice for run in finished}):
        here = [run for run in finished if run.lattice == lattice]
        rows = []
        for network in dict.fromkeys(run.network for run in here):
            best = min(
                (run for run in here if run.network == network),
                key=lambda run: score.mean if (score := run.score("mse_noisy")) else math.inf,
            )
            what = f"{network}, best of {sum(r.network == network for r in here)}: {best.label}"
            rows.append([Cell(lattice), Cell(what), *_scores(best, "", measures)])
        reference = next((run for run in here if run.configuration == "baseline"), here[0])
        names = [key.split("/")[1] for key in reference.metrics if key.startswith("baselines/")]
        for baseline in dict.fromkeys(names):
            rows.append([Cell(lattice), Cell(baseline), *_scores(reference, baseline, measures)])
        # Against the noisy image the noisy input itself is perfect and does not compete.
        compete = [row for row in rows if row[1].text != "noisy input"]
        for column, name in enumerate(measures, 2):
            competitors = rows if name.endswith("clean") else compete
            embolden(competitors, column, smallest=name.startswith("mse"))
        floor = number(reference.metrics.get("floor/mse_clean"), 5)
        blank = number(None)
        rows.append([Cell(lattice), Cell("floor (8 parameters)"), blank, floor, *[blank] * 3])
        table.rows.extend(rows)
    return table


def _scores(run: Run, network: str, names: Sequence[str]) -> list[Cell]:
    digits = {"mse": 5, "psn": 2, "ssi": 4}
    values = [(name, run.score(name, network)) for name in names]
    return [
        number(value.mean, digits[name[:3]], value.half) if value else number(None, note="unknown")
        for name, value in values
    ]


def times(runs: Sequence[Run]) -> Table:
    """Training time and speed of each run beside the paper's T4."""
    headings = (
        "run", "lattice", "configuration", "network", "parameters", "device", "epochs",
        "our training, s",
        "our patches/s", "paper's training (T4), s", "paper's patches/s", "our speed / theirs",
    )  # fmt: skip
    table = Table("times", headings, [])
    for run in runs:
        if not run.finished:
            continue
        name = run.configuration or ""
        published = paper.PUBLISHED.get((run.lattice, name))
        speed, theirs = (
            run.about.get("patches_per_second"),
            paper.published_speed(run.lattice, name),
        )
        ratio = speed / theirs if speed and theirs else None
        table.rows.append(
            [
                Cell(str(job_number(run)), job_number(run)),
                Cell(run.lattice),
                Cell(run.label),
                Cell(run.network),
                number(run.about.get("parameters"), 0, note="not written by this version"),
                Cell(str(run.about.get("device", "?"))),
                number(run.epochs, 0),
                number(run.about.get("train_seconds"), 1),
                number(speed, 0),
                number(published and published.seconds, 1, note="not published"),
                number(theirs, 0, note="not published"),
                number(ratio, 3, note="nothing to compare with"),
            ]
        )
    return table


def all_runs(runs: Sequence[Run], link: Callable[[Run], str]) -> Table:
    """One row per run folder, failed ones too.

    Args:
        runs: The runs.
        link: Their folders as seen from the report.
    """
    headings = (
        "run", "status", "lattice", "configuration", "network", "seed", "scale", "MSE noisy",
        "MSE clean", "SSIM noisy", "SSIM paper", "val. loss", "train loss", "PCA-10 MSE noisy",
        "seconds",
    )  # fmt: skip
    table = Table("runs", headings, [])
    for run in runs:
        names = ("mse_noisy", "mse_clean", "ssim_noisy", "ssim_paper")
        found = [(name, run.score(name)) for name in names]
        scores = [
            number(s.mean, 5 if "mse" in name else 4) if s else number(None) for name, s in found
        ]
        if (own := found[0][1]) is not None:
            scores[0] = number(own.mean, 5, own.half)
        scale = run.config.get("scale")
        status = "finished" if run.finished else run.status.partition(":")[0]
        table.rows.append(
            [
                Cell(run.folder.name, job_number(run), link=link(run)),
                Cell(status, note="" if run.finished else run.status),
                Cell(run.lattice),
                Cell(run.label),
                Cell(run.network),
                number(run.config.get("seed"), 0),
                Cell(f"{scale:g}", scale) if scale is not None else number(None),
                *scores,
                number(run.metrics.get("val/loss"), 5),
                number(run.metrics.get("train/loss"), 5),
                number(s.mean, 5) if (s := run.score("mse_noisy", "PCA-10")) else number(None),
                number(run.about.get("seconds"), 1),
            ]
        )
    return table


def seeds(runs: Sequence[Run]) -> Table:
    """Runs that differ only in their seed: means and standard deviations."""
    measures = ("mse_noisy", "mse_clean", "ssim_noisy", "ssim_paper")
    headings = ("lattice", "configuration", "network", "seeds")
    table = Table("seeds", (*headings, *(m.replace("_", " ") for m in measures), "val. loss"), [])
    for group in by_seed([run for run in runs if run.finished]):
        cells = [Cell(group[0].lattice), Cell(group[0].label), Cell(group[0].network)]
        cells.append(Cell(str(len(group)), len(group)))
        for name in measures:
            scores = [score.mean for run in group if (score := run.score(name))]
            mean, spread = mean_and_spread(scores)
            cells.append(number(mean, 5 if "mse" in name else 4, spread))
        losses = [run.metrics["val/loss"] for run in group if "val/loss" in run.metrics]
        mean, spread = mean_and_spread(losses)
        table.rows.append([*cells, number(mean, 5, spread)])
    return table


def missing(runs: Sequence[Run]) -> list[str]:
    """Cells of the paper's experiment without any run, if the runs are of that experiment.

    Only lattices and configurations that occur at all count as wanted.
    """
    known = [run for run in runs if run.configuration and run.lattice in paper.LATTICES]
    lattices, names = {r.lattice for r in known}, {r.configuration for r in known}
    tried = {(run.lattice, run.configuration) for run in known}
    return [
        f"{name} on {lattice}"
        for lattice in in_order(lattices)
        for name in paper.CONFIGURATIONS
        if name in names and (lattice, name) not in tried
    ]


def ranking(runs: Sequence[Run]) -> list[str]:
    """How little the published ranking means: one sentence per lattice, from numbers alone."""
    sentences = []
    for lattice in in_order(set(paper.LATTICES)):
        published = [row.mse for (name, _), row in paper.PUBLISHED.items() if name == lattice]
        text = (
            f"{lattice}: the paper's {len(published)} MSEs span {min(published):.4f} to "
            f"{max(published):.4f}"
        )
        drawn = [
            (group[0].label, run.three_patches["mse"])
            for name in paper.CONFIGURATIONS
            for group in runs_of(runs, lattice, name)[:1]
            for run in group[:1]
            if "mse" in run.three_patches
        ]
        if not drawn:
            sentences.append(f"{text}; no run of ours tells how far three patches scatter.")
            continue
        label, spread = drawn[0]
        inside = sum(spread["p05"] <= mse <= spread["p95"] for mse in published)
        sentences.append(
            f"{text}; other draws of three patches give one and the same model of ours ({label}) "
            f"anything from {spread['p05']:.4f} to {spread['p95']:.4f} in 90 % of draws, a range "
            f"{(spread['p95'] - spread['p05']) / (max(published) - min(published)):.0%} as wide "
            f"as the whole published column, holding {inside} of its {len(published)} values."
        )
    return sentences
