"""The table of benchmarks.transfer, from runs that are made up."""

import json
import sys
from pathlib import Path

from stm_experiments.benchmarks import transfer

ERRORS = {"sc": 0.030, "few": 0.020, "few_from_sc": 0.018, "all": 0.016}


def test_every_way_is_compared_seed_by_seed(monkeypatch, tmp_path, capsys):
    commands = []

    def pretend(module, *overrides):
        commands.append((module, *overrides))
        folder = Path(overrides[-1].partition("=")[2])
        name, _, seed = folder.name.removesuffix("_on_fcc").rpartition("_")
        folder.mkdir(parents=True)
        error = ERRORS[name] + 0.001 * int(seed)
        (folder / "metrics.json").write_text(json.dumps({"test/mse_noisy": error}))
        (folder / "metrics.csv").write_text(f"epoch,val/loss\n1,{2 * error}\n2,{error}\n")

    monkeypatch.setattr(transfer, "run_command", pretend)
    monkeypatch.setattr(sys, "argv", ["transfer", "--folder", str(tmp_path / "runs")])
    transfer.main()
    printed = capsys.readouterr().out
    # Seeds differ by .001: the errors have an interval, their differences none.
    assert "31.00 ± 2.48" in printed
    assert "42.00 ± 4.97" in printed
    for difference in ("+10.00 ± 0.00", "-2.00 ± 0.00", "-4.00 ± 0.00"):
        assert difference in printed
    trainings = [command for command in commands if command[0] == "train"]
    assert len(trainings) == 4 * 3
    started = [command for command in trainings if any("init=" in each for each in command)]
    assert [each[-2] for each in started] == [
        f"init={tmp_path}/runs/sc_{seed}/checkpoints/best.ckpt" for seed in range(3)
    ]
    # Finished runs are not made again.
    commands.clear()
    transfer.main()
    assert commands == []


def test_few_and_all_images_give_as_many_steps():
    assert transfer.IMAGES * transfer.PATCHES % transfer.FEW == 0
    assert transfer.STEPS_PER_EPOCH * transfer.BATCH == transfer.IMAGES * transfer.PATCHES
