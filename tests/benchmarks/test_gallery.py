"""The cases of the shipped models in the gallery."""

import numpy as np
import pytest

from stm_experiments.benchmarks.gallery.cases import CASES, Pair, facts, gain, judged
from stm_experiments.models.checkpoint import load, shipped_models


def test_every_shipped_model_has_cases_where_it_works_and_where_it_fails():
    assert sorted(CASES) == shipped_models()
    for model, cases in CASES.items():
        works = sum(case.works for case in cases)
        assert works >= 3
        assert len(cases) - works >= 2
        assert type(load(model)).__name__ in facts(model)


def test_gain_is_zero_for_the_recorded_image_and_twenty_for_a_tenth_of_its_noise():
    noise = np.random.default_rng(0).normal(size=(40, 40))
    pair = Pair(np.zeros((40, 40)), noise)
    assert gain(pair, noise) == pytest.approx(0)
    assert gain(pair, noise / 10 + 5) == pytest.approx(20)  # an offset does not count


def test_a_case_shows_both_estimates_and_the_history():
    figure, words = judged("destripe", CASES["destripe"][0])
    assert [axes.get_title().split(":")[0] for axes in figure.axes[:3]] == [
        "recorded",
        "rows interpolated",
        "destripe",
    ]
    assert words[0].startswith("through destripe")
    assert not any("plane wave" in line for line in words)  # what it removes is a stripe
