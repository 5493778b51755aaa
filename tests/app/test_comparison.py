"""The printed comparison of a sweep's jobs."""

import io
import json

import pytest
from rich.console import Console

from stm_experiments.app.comparison import comparison_table
from stm_experiments.reporting.runs import read_runs


@pytest.fixture
def sweep(tmp_path):
    """Three finished jobs and one that failed."""
    for job, (overrides, error) in enumerate(
        [
            (["model=pca", "seed=0"], 0.02),
            (["model=pca", "seed=1"], 0.04),
            (["model=mlp", "seed=0"], 0.01),
            (["model=mlp", "seed=1"], None),
        ]
    ):
        folder = tmp_path / f"{job}"
        folder.mkdir()
        status = "failed: the loss" if error is None else "finished"
        about = {"job": job, "overrides": ["lattice=sc", *overrides], "status": status}
        (folder / "run.json").write_text(json.dumps({**about, "seconds": 10 + job}))
        if error is not None:
            numbers = {"test/mse_noisy": error, "baselines/PCA-10/mse_noisy": 0.03}
            (folder / "metrics.json").write_text(json.dumps(numbers))
    return tmp_path


def test_jobs_that_differ_in_their_seed_share_a_row(sweep):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(comparison_table(read_runs(sweep)))
    text = console.export_text()
    assert "all with lattice=sc; ± standard deviation over seeds" in " ".join(text.split())
    rows = [line.split() for line in text.splitlines() if line.strip().startswith("model=")]
    assert rows == [
        ["model=pca", "2", "0.03000", "-", "-", "0.03000", "10", "2", "of", "2"],
        ["model=mlp", "2", "0.01000", "-", "-", "0.03000", "12", "1", "of", "2"],
    ]
    assert "±0.01414" in text
