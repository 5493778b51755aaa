"""What a set of runs is, in words: data, networks, versions, what failed and what is missing."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from stm_experiments.reporting.averages import best_group, distinct, sort_lattices
from stm_experiments.reporting.paper import published
from stm_experiments.reporting.runs import Run
from stm_experiments.reporting.settings import Settings, shown


def lead_sentences(runs: Sequence[Run], settings: Settings) -> list[str]:
    """Return what the runs are, and which is the best by what."""
    started = [run for run in runs if run.config]
    if not started:
        return [f"None of {len(runs)} runs got as far as its configuration."]
    networks = _listed(run.network for run in started)
    what = f"{networks} on {_listed(sort_lattices({run.lattice for run in started}))}"
    if noise := _listed(run.noise for run in started):
        what += f" with noise {noise}"
    n = len(runs)
    sentences = [f"{n} runs train {what}." if n > 1 else f"This run trains {what}."]
    if all(run.configuration for run in started):
        sentences.append("All are configurations of Binev et al.")
    if varied := [_span(settings, key, started) for key in settings.keys]:
        sentences.append(f"They differ in {', '.join(varied)}.")
    repeats = len(runs) - len(distinct(runs))
    if repeats == 1:
        sentences.append("One repeats another run and does not count.")
    elif repeats:
        sentences.append(f"{repeats} repeat other runs and do not count.")
    return [*sentences, *_best_sentences(runs, settings)]


def _listed(texts: Iterable[str]) -> str:
    """Return different texts as "a, b and c"."""
    *first, last = dict.fromkeys(filter(None, texts)) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _span(settings: Settings, key: str, runs: Sequence[Run]) -> str:
    """Return a setting and its values, or the range of many numbers."""
    values = list(dict.fromkeys(v for run in runs if (v := settings.value(run, key)) is not None))
    heading = settings.headings[key]
    if key in settings.numeric:
        values.sort()
        if len(values) > 4:
            return f"{heading} ({shown(values[0])} to {shown(values[-1])})"
    few = [shown(value) for value in values[:4]] + ["..."] * (len(values) > 4)
    return f"{heading} ({', '.join(few)})"


def _best_sentences(runs: Sequence[Run], settings: Settings) -> list[str]:
    """Return which run is the best, if there is one question only, and by what."""
    finished = sum(run.finished for run in runs)
    if not settings.tasks:
        return [f"{finished} of {len(runs)} finished, and none has a result to compare."]
    sentences = [] if finished == len(runs) else [f"{finished} of {len(runs)} finished."]
    if len(settings.tasks) > 1:
        ends = {True: "highest", False: "lowest"}
        best = {
            f"{ends[runs[0].highest_is_best]} {runs[0].metric}" for runs in settings.tasks.values()
        }
        sentences.append(
            f"The best run is that with the {' or the '.join(sorted(best))}, in each of "
            f"{len(settings.tasks)} tasks: numbers of different images or losses do not compare."
        )
        return sentences
    ((task, members),) = settings.tasks.items()
    group, mean = best_group(members)
    metric = task.metric
    meaning = f" ({task.loss})" if task.loss else ""
    if len(distinct(members)) == 1:
        sentences.append(f"It ends at {metric} {mean.mean:.5g}{meaning}.")
    else:
        name = settings.name_of(group)
        half = "" if mean.half is None else f" ± {mean.half:.2g}"
        sentences.append(f"The best by {metric}{meaning} is {name}: {mean.mean:.5g}{half}.")
    return sentences


def collect_facts(runs: Sequence[Run]) -> dict[str, str]:
    """Return how the runs were made, by heading."""
    started = [run for run in runs if run.config]
    times = [time for run in runs if (time := finish_time(run))]
    overrides = [set(run.about["overrides"]) for run in started if "overrides" in run.about]
    shared = sorted(set.intersection(*overrides)) if len(overrides) > 1 else []
    facts = {
        "Runs": status_line(runs),
        "Images": _join(describe_data(run) for run in started),
        "Held-out images": _join(_describe_split(run) for run in started if run.metrics),
        "Strengths of noise": _join(describe_noise(run) for run in started),
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


def _describe_split(run: Run) -> str:
    """Return on which images a run was scored, and whether they are too few for an interval."""
    has_interval = any(key.endswith("_ci95") for key in run.metrics)
    return f"{run.split} images" + ("" if has_interval else ": one alone, so without intervals")


def _join(texts: Iterable[str]) -> str:
    """Join different texts, each once; empty ones are left out."""
    return "; ".join(dict.fromkeys(filter(None, texts)))


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
    of_paper = [run for run in runs if run.configuration and run.lattice in published.LATTICES]
    lattices, names = {r.lattice for r in of_paper}, {r.configuration for r in of_paper}
    tried = {(run.lattice, run.configuration) for run in of_paper}
    return [
        f"{name} on {lattice}"
        for lattice in sort_lattices(lattices)
        for name in published.CONFIGURATIONS
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
    """Return the strengths of the simulated noise that are not zero; empty for image files."""
    data = run.config.get("data") or {}
    noise = data.get("noise")
    if not isinstance(noise, dict):
        return ""
    strengths = [
        f"{name} {value:.3g}"
        for part in noise.values()
        if isinstance(part, dict)
        for name, value in part.items()
        if isinstance(value, int | float) and value and not name.endswith("chance")
    ]
    return f"{run.noise}: {', '.join(strengths) or 'none'}".replace("_", " ")
