"""The content of the report page: what is shown of a set of runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from plotly.offline import get_plotlyjs

from stm_experiments.figures.canvas import save_figure
from stm_experiments.figures.loss_panels import loss_panels
from stm_experiments.latent.codes_csv import COLUMNS, read_latent_csv
from stm_experiments.reporting import overview, paper, summary
from stm_experiments.reporting.averages import sort_lattices
from stm_experiments.reporting.claims import HELD, NOT_HELD, OPEN, paper_claims
from stm_experiments.reporting.latent_cloud import RunCodes, cloud_html, latent_cloud
from stm_experiments.reporting.page import Page, Picture
from stm_experiments.reporting.runs import Curve, Run

HEADINGS = {
    "table-2": "Table 2: errors",
    "curves": "Figure 11: loss curves",
    "pictures": "Figures 8 to 10, 12, 13: networks, patches, codes",
    "latent": "The latent space in three dimensions",
    "sites": "Sites and defects",
    "baselines": "Baselines and floors",
    "times": "Training time",
    "runs": "All runs",
    "claims": "The paper's claims",
}
PICTURES = {
    "network": "The networks (the paper's Figures 8 and 9)",
    "patches": "Images and the patches cut from them (Figure 10)",
    "latent": "Latent space, first principal components (Figure 12)",
    "confusion": "What the probe takes each lattice for, from one patch and from all of an image",
    "reconstructions": "Held-out patches: input, first and final reconstruction (Figure 13)",
    "curves": "Loss of each run",
}


class Gallery(NamedTuple):
    """The pictures of one kind: those that are shown, and those that unfold."""

    heading: str
    first: list[Picture]
    others: list[Picture]


def write_report(runs: Sequence[Run], source: Path, folder: Path) -> Path:
    """Write index.html, its tables as CSV, Markdown and LaTeX, and figure11.png.

    Args:
        runs: What to report.
        source: The sweep or run folder, for the title.
        folder: Where to write; made if absent.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = Page(folder)
    of_paper = any(run.configuration for run in runs)
    tables = {
        "sites_table": summary.sites_table(runs),
        "codes_table": summary.codes_table(runs),
        "baselines_table": summary.baselines_table(runs),
        "times_table": summary.times_table(runs),
        "runs_table": summary.runs_table(runs, lambda run: page.link(run.folder)),
        "seeds_table": summary.seeds_table(runs),
    }
    content = {
        "title": f"Autoencoders on STM images: {source.absolute().name}",
        "of_paper": of_paper,
        **_header(runs),
        "curves": _draw_curves(page, runs),
        "galleries": _collect_pictures(page, runs),
        **_draw_cloud(runs),
        **tables,
        "several_seeds": any(row[3].value != 1 for row in tables["seeds_table"].rows),
    }
    if of_paper:
        content |= _compare_with_paper(runs)
    content["troubles"] = [*overview.list_troubles(runs), *page.problems]
    absent = set() if of_paper else {"table-2", "claims"}
    absent |= set() if tables["sites_table"].rows else {"sites"}
    content["headings"] = {a: heading for a, heading in HEADINGS.items() if a not in absent}
    return page.write(content)


def _header(runs: Sequence[Run]) -> Mapping[str, object]:
    """Return what stands above the first section."""
    return {
        "n_runs": len(runs),
        "n_miniatures": sum(bool(run.miniature) for run in runs),
        "miniatures": sorted({run.miniature for run in runs if run.miniature}),
        "facts": overview.collect_facts(runs),
    }


def _compare_with_paper(runs: Sequence[Run]) -> Mapping[str, object]:
    """Return the paper's Table 2 and claims, with our numbers."""
    claims = paper_claims(runs)
    verdicts = [claim.verdict for claim in claims]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in (HELD, NOT_HELD, OPEN)]
    return {
        "errors_table": summary.errors_table(runs),
        "ranking": summary.rank_published(runs),
        "claims": claims,
        "verdict_counts": ", ".join(counts),
    }


def _draw_curves(page: Page, runs: Sequence[Run]) -> Picture | None:
    """Draw the loss curves of all runs, the first seed of each; None if there are none."""
    names = [*paper.CONFIGURATIONS]
    curves: dict[str, dict[str, dict[str, Curve]]] = {}
    for lattice in sort_lattices({run.lattice for run in runs if run.curves}):
        on_lattice = [run for run in runs if run.lattice == lattice and run.curves]
        several = len({run.network for run in on_lattice}) > 1
        labelled: dict[str, dict[str, Curve]] = {}
        for run in on_lattice:
            label = f"{run.network} {run.label}" if several else run.label
            labelled.setdefault(label, run.curves)
        order = sorted(labelled, key=lambda label: names.index(label) if label in names else 99)
        curves[lattice] = {label: labelled[label] for label in order}
    if not curves:
        return None
    path = page.folder / "figure11.png"
    caption = "The loss that each run minimises; a marker ends each curve."
    save_figure(loss_panels(curves, "Training and validation loss by lattice", caption), path)
    return page.picture(path, "Loss curves; click for the full picture", 1400)


def _collect_pictures(page: Page, runs: Sequence[Run]) -> list[Gallery]:
    """Return the pictures that the runs drew, by kind."""
    kinds: dict[str, list[tuple[Run, Path]]] = {}
    for run in runs:
        for path in sorted(run.folder.glob("figures/*.png")):
            kinds.setdefault(path.stem, []).append((run, path))
    order = [*(kind for kind in PICTURES if kind in kinds), *sorted(set(kinds) - set(PICTURES))]
    return [_gallery(page, kind, kinds[kind]) for kind in order]


def _gallery(page: Page, kind: str, pictures: Sequence[tuple[Run, Path]]) -> Gallery:
    """Choose the pictures of one kind that are shown: one per network or per lattice."""
    first: dict[str, tuple[Run, Path]] = {}
    if kind != "curves":  # Figure 11 has them already
        for run, path in pictures:
            first.setdefault(run.network if kind == "network" else run.lattice, (run, path))
    others = [pair for pair in pictures if pair not in first.values()]
    if kind in ("network", "patches"):  # more of the same network or images tell nothing new
        others = []
    return Gallery(
        PICTURES.get(kind, kind.replace("_", " ")),
        [page.picture(path, _name(run)) for run, path in first.values()],
        [page.picture(path, _name(run)) for run, path in others],
    )


def _name(run: Run) -> str:
    """Return the name of a run on the page."""
    return f"{run.lattice}, {run.network}, {run.label}"


def _draw_cloud(runs: Sequence[Run]) -> Mapping[str, object]:
    """Return the cloud of latent codes as HTML, and what prevented runs from being in it."""
    codes, problems = [], []
    for run in runs:
        path = run.folder / "latent.csv"
        if path.is_file():
            try:
                columns = pd.DataFrame(read_latent_csv(path)).filter(items=COLUMNS)
            except Exception as error:  # damaged files make readers raise anything
                problems.append(f"{run.folder.name}: {error}")
            else:
                codes.append(RunCodes(f"{_name(run)}, seed {run.seed}", columns))
    library = f"<script>{get_plotlyjs()}</script>\n"
    cloud = library + cloud_html(latent_cloud(codes)) if codes else ""
    return {"cloud": cloud, "cloud_problems": problems}
