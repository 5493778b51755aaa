"""The goals of a denoiser that never makes a scan worse, each measured: met or missed."""

from collections.abc import Callable, Sequence

import numpy as np

from stm_experiments.benchmarks.quality.case_tables import (
    Row,
    furthest_from_one,
    grouped,
    is_readable,
)
from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.reporting.result_table import Cell, ResultTable

_PAPER = ("sc", "bcc", "fcc", "hex1", "hex2")  # its lattices
_PUBLISHED = {"sc": 0.00110, "bcc": 0.00165, "fcc": 0.00330}
_UNBIASED = ("white .003-.01", "white .03-.6", "poisson", "rounding")
_UNSEEN = ("lattice", "fine lattice", "wide lattice", "changed atoms", "adsorbates", "waves",
           "terraces")  # fmt: skip

Verdict = tuple[str, bool | None]
"""What was measured, and whether the goal is met; None: it cannot be told from these results."""

Check = Callable[[Sequence[Row], Sequence[Row]], Verdict]
"""(rows of the method, rows of all methods) -> verdict."""


def goal_table(rows: Sequence[Row]) -> ResultTable:
    """Tabulate for each method that is no baseline which goals it meets.

    Args:
        rows: Of all methods; the goals that compare need rows of BM3D and patch PCA.
    """
    table = ResultTable("goals", ("method", "goal", "measured", ""), [])
    for (method,), own in grouped(rows, "method").items():
        if method in BASELINES:
            continue
        for goal, check in GOALS.items():
            measured, met = check(own, rows)
            word = {True: "met", False: "missed", None: "not measured"}[met]
            table.rows.append([Cell(method), Cell(goal), Cell(measured), Cell(word)])
    return table


BASELINES = ("BM3D", "patch PCA", "Gaussian", "non-local means")


def _never_worse(own: Sequence[Row], rows: Sequence[Row]) -> Verdict:
    gains = np.array([row["gain"] for row in own])
    share, least = float(np.mean(gains >= 0)), float(gains.min())
    text = f"{100 * share:.1f} % of {len(gains)} images; least gain {least:.2f} dB"
    return text, share >= 0.995 and least >= -0.3


def _ahead(
    own: Sequence[Row], rows: Sequence[Row], baseline: str, select: Callable[[Row], bool]
) -> tuple[str, float | None]:
    """Return the mean lead in dB over a baseline on the selected cases that both have."""
    theirs = {row["case"]: row["gain"] for row in rows if row["method"] == baseline}
    leads = [
        row["gain"] - theirs[row["case"]] for row in own if row["case"] in theirs and select(row)
    ]
    if not leads:
        return f"no results of {baseline} here: run it, or give --merge", None
    mean, half = mean_and_interval(leads)
    return f"{mean:+.2f} ± {half or 0:.2f} dB on {len(leads)} images", mean


def _low_noise(own: Sequence[Row], rows: Sequence[Row]) -> Verdict:
    text, lead = _ahead(own, rows, "BM3D", lambda row: row["noise"] == "white_0.01")
    return text, None if lead is None else lead >= 0


def _unseen(baseline: str, least: float) -> Check:
    def check(own: Sequence[Row], rows: Sequence[Row]) -> Verdict:
        text, lead = _ahead(
            own,
            rows,
            baseline,
            lambda row: row["noise_kind"] == "white .03-.6" and row["surface_kind"] in _UNSEEN,
        )
        return text, None if lead is None else lead >= least

    return check


def _paper(own: Sequence[Row], rows: Sequence[Row]) -> Verdict:
    leads = {}
    for lattice in _PAPER:
        own_here = [r for r in own if r["surface"] == lattice and r["noise"] == "paper"]
        leads[lattice] = _ahead(own_here, rows, "BM3D", lambda row: True)[1]
    known = {lattice: lead for lattice, lead in leads.items() if lead is not None}
    if not known:
        return "no results of BM3D here: run it, or give --merge", None
    text = ", ".join(f"{lattice} {lead:+.1f}" for lattice, lead in known.items()) + " dB"
    return text, min(known.values()) >= 3


def _published(own: Sequence[Row], rows: Sequence[Row]) -> Verdict:
    pairs = grouped([row for row in own if row["noise"] == "published"], "surface")
    if not pairs:
        return "no published pairs: give --published", None
    errors = {name: float(np.mean([r["mse"] for r in group])) for (name,), group in pairs.items()}
    text = ", ".join(f"{name} {error:.5f}" for name, error in errors.items())
    return text, all(error <= _PUBLISHED[name] for name, error in errors.items())


