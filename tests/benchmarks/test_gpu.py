"""The script for a GPU runs whole on a CPU, where graphs are plain loops of the same steps."""

import json
import sys

from stm_experiments.benchmarks.gpu import __main__ as gpu


def test_it_runs_in_miniature_and_its_steps_are_right(monkeypatch, tmp_path, capsys):
    path = tmp_path / "gpu.json"
    arguments = ["gpu", "--device", "cpu", "--seconds", "0.1", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", arguments)
    gpu.main()
    numbers = json.loads(path.read_text())
    assert numbers["curve_eager"] == 0
    assert numbers["curve_graph"] < 1e-4
    assert numbers["image_clean"] == numbers["image_noise_mean"] == 0
    speeds = ("eager_256", "graph_256", "stacked_2_runs_256", "cut", "run_fixed_graph_256")
    assert all(numbers[speed] > 0 for speed in speeds)
    assert numbers["denoiser_256_s"] > 0
    assert any(key.startswith("profile ") for key in numbers)
    assert "left out" not in capsys.readouterr().out
