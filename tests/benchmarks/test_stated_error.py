"""The fit of the stated deviation, at a size that takes seconds."""

import json
from pathlib import Path

import torch

from stm_experiments.benchmarks import stated_error
from stm_experiments.benchmarks.stated_error import ErrorSamples, fit, main


def test_the_fit_covers_errors_of_the_kind_that_it_saw():
    generator = torch.Generator().manual_seed(0)
    covariates = torch.randn(20_000, 2, generator=generator)
    variance = covariates[:, 0] - 3
    draws = torch.randn(20_000, generator=generator)
    error = variance + draws.square().log()
    fitted = fit(ErrorSamples(["it counts", "it does not"], covariates, error))
    stated = fitted(covariates)
    for share, multiple in ((0.683, 1.0), (0.954, 2.0)):
        inside = error <= stated + 2 * torch.tensor(multiple).log()
        assert abs(float(inside.float().mean()) - share) < 0.015
    low = covariates[:, 0] < -1
    assert abs(float((error[low] <= stated[low]).float().mean()) - 0.683) < 0.05


def test_one_command_writes_the_map_and_nothing_is_written_over(command, monkeypatch, tmp_path):
    monkeypatch.setattr(stated_error, "SHAPES", ((64, 64),))
    monkeypatch.setattr(stated_error, "STEPS", 5)
    file = tmp_path / "map.json"
    code, _, err = command(main, "--images", 2, "--write", file)
    assert code == 0, err
    assert len(json.loads(Path(file).read_text())["covariates"]) == 17
    code, _, err = command(main, "--images", 2, "--write", file)
    assert code == 1
    assert "is not overwritten" in err