def _bragg(own: Sequence[Row], rows: Sequence[Row]) -> Verdict:
    # The tip, drift and striations of the other noises change the peaks themselves.
    ratios = [
        row["bragg_worst"] for row in own
        if "bragg_worst" in row and row["noise_kind"] in _UNBIASED
    ]  # fmt: skip
    if not ratios:
        return "no Bragg peak stands out of the noise", None
    near = float(np.mean(np.abs(np.subtract(ratios, 1)) <= 0.05))
    text = (
        f"worst ratio {furthest_from_one(ratios):.3f}; {100 * near:.1f} % of {len(ratios)} images"
    )
    return text, near == 1


def _kept(own: Sequence[Row], rows: Sequence[Row]) -> Verdict:
    features = grouped([row for row in own if "kept" in row and is_readable(row)], "surface")
    means = {name: np.mean([row["kept"] for row in group]) for (name,), group in features.items()}
    if not means:
        return "no features among these cases", None
    off = {name: mean for name, mean in means.items() if not 0.95 <= mean <= 1.05}
    text = ", ".join(f"{name} {mean:.2f}" for name, mean in off.items())
    return text or f"all {len(means)} features", not off


def _added(own: Sequence[Row], rows: Sequence[Row]) -> Verdict:
    features = grouped([row for row in own if "added" in row and is_readable(row)], "surface")
    means = {name: np.mean([row["added"] for row in group]) for (name,), group in features.items()}
    if not means:
        return "no features among these cases", None
    off = {name: mean for name, mean in means.items() if mean > 0.1}
    text = ", ".join(f"{name} {100 * mean:.0f} %" for name, mean in off.items())
    return text or f"at most {100 * max(means.values()):.0f} %", not off


def _invented(own: Sequence[Row], rows: Sequence[Row]) -> Verdict:
    empty = [row for row in own if "maxima" in row]
    if not empty:
        return "no case of white noise alone", None
    keys = ("maxima", "gaussian_maxima", "skewness", "gaussian_skewness", "left")
    mean = {key: float(np.mean([row[key] for row in empty])) for key in keys}
    peak = max(row["peak"] for row in empty)
    text = (
        f"maxima {mean['maxima']:.0f} (Gaussian filter {mean['gaussian_maxima']:.0f}), skewness "
        f"{mean['skewness']:.2f} ({mean['gaussian_skewness']:.2f}), spectrum at most x {peak:.1f}, "
        f"{100 * mean['left']:.0f} % of the noise left"
    )
    few = mean["maxima"] <= 1.5 * mean["gaussian_maxima"] + 3
    return text, few and abs(mean["skewness"]) < 0.15 and peak < 2


def _covers(own: Sequence[Row], rows: Sequence[Row]) -> Verdict:
    stated = grouped([r for r in own if "within_1" in r], "surface_kind", "noise_kind")
    if not stated:
        return "the method states no uncertainty", None
    shares = [
        [float(np.mean([r[f"within_{k}"] for r in group])) for k in (1, 2)]
        for group in stated.values()
    ]
    good = [0.66 <= one <= 0.70 and 0.93 <= two <= 0.97 for one, two in shares]
    low, high = np.min(shares, 0), np.max(shares, 0)
    off = 100 * np.abs(np.subtract(shares, (0.68, 0.95))).mean(0)
    text = (
        f"{sum(good)} of {len(good)} strata; within 1: {100 * low[0]:.0f} to {100 * high[0]:.0f} %,"
        f" within 2: {100 * low[1]:.0f} to {100 * high[1]:.0f} %; on average {off[0]:.1f} and "
        f"{off[1]:.1f} points from 68 and 95 %"
    )
    return text, all(good)


GOALS: dict[str, Check] = {
    "1 gain >= 0 dB on 99.5 % of the images, never below -.3 dB": _never_worse,
    "1 at white noise of .01 c at least BM3D": _low_noise,
    "2 unseen surfaces, white .03-.6 c: 2 dB ahead of BM3D": _unseen("BM3D", 2.0),
    "2 unseen surfaces, white .03-.6 c: .7 dB ahead of patch PCA": _unseen("patch PCA", 0.7),
    "2 the paper's lattices at its noise: each 3 dB ahead of BM3D": _paper,
    "2 published pairs: MSE at most " + "/".join(map("{:.5f}".format, _PUBLISHED.values())): (
        _published
    ),
    "3 Bragg peaks above the noise change by at most 5 %": _bragg,
    "4 features keep .95 to 1.05 (noise up to .1 c)": _kept,
    "4 at most 10 % added beside a feature (noise up to .1 c)": _added,
    "5 white noise alone: like a Gaussian filter": _invented,
    "8 66-70 and 93-97 % within 1 and 2 deviations in each stratum": _covers,
}
