"""Pictures of codes: centred patches by lattice, and traversals."""

import pytest
import torch

from stm_experiments.figures.codes.centred_patches import centred_patches_figure, first_of_each
from stm_experiments.figures.codes.traversals import traversals


def test_each_lattice_has_a_row_and_each_version_a_column():
    columns = {name: torch.rand(3, 1, 9, 9) for name in ("noisy", "denoised", "centred")}
    figure = centred_patches_figure(columns, ["sc", "bcc", "fcc"], title="patches")
    assert [axes.get_title() for axes in figure.axes[:3]] == list(columns)
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["sc", "bcc", "fcc"]
    shown = figure.axes[4].images[0].get_array()
    assert shown.tolist() == columns["denoised"][1, 0].double().tolist()
    with pytest.raises(ValueError, match="a row for each of 2 labels"):
        centred_patches_figure(columns, ["sc", "bcc"], title="patches")
    assert first_of_each(torch.tensor([2, 0, 2, 1])).tolist() == [1, 3, 0]


def test_each_number_of_a_code_has_a_row():
    rows = [torch.rand(3, 1, 9, 9) for _ in range(4)]
    figure = traversals(rows, (-1.0, 0.0, 1.0), title="numbers")
    assert len(figure.axes) == 12
    assert [axes.get_title() for axes in figure.axes[:3]] == ["-1", "0", "+1"]
    with pytest.raises(ValueError, match="2 steps"):
        traversals(rows, (-1.0, 1.0), title="numbers")
