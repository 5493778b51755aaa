"""What stands on the report page, section by section."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from stm_experiments.figures.canvas import save
from stm_experiments.figures.loss_panels import loss_panels
from stm_experiments.latent.codes_csv import read_latent_csv
from stm_experiments.reporting import overview, paper, summary
from stm_experiments.reporting.claims import HELD, NOT_HELD, OPEN, Claim
from stm_experiments.reporting.latent_summary import latent_knowledge
from stm_experiments.reporting.page import Page, paragraphs
from stm_experiments.reporting.paper_claims import paper_claims
from stm_experiments.reporting.runs import Run
from stm_experiments.reporting.site_summary import site_knowledge

POINTS = 30_000  # of all latent clouds together
PICTURES = {
    "network": "The networks (the paper's Figures 8 and 9)",
    "patches": "Images and the patches cut from them (Figure 10)",
    "latent": "Latent space, first principal components (Figure 12)",
    "reconstructions": "Held-out patches: input, first and final reconstruction (Figure 13)",
    "curves": "Loss of each run",
}
INTRODUCTION = """<p>A scanning tunnelling microscope (STM) maps a crystal's surface atom by atom.
Here small neural networks, <i>autoencoders</i>, learn to squeeze little patches of such images
into a few numbers and to draw the patches again from them. {paper} Errors are mean squared errors
(MSE) per pixel on a grey scale from &minus;1 to 1: lower is better. SSIM is a similarity of at most
1: higher is better. <i>Noisy</i> is the image as it was given to the network; <i>clean</i> is the
same image without noise, which a network never sees unless it is trained to denoise.</p>"""
OF_THE_PAPER = """The runs repeat the experiment of Binev et al., “STM image analysis using
autoencoders”: three crystal lattices (sc, bcc, fcc) and up to seven training configurations that
differ in learning rate, batch size, patches per image and epochs. What the paper printed stands
beside what came out here."""


def write_report(runs: Sequence[Run], source: Path, folder: Path) -> Path:
    """Writes index.html, its tables as CSV, Markdown and LaTeX, and figure11.png.

    Args:
        runs: What to report.
        source: The sweep or run folder, for the title.
        folder: Where to write; made if absent.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = Page(folder)
    claims = paper_claims(runs)
    of_paper = any(run.configuration for run in runs)
    if of_paper:
        _table_2(page, runs)
    _curves(page, runs)
    _pictures(page, runs)
    _cloud(page, runs)
    _sites(page, runs)
    _baselines(page, runs)
    _times(page, runs)
    _runs(page, runs)
    if of_paper:
        _claims(page, claims)
    title = f"Autoencoders on STM images: {source.absolute().name}"
    return page.write(title, _header(runs, claims if of_paper else []))


def _header(runs: Sequence[Run], claims: Sequence[Claim]) -> str:
    parts = [INTRODUCTION.format(paper=OF_THE_PAPER if claims else "")]
    small = sorted({run.miniature for run in runs if run.miniature})
    if small:
        count = sum(bool(run.miniature) for run in runs)
        parts.append(
            '<div class="warning" id="miniature"><p><b>Miniatures.</b> '
            f"{count} of {len(runs)} runs are smaller than what they are named after "
            f"({escape('; '.join(small))}): fewer epochs and images. They show that everything "
            "works; their numbers say nothing about the paper's.</p></div>"
        )
    if trouble := overview.troubles(runs):
        parts.append(
            '<div class="trouble" id="troubles"><p><b>Not everything is there.</b></p>'
            f"{paragraphs(trouble)}</div>"
        )
    facts = "".join(
        f"<dt>{escape(heading)}</dt><dd>{escape(text)}</dd>"
        for heading, text in overview.facts(runs).items()
    )
    parts.append(f"<dl>{facts}</dl>")
    if claims:
        counts = ", ".join(
            f"{sum(claim.verdict == verdict for claim in claims)} {verdict}"
            for verdict in (HELD, NOT_HELD, OPEN)
        )
        parts.append(f'<p>The paper\'s {len(claims)} claims: <a href="#claims">{counts}</a>.</p>')
    return "\n".join(parts)


