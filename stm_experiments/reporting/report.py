"""The content of the report page: what is shown of a set of runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from plotly.offline import get_plotlyjs

from stm_experiments.latent.codes_csv import COLUMNS, read_latent_csv
from stm_experiments.reporting import charts, overview, tables
from stm_experiments.reporting.averages import group_by_seed
from stm_experiments.reporting.latent_cloud import RunCodes, latent_cloud
from stm_experiments.reporting.page import Page
from stm_experiments.reporting.paper import table2
from stm_experiments.reporting.paper.claims import HELD, NOT_HELD, OPEN, paper_claims
from stm_experiments.reporting.pictures import collect_pictures
from stm_experiments.reporting.runs import Run
from stm_experiments.reporting.settings import Settings

MOST_CLOUDS = 12  # runs whose codes can be chosen
MOST_CHARTS = 6  # of a kind that are shown; the others unfold


def write_report(runs: Sequence[Run], source: Path, folder: Path) -> Path:
    """Write index.html and its tables as CSV, Markdown and LaTeX.

    Args:
        runs: What to report.
        source: The sweep or run folder, for the title.
        folder: Where to write; made if absent.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = Page(folder)
    settings = Settings(runs)

    def link(run: Run) -> str:
        return page.link(run.folder)

    curves = charts.curve_charts(runs, settings)
    cloud, problems = _draw_cloud(page, settings)
    content: dict[str, Any] = {
        "title": source.absolute().name,
        "lead": overview.lead_sentences(runs, settings),
        "n_runs": len(runs),
        "miniatures": sorted({run.miniature for run in runs if run.miniature}),
        "n_miniatures": sum(bool(run.miniature) for run in runs),
        "facts": overview.collect_facts(runs),
        "best_table": tables.best_table(settings, link),
        "runs_table": tables.runs_table(runs, settings, link),
        "seeds_table": tables.seeds_table(runs, settings),
        "baselines_table": tables.baselines_table(runs, settings),
        "times_table": tables.times_table(runs, settings),
        "codes_table": tables.codes_table(runs, settings),
        "sites_table": tables.sites_table(runs, settings),
        "curves": curves,
        "dependences": charts.dependence_charts(settings),
        "parallels": charts.parallel_charts(settings),
        "cloud": cloud,
        "most_charts": MOST_CHARTS,
        "galleries": collect_pictures(page, settings),
        **_compare_with_paper(runs),
    }
    content["several_seeds"] = any(len(group) > 1 for group in group_by_seed(runs))
    has_charts = any(content[name] for name in ("curves", "dependences", "parallels", "cloud"))
    content["library"] = get_plotlyjs() if has_charts else ""
    content["troubles"] = [*overview.list_troubles(runs), *page.problems, *problems]
    return page.write(content)


def _compare_with_paper(runs: Sequence[Run]) -> Mapping[str, object]:
    """Return the paper's Table 2 and claims with our numbers, if some runs are the paper's."""
    if not any(run.configuration for run in runs):
        return {"of_paper": False}
    claims = paper_claims(runs)
    verdicts = [claim.verdict for claim in claims]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in (HELD, NOT_HELD, OPEN)]
    return {
        "of_paper": True,
        "errors_table": table2.errors_table(runs),
        "ranking": table2.rank_published(runs),
        "claims": claims,
        "verdict_counts": ", ".join(counts),
    }


def _draw_cloud(page: Page, settings: Settings) -> tuple[Mapping[str, Any] | None, list[str]]:
    """Return the cloud of latent codes, and what prevented runs from being in it.

    Of many runs the best of each task are taken in turn.
    """
    codes: list[RunCodes] = []
    problems = []
    for run in settings.ranked:
        path = run.folder / "latent.csv"
        if len(codes) < MOST_CLOUDS and path.is_file():
            try:
                columns = pd.DataFrame(read_latent_csv(path)).filter(items=COLUMNS)
            except Exception as error:  # damaged files make readers raise anything
                problems.append(f"{run.folder.name}: {error}")
            else:
                codes.append(RunCodes(settings.name(run), columns, *page.sheet(run.folder)))
    return (latent_cloud(codes) if codes else None), problems
