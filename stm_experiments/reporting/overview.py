"""What a set of runs is, in words: data, networks, versions, what failed and what is missing."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from stm_experiments.reporting.runs import Run, job_number
from stm_experiments.reporting.summary import in_order, missing


def facts(runs: Sequence[Run]) -> dict[str, str]:
    """What a reader needs to know of the runs before their numbers; heading -> text."""
    known = [run for run in runs if run.config]
    when = [moment for run in runs if (moment := finished_at(run))]
    versions = [run.about.get("versions", {}) for run in known]
    packages = list(dict.fromkeys(name for each in versions for name in each))
    lattices = {name for run in known for name in run.lattice.split("+")}
    shared: list[str] = runs[0].about.get("shared", []) if runs else []
    found = {
        "Runs": status_line(runs),
        "Lattices": ", ".join(in_order(lattices)),
        "Images": _listed(data_words(run) for run in known),
        "Networks": _listed(run.network for run in known),
        "Noise": _listed(noise_words(run) for run in known),
        "Settings in common": " ".join(shared),
        "Finished": f"{min(when):%Y-%m-%d %H:%M} to {max(when):%Y-%m-%d %H:%M}" if when else "",
        "Trained on": _listed(
            f"{run.about.get('device')} (threads: {run.about.get('threads', '?')})"
            for run in known
            if "device" in run.about
        ),
        "Versions": ", ".join(
            f"{name} {' and '.join(dict.fromkeys(v[name] for v in versions if name in v))}"
            for name in packages
        ),
        "Code": _listed(
            f"commit {commit}" for run in known if (commit := run.about.get("git_commit"))
        ),
    }
    return {heading: text for heading, text in found.items() if text}


def _listed(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words))


def status_line(runs: Sequence[Run]) -> str:
    """How many runs finished, failed and so on."""
    words = Counter("finished" if r.finished else r.status.partition(":")[0] for r in runs)
    parts = [f"{count} {word}" for word, count in words.items()]
    absent = len(missing(runs)) + len(absent_jobs(runs))
    return ", ".join([*parts, f"{absent} missing"] if absent else parts)


def troubles(runs: Sequence[Run]) -> list[str]:
    """Everything that is not there, each with its reason."""
    lines = [f"{run.folder.name}: {run.status}" for run in runs if not run.finished]
    lines += [f"job {number}: left no folder (was it started?)" for number in absent_jobs(runs)]
    return lines + [f"{what}: no run" for what in missing(runs)]


def absent_jobs(runs: Sequence[Run]) -> list[int]:
    """Numbers below the highest of a sweep that have no folder."""
    sweeps: dict[Path, set[int]] = defaultdict(set)
    for run in runs:
        if (run.folder.parent / "multirun.yaml").is_file():
            sweeps[run.folder.parent].add(job_number(run))
    return [n for numbers in sweeps.values() for n in range(max(numbers)) if n not in numbers]


def finished_at(run: Run) -> datetime | None:
    """When a run ended: what its run.json says, or that file's own time."""
    said = run.about.get("finished")
    if isinstance(said, str):
        try:
            return datetime.fromisoformat(said).replace(tzinfo=None)
        except ValueError:
            pass
    path = run.folder / "run.json"
    return datetime.fromtimestamp(path.stat().st_mtime) if path.is_file() else None


def data_words(run: Run) -> str:
    """Where a run's images came from."""
    data: dict[str, Any] = run.config.get("data") or {}
    source = str(data.get("_target_", "?")).rpartition(".")[2]
    words = {
        "SimulatedData": f"simulated (preset {data.get('preset')})",
        "ImageData": f"image files ({Path(str(data.get('root'))).name})",
    }.get(source, source)
    if data.get("resize"):
        words += f", resized to {data['resize']} px"
    if "fresh" in data:
        words += ", new patches every epoch" if data["fresh"] else ", fixed patches"
    if "augment" in data:
        words += ", turned and mirrored" if data["augment"] else ", not augmented"
    return words


def noise_words(run: Run) -> str:
    """The strengths of the simulated noise; nothing where the images come from files."""
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