def _table_2(page: Page, runs: Sequence[Run]) -> None:
    text = (
        "<p>The paper's Table 2 gives, for each row, the average over <i>three</i> patches of the "
        "training images, drawn anew for each row. The same statistic of our runs is given with "
        "the range that other draws of three patches would have given; beside it stands the "
        "average over all patches of all held-out images, with its 95 % interval by image. SSIM "
        "is computed as the paper did (11 px window, data range 1). The paper's validation loss "
        "is from its authors' log. The best of each lattice are bold.</p>"
        "<p>What the published order of configurations means:</p>"
        f"{paragraphs(summary.ranking(runs))}"
    )
    table = page.table(summary.table_2(runs), "Several runs (seeds) of a row are averaged.")
    page.section("table-2", "Table 2: errors", text, table)


def _curves(page: Page, runs: Sequence[Run]) -> None:
    names = [*paper.CONFIGURATIONS]
    curves: dict[str, dict[str, Any]] = {}
    for lattice in summary.in_order({run.lattice for run in runs if run.curves}):
        here = [run for run in runs if run.lattice == lattice and run.curves]
        several = len({run.network for run in here}) > 1
        labelled: dict[str, Any] = {}
        for run in here:
            label = f"{run.network} {run.label}" if several else run.label
            labelled.setdefault(label, run.curves)  # the first seed of each
        order = sorted(labelled, key=lambda label: names.index(label) if label in names else 99)
        curves[lattice] = {label: labelled[label] for label in order}
    if not curves:
        page.section("curves", "Figure 11: loss curves", "<p>No run left loss curves.</p>")
        return
    path = page.folder / "figure11.png"
    caption = "The loss that each run minimises; a marker ends each curve."
    save(loss_panels(curves, "Training and validation loss by lattice", caption), path)
    text = (
        "<p>Loss while training: on the training images (top) and on the validation images "
        "(bottom), one column per lattice, all with the same axes. Of several seeds the first is "
        "drawn.</p>"
    )
    figure = page.picture(path, "Loss curves; click for the full picture", 1400)
    page.section("curves", "Figure 11: loss curves", text, f'<div class="panels">{figure}</div>')


def _pictures(page: Page, runs: Sequence[Run]) -> None:
    found: dict[str, list[tuple[Run, Path]]] = {}
    for run in runs:
        for path in sorted(run.folder.glob("figures/*.png")):
            found.setdefault(path.stem, []).append((run, path))
    parts = ["<p>Drawn by the runs from their own networks and images; click for full size.</p>"]
    for kind in [*(k for k in PICTURES if k in found), *sorted(set(found) - set(PICTURES))]:
        first: dict[str, tuple[Run, Path]] = {}
        for run, path in found[kind]:
            first.setdefault(run.network if kind == "network" else run.lattice, (run, path))
        others = [pair for pair in found[kind] if pair not in first.values()]
        parts.append(f"<h3>{escape(PICTURES.get(kind, kind.replace('_', ' ')))}</h3>")
        if kind == "curves":  # Figure 11 has them already
            first, others = {}, found[kind]
        parts.append(_gallery(page, list(first.values())))
        # The same network or the same images again would tell nothing.
        if others and kind not in ("network", "patches"):
            rest = _gallery(page, others)
            parts.append(f"<details><summary>{len(others)} more</summary>{rest}</details>")
    if not found:
        parts = ["<p>No run left pictures.</p>"]
    page.section("pictures", "Figures 8 to 10, 12, 13: networks, patches, codes", *parts)


def _gallery(page: Page, pictures: Sequence[tuple[Run, Path]]) -> str:
    shown = [
        page.picture(path, f"{run.lattice}, {run.network}, {run.label}") for run, path in pictures
    ]
    return f'<div class="gallery">{"".join(shown)}</div>'


