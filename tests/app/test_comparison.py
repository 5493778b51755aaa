import json

from rich.console import Console

from stm_experiments.app.comparison import comparison_table, print_comparison
from stm_experiments.reporting.runs import Run


def job(number, error, *overrides, status="finished"):
    about = {"job": number, "overrides": list(overrides), "status": status, "seconds": 10.0}
    metrics = {"test/mse_noisy": error, "PCA-10/test/mse_noisy": 0.03} if error else {}
    return Run(None, about, metrics, {}, {}, {}, {})


def cells(runs):
    return [list(column.cells) for column in comparison_table(runs).columns]


def test_jobs_are_named_by_what_distinguishes_them_and_seeds_share_a_row():
    runs = [
        job(0, 0.02, "lattice=sc", "data.size=64", "seed=0"),
        job(1, 0.04, "lattice=sc", "data.size=64", "seed=1"),
        job(2, None, "lattice=fcc", "data.size=64", "seed=0", status="failed: no"),
    ]
    names, seeds, errors, clean, _, baseline, seconds, done = cells(runs)
    assert names == ["lattice=sc", "lattice=fcc"]
    assert seeds == ["2", "1"]
    assert errors == ["0.03000\n±0.01414", "-"]
    assert clean == ["-", "-"]
    assert baseline == ["0.03000\n±0.00000", "-"]
    assert seconds == ["10", "10"]
    assert done == ["2 of 2", "0 of 1"]
    assert "all with data.size=64; ± standard deviation" in comparison_table(runs).caption


def test_without_seeds_there_is_no_column_of_them_and_failures_are_told(tmp_path, capsys):
    runs = [job(0, 0.02, "lattice=sc"), job(1, None, "lattice=bcc", status="failed: [b]loss")]
    assert len(cells(runs)) == 7
    for run in runs:
        folder = tmp_path / str(run.about["job"])
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(run.about))
    print_comparison(tmp_path)
    printed = capsys.readouterr().out
    assert "job 1 failed: [b]loss" in printed
    assert "Comparison" not in printed, "no job has a result"


def test_a_table_of_seeds_fits_into_a_terminal():
    runs = [job(seed, 0.02 + seed / 100, "lattice=sc", f"seed={seed}") for seed in range(2)]
    console = Console(width=80)
    assert console.measure(comparison_table(runs)).maximum <= 80


def test_a_job_that_was_done_twice_is_no_second_seed():
    runs = [job(n, 0.02, "lattice=sc", "seed=0") for n in range(2)]
    assert len(cells(runs)) == 7  # no column of seeds
    assert cells(runs)[-1] == ["1 of 1"]


def test_the_table_shows_the_metric_that_is_optimised():
    runs = [job(n, 0.02, f"model.optimizer.lr={n}") for n in range(2)]
    runs = [run._replace(config={"optimized_metric": "val/loss"}) for run in runs]
    runs[1].metrics["val/loss"] = 0.5
    table = comparison_table(runs)
    assert [column.header for column in table.columns][3] == "val\nloss"
    assert list(table.columns[3].cells) == ["-", "0.50000"]


def test_folds_share_a_row_as_seeds_do():
    runs = [job(n, 0.02 + n / 100, "data.folds=3", f"data.fold={n}") for n in range(3)]
    names, folds, errors, *_ = cells(runs)
    assert (names, folds, errors) == (["defaults"], ["3"], ["0.03000\n±0.01000"])
