import numpy as np
import pytest

from stm_experiments.figures.training_curves import training_curves


def test_points_and_references_are_drawn_where_they_belong(drawn_texts):
    history = {"train/loss": [(1, 0.05), (2, 0.03)], "val/loss": [(1, 0.06), (2, 0.0274)]}
    references = {"PCA-10": 0.0285, "noisy input": 0.0292, "floor": 0.0052, "PCA": 0.029}
    figure = training_curves(history, "CAE-A", references, ylabel="MSE")
    texts = drawn_texts(figure)
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    for name, points in history.items():
        label = next(label for label in drawn if label.startswith(name))
        np.testing.assert_allclose(drawn[label], points)
        assert f"{points[-1][1]:.4g}" in label
    levels = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert sorted(levels) == sorted(references.values())
    for name, value in references.items():
        assert f"{name}: {value:.4g}" in texts
    assert {"CAE-A", "MSE", "epoch"} <= set(texts)


@pytest.mark.parametrize("values", [[0.0274], [0.03, 0.0301, 0.0299], [10.0, 0.1, 1e-4]])
def test_short_flat_and_long_curves_are_readable(values, drawn_texts):
    history = {"val/loss": list(enumerate(values, start=1))}
    figure = training_curves(history, "run")
    drawn_texts(figure)
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 2
    assert low < min(values) <= max(values) < high
    assert axes.lines[0].get_marker() != "None"
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_values_below_zero_get_a_linear_axis(drawn_texts):
    figure = training_curves({"train/elbo": [(1, 2.0), (2, -3.0)]}, "run")
    drawn_texts(figure)
    assert figure.axes[0].get_yscale() == "linear"


def test_a_diverged_run_shows_its_finite_points(drawn_texts):
    history = {"train/loss": [(1, 0.1), (2, float("nan"))], "val/loss": [(1, float("inf"))]}
    figure = training_curves(history, "$100 run_a$b")
    assert r"\$100 run_a\$b" in drawn_texts(figure)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xydata(), [[1, 0.1]])
    with pytest.raises(ValueError, match="at least one finite"):
        training_curves({"train/loss": [(1, float("nan"))]}, "run")


def test_each_other_measure_has_axes_of_its_own(drawn_texts):
    loss, error = "negative bound of the evidence (nats per patch)", "divergence (nats per patch)"
    term = "mean squared error of the centred patch (per px)"
    points = [(1, 0.3), (2, 0.1)]
    others = {term: {"val/centred": points}, error: {"val/kl": points, "train/kl": points}}
    figure = training_curves({"val/loss": points}, "VAE", {}, loss, others)
    drawn_texts(figure)  # without overlaps
    labels = [axes.get_ylabel().replace("\n", " ") for axes in figure.axes]
    assert labels == [loss, term, error]
    assert [len(axes.lines) for axes in figure.axes] == [1, 1, 2]
