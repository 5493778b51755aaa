import math

import numpy as np
import pytest
from scipy import stats

from stm_experiments.core.intervals import (
    Interval,
    mean_and_interval,
    psnr_of_interval,
    psnr_of_mse,
    ratio_and_interval,
)


def test_interval_equals_scipy():
    values = np.random.default_rng(0).standard_normal(9).tolist()
    low, high = stats.t.interval(0.95, 8, np.mean(values), stats.sem(values))
    mean, half = mean_and_interval([*values, math.nan])
    assert mean == pytest.approx((low + high) / 2)
    assert half == pytest.approx((high - low) / 2)


def test_without_values_there_is_no_interval():
    assert math.isnan(mean_and_interval([math.nan]).mean)
    assert mean_and_interval([]).half is None
    assert mean_and_interval([2.0]) == (2.0, None)
    assert mean_and_interval([1.0, math.inf]) == (math.inf, None)


def test_equal_groups_give_the_interval_of_their_means():
    sums = [3.0, 5.0, 4.0]
    assert ratio_and_interval(sums, [7, 7, 7]) == pytest.approx(
        mean_and_interval([s / 7 for s in sums])
    )


def test_a_group_counts_with_its_size():
    mean, half = ratio_and_interval([1.0, 20.0], [1, 10])
    assert mean == pytest.approx(21 / 11)
    e = math.sqrt(2 * ((1 - mean) ** 2 + (20 - 10 * mean) ** 2)) / 11
    assert half == pytest.approx(stats.t.ppf(0.975, 1) * e)


def test_psnr():
    assert psnr_of_mse(0.04) == pytest.approx(20.0)
    assert psnr_of_mse(1.0, 1.0) == 0.0
    assert psnr_of_mse(0.0) == math.inf
    assert psnr_of_interval(Interval(0.0, None)) == (math.inf, None)
    mean, half = psnr_of_interval(Interval(0.04, 0.0004))
    assert mean == pytest.approx(20.0)
    assert half == pytest.approx(psnr_of_mse(0.0396) - psnr_of_mse(0.04), rel=0.01)
