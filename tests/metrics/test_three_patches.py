import json

import numpy as np
import pytest

from stm_experiments.metrics.three_patches import three_patch_statistic


def test_three_patches_scatter_about_the_mean_of_all():
    random = np.random.default_rng(0)
    mse, ssim = random.exponential(0.02, 5000), random.uniform(0.5, 1, 5000)
    found = three_patch_statistic(mse, ssim, draws=4000)
    assert found["mse"]["mean"] == pytest.approx(0.02, rel=0.05)
    # The mean of three exponentials is a gamma variable of shape 3: its 5 and 95 % points over 3.
    assert found["mse"]["p05"] == pytest.approx(0.02 * 0.8177 / 3, rel=0.1)
    assert found["mse"]["p95"] == pytest.approx(0.02 * 6.2958 / 3, rel=0.1)
    assert found["ssim"]["mean"] == pytest.approx(0.75, rel=0.01)
    again = three_patch_statistic(mse, ssim, draws=4000)
    assert found == again
    assert found != three_patch_statistic(mse, ssim, draws=4000, seed=1)
    json.dumps(found)


def test_three_of_three_patches_leave_no_choice():
    found = three_patch_statistic([1, 2, 6], [0.3, 0.6, 0.9], draws=10)
    assert found["mse"] == {"mean": 3, "p05": 3, "p95": 3}
    assert found["ssim"] == pytest.approx({"mean": 0.6, "p05": 0.6, "p95": 0.6})


@pytest.mark.parametrize(
    ("mse", "ssim"), [([1, 2], [1, 2]), ([1, 2, 3], [1, 2]), ([[1, 2, 3]],) * 2]
)
def test_too_few_patches_are_refused(mse, ssim):
    with pytest.raises(ValueError, match="three patches"):
        three_patch_statistic(mse, ssim)