def _cloud(page: Page, runs: Sequence[Run]) -> None:
    tables, problems = {}, []
    for run in runs:
        if (path := run.folder / "latent.csv").is_file():
            try:
                tables[run.folder.name] = (run, read_latent_csv(path))
            except ValueError as error:
                problems.append(f"{run.folder.name}: {error}")
    heading = "The latent space in three dimensions"
    if not tables:
        note = "<p>No run left a latent.csv with the codes of its patches.</p>"
        page.section("latent", heading, note, paragraphs(problems))
        return
    step = -(-sum(len(columns["pc1"]) for _, columns in tables.values()) // POINTS)
    data = []
    for run, columns in tables.values():
        thinned = {name: [_plain(v) for v in values[::step]] for name, values in columns.items()}
        known = {n: v for n, v in thinned.items() if any(x is not None for x in v)}
        name = f"{run.lattice}, {run.network}, {run.label}, seed {run.config.get('seed')}"
        data.append({"name": name, "columns": known})
    page.data("latent-data", data)
    text = (
        "<p>Every point is one held-out patch, at the first three principal components of its "
        "code. Drag, or use the arrow keys, to turn the cloud. A network that was trained on one "
        "lattice has nothing to separate; look at one that was trained on several.</p>"
        '<div class="filters"><label>run<select id="cloud-run"></select></label>'
        '<label>coloured by<select id="cloud-colour"></select></label></div>'
        '<canvas id="cloud" tabindex="0" role="img" aria-label="Cloud of latent codes"></canvas>'
        '<div class="legend" id="cloud-legend"></div>'
    )
    page.section("latent", heading, text, paragraphs(problems), *_knowledge(page, runs))


def _knowledge(page: Page, runs: Sequence[Run]) -> list[str]:
    """What the codes know, where a run saw several lattices."""
    table = latent_knowledge(runs)
    if not table.rows:
        return []
    text = (
        "<p>What a linear probe and others read off the codes of held-out <i>images</i>, of single "
        "patches and pooled over an image (mean and covariance of its codes). A single code says "
        "above all where in the unit cell its patch was cut. That pooled codes tell the lattices "
        "apart is no merit of training where PCA and an untrained network do as well.</p>"
    )
    note = "Change: 0 the code is invariant, 1 it is like another patch's. The best are bold."
    return ["<h3>What the codes know</h3>", text, page.table(table, note)]


def _sites(page: Page, runs: Sequence[Run]) -> None:
    """How well sites and defects were told apart, where runs looked at sites."""
    table = site_knowledge(runs)
    if not table.rows:
        return
    text = (
        "<p>Classes are clusters of the codes, against the true kinds of the sites without a "
        "defect; the angle is modulo the sites' symmetry; AUROC is the chance that a defect is "
        "stranger than a perfect site. Dashes: not known of real images.</p>"
    )
    page.section("sites", "Sites and defects", text, page.table(table, "The best are bold."))


def _plain(value: str | float) -> str | float | None:
    """What JSON can hold: NaN and infinities become None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _baselines(page: Page, runs: Sequence[Run]) -> None:
    text = (
        "<p>What any network has to beat, on the same held-out patches. <i>Noisy input</i> is the "
        "image left as it is: a network that is further from the clean image than that has made "
        "it worse. PCA-k is the linear autoencoder with k numbers. A low error against the noisy "
        "image is not denoising: it can mean that the noise was copied. The floor is the least "
        "error against clean that an unbiased denoiser of one patch can reach.</p>"
    )
    note = (
        "± 95 % interval by image, where there are two or more. The best of each lattice are bold."
    )
    page.section(
        "baselines", "Baselines and floors", text, page.table(summary.baselines(runs), note)
    )


def _times(page: Page, runs: Sequence[Run]) -> None:
    text = (
        "<p>The paper's seconds are those of its authors' log, on one NVIDIA T4 (not four); its "
        "speed is patches x epochs over these. Seconds compare only where the runs are whole; "
        "patches per second compare anyway.</p>"
    )
    page.section("times", "Training time", text, page.table(summary.times(runs)))


def _runs(page: Page, runs: Sequence[Run]) -> None:
    table = page.table(
        summary.all_runs(runs, lambda run: page.link(run.folder)),
        "Click a heading to sort. ± 95 % interval by image.",
    )
    by_seed = summary.seeds(runs)
    note = "± standard deviation over seeds."
    if all(row[3].value == 1 for row in by_seed.rows):
        note = "Nothing was run with more than one seed: there are no spreads."
    seeds = page.table(by_seed, note)
    filters = '<div class="filters" id="filters"></div>'
    heading = "<h3>Means and spreads over seeds</h3>"
    page.section("runs", "All runs", filters, table, heading, seeds)


def _claims(page: Page, claims: Sequence[Claim]) -> None:
    items = "".join(
        f'<li class="{claim.verdict.replace(" ", "-")}"><p><span class="verdict">{claim.verdict}'
        f"</span> &middot; section {escape(claim.section)}</p>"
        f"<p><b>{escape(claim.statement)}</b></p><p>{escape(claim.evidence)}</p>"
        f'<p class="note">Holds if: {escape(claim.criterion)}.</p></li>'
        for claim in claims
    )
    text = (
        "<p>What the paper's sections 4.3 and 4.5 conclude, each tested on our numbers. A claim is "
        "held only if all three lattices bear it out; it is not decidable where runs are missing "
        "or too small, or where the difference is within what another seed (a single run: 4 %) or "
        "other images would change.</p>"
    )
    page.section("claims", "The paper's claims", text, f'<ul class="claims">{items}</ul>')
