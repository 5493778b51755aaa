"""The roofline: what kernels move, and where the loops lie below the limits."""

import pytest
import torch

pytest.importorskip("numba", reason="the fused step needs numba")
from stm_experiments.benchmarks.throughput import roofline
from stm_experiments.benchmarks.throughput.records import callback_shares


def test_bytes_are_those_that_kernels_read_and_write():
    numbers = torch.zeros(1000)
    with roofline.ByteCounter() as moved:
        numbers.view(10, 100).t()
    assert moved.total == 0
    with roofline.ByteCounter() as moved:
        torch.relu(numbers) + numbers
    assert moved.total == 4 * 1000 * (2 + 3)


def test_no_loop_is_drawn_above_the_limits(monkeypatch):
    monkeypatch.setattr(roofline, "COPIED", 2**16)
    roofs = roofline.measure_roofs(0.01)
    assert roofs.operations == pytest.approx(0.96e6, rel=0.01)
    assert roofs.fused_bytes < 0.05 * roofs.kernel_bytes
    numbers = {
        f"{name}_{kind}_256": 1000.0 for name in roofline.LABELS for kind in ("speed", "ratio")
    }
    (axes,) = roofline.roofline_figure(roofs, numbers, 256).axes
    limit, *points = axes.lines
    assert len(points) == len(roofline.LABELS)
    assert all(point.get_ydata()[0] < limit.get_ydata().max() for point in points)


def test_the_time_of_each_record_is_a_part_of_the_training():
    shares = callback_shares(epochs=1, images=4)
    names = {"CheckpointWriter", "History", "RichProgressBar", "FirstReconstruction"}
    assert names <= set(shares)
    assert all(shares[name] > 0 for name in names)
    assert sum(shares.values()) < 1
