"""What a set of runs is, in words: data, networks, versions, what failed and what is missing."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from stm_experiments.reporting import paper
from stm_experiments.reporting.averages import sort_lattices
from stm_experiments.reporting.runs import Run


def collect_facts(runs: Sequence[Run]) -> dict[str, str]:
    """Return what a reader needs to know of the runs before their numbers, by heading."""
    started = [run for run in runs if run.config]
    times = [time for run in runs if (time := finish_time(run))]
    lattices = {name for run in started for name in run.lattice.split("+")}
    shared: list[str] = runs[0].about.get("shared", []) if runs else []
    facts = {
        "Runs": status_line(runs),
        "Lattices": ", ".join(sort_lattices(lattices)),
        "Images": _join(describe_data(run) for run in started),
        "Networks": _join(run.network for run in started),
        "Noise": _join(describe_noise(run) for run in started),
        "Settings in common": " ".join(shared),
        "Finished": f"{min(times):%Y-%m-%d %H:%M} to {max(times):%Y-%m-%d %H:%M}" if times else "",
        "Trained on": _join(
            f"{run.about.get('device')} (threads: {run.about.get('threads', '?')})"
            for run in started
            if "device" in run.about
        ),
        "Versions": _versions(started),
        "Code": _join(
            f"commit {commit}" for run in started if (commit := run.about.get("git_commit"))
        ),
    }
    return {heading: text for heading, text in facts.items() if text}


def _join(texts: Iterable[str]) -> str:
    """Join different texts, each once."""
    return "; ".join(dict.fromkeys(texts))


def _versions(runs: Sequence[Run]) -> str:
    """Return the versions of each package that the runs used."""
    versions = [run.about.get("versions", {}) for run in runs]
    packages = dict.fromkeys(name for of_run in versions for name in of_run)
    return ", ".join(
        f"{name} {' and '.join(dict.fromkeys(v[name] for v in versions if name in v))}"
        for name in packages
    )


def status_line(runs: Sequence[Run]) -> str:
    """Return how many runs finished, failed and so on."""
    parts = [f"{n} {status}" for status, n in Counter(run.short_status for run in runs).items()]
    n_absent = len(missing_cells(runs)) + sum(len(jobs) for jobs in missing_jobs(runs))
    return ", ".join([*parts, f"{n_absent} missing"] if n_absent else parts)


def list_troubles(runs: Sequence[Run]) -> list[str]:
    """Return all that failed or is missing, each with its reason."""
    lines = [f"{run.folder.name}: {run.status}" for run in runs if not run.finished]
    lines += [_describe_missing(jobs) for jobs in missing_jobs(runs)]
    return lines + [f"{cell}: no run" for cell in missing_cells(runs)]


def missing_cells(runs: Sequence[Run]) -> list[str]:
    """Return the cells of the paper's experiment that have no run.

    Only lattices and configurations that occur in some run are expected.
    """
    of_paper = [run for run in runs if run.configuration and run.lattice in paper.LATTICES]
    lattices, names = {r.lattice for r in of_paper}, {r.configuration for r in of_paper}
    tried = {(run.lattice, run.configuration) for run in of_paper}
    return [
        f"{name} on {lattice}"
        for lattice in sort_lattices(lattices)
        for name in paper.CONFIGURATIONS
        if name in names and (lattice, name) not in tried
    ]


def _describe_missing(jobs: range) -> str:
    """Return the sentence on consecutive jobs without folders."""
    if len(jobs) == 1:
        return f"job {jobs.start}: no folder (was it started?)"
    return f"jobs {jobs.start} to {jobs.stop - 1}: no folders (were they started?)"


def missing_jobs(runs: Sequence[Run]) -> list[range]:
    """Return the job numbers below the highest of a sweep that have no folder, by gap."""
    sweeps: dict[Path, set[int]] = defaultdict(set)
    for run in runs:
        if (run.folder.parent / "multirun.yaml").is_file():
            sweeps[run.folder.parent].add(run.job_number)
    return [
        range(before + 1, after)
        for numbers in sweeps.values()
        for before, after in pairwise([-1, *sorted(n for n in numbers if n >= 0)])
        if after - before > 1
    ]


def finish_time(run: Run) -> datetime | None:
    """Return when a run ended: what its run.json says, or that file's own time."""
    text = run.about.get("finished")
    if isinstance(text, str):
        try:
            return datetime.fromisoformat(text).replace(tzinfo=None)
        except ValueError:
            pass
    path = run.folder / "run.json"
    return datetime.fromtimestamp(path.stat().st_mtime) if path.is_file() else None


def describe_data(run: Run) -> str:
    """Return where a run's images came from."""
    data: dict[str, Any] = run.config.get("data") or {}
    source = str(data.get("_target_", "?")).rpartition(".")[2]
    text = {
        "SimulatedData": f"simulated (preset {data.get('preset')})",
        "ImageData": f"image files ({Path(str(data.get('root'))).name})",
    }.get(source, source)
    if data.get("resize"):
        text += f", resized to {data['resize']} px"
    if "fresh" in data:
        text += ", new patches every epoch" if data["fresh"] else ", fixed patches"
    if "augment" in data:
        text += ", turned and mirrored" if data["augment"] else ", not augmented"
    return text


def describe_noise(run: Run) -> str:
    """Return the strengths of the simulated noise; nothing if the images come from files."""
    noise = (run.config.get("data") or {}).get("noise")
    if not isinstance(noise, dict):
        return ""
    strengths = [
        f"{name} {value:.3g}"
        for part in noise.values()
        if isinstance(part, dict)
        for name, value in part.items()
        if isinstance(value, int | float)
    ]
    return ", ".join(strengths).replace("_", " ")
