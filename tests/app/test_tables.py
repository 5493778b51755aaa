"""The printed tables."""

import io

from rich.console import Console

from stm_experiments.app.tables import fitted, latent_table, matrix_table, score_table
from stm_experiments.core.intervals import Interval
from stm_experiments.metrics.measures import METRICS
from stm_experiments.metrics.scores import NOISY_INPUT


def printed(table, width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


SCORES = {
    "CAE-A": {"mse_noisy": Interval(0.0208, 0.0011), "mse_clean": Interval(0.03, None)},
    "PCA-10": {"mse_noisy": Interval(0.0285, 0.001), "mse_clean": Interval(0.0304, None)},
    NOISY_INPUT: {"mse_noisy": Interval(0.0, 0.0), "mse_clean": Interval(0.0042, None)},
}


def test_scores_show_means_intervals_and_the_best():
    table = score_table(SCORES, "test, fcc")
    text = printed(table, 100)
    assert "test, fcc" in text
    assert "0.02080 ±0.00110" in text
    assert "0.03040" in text
    styles = {str(cell): cell.style for column in table.columns[1:] for cell in column._cells}
    assert [text for text, style in styles.items() if style == "bold"] == [
        "0.02080 ±0.00110",
        "0.00420",
    ]


def test_all_measures_fit_eighty_columns():
    row = {name: Interval(0.1 + number / 9, 0.01) for number, name in enumerate(METRICS)}
    text = printed(score_table({"PCA-10": row, NOISY_INPUT: row}, "test"), 80)
    for name, interval in row.items():
        digits = {"m": 5, "p": 2, "s": 4}[name[0]]
        assert f"{interval.mean:.{digits}f}" in text


def test_a_matrix_has_the_best_of_each_lattice_in_bold():
    table = matrix_table({"on sc": {"sc": 0.01, "fcc": 0.04}, "on fcc": {"sc": 0.03, "fcc": 0.02}})
    cells = [column._cells for column in table.columns]
    assert cells == [
        ["on sc", "on fcc"],
        ["[bold]0.01000[/bold]", "0.03000"],
        ["0.04000", "[bold]0.02000[/bold]"],
    ]


def test_latent_codes_show_what_is_known():
    report = {
        "net": {"single/probe": 1.0, "chance": 0.5, "pooled/r2_tilt": 0.7},
        "[sum]": {"single/probe": 0.6, "invariance/turns": 0.2},
    }
    text = printed(latent_table(report), 100)
    assert "[sum]" in text
    probe = next(line for line in text.splitlines() if "linear probe, one patch" in line)
    assert [part.strip() for part in probe.split("│")][1:] == [
        "lattice: linear probe, one patch", "0.5", "1.000", "0.600", "",
    ]  # fmt: skip
    assert "shift" not in text
    assert "64 patches" not in text


def test_a_narrow_terminal_loses_columns_and_never_digits_or_names():
    row = {name: Interval(0.123456, 0.01) for name in METRICS}
    name = "outputs_2026-11-29_scale-0.03_model-vae"
    text = printed(fitted(score_table({name: row, "PCA-10": row}, "test"), 80, "metrics.json"), 80)
    assert "…" not in text
    assert text.count("0.12346") == 4
    assert "".join(line.split("│")[1].strip() for line in text.splitlines()[6:8]) == name
    assert "not shown for want of room: ssim paper (in metrics.json)" in " ".join(text.split())
    report = {f"network {n}": {"single/probe": n / 7, "chance": 0.5} for n in range(1, 7)}
    text = printed(fitted(latent_table(report), 60, "latent.json"), 60)
    assert "…" not in text
    assert [f"{n / 7:.3f}" in text for n in range(1, 7)] == [True] + [False] * 5
    assert "network 2, network 3, network 4, network 5, network 6 (in latent.json)" in " ".join(
        text.split()
    )


def test_a_wide_terminal_shows_all():
    row = {name: Interval(0.123456, 0.01) for name in METRICS}
    text = printed(fitted(score_table({"PCA-10": row}, "test"), 150), 150)
    assert "0.12346 ±0.01000" in text
    assert "not shown" not in text
