"""The statistic of the paper's Table 2: the mean over three patches of the training set."""

import numpy as np
import numpy.typing as npt


def three_patch_statistic(
    mse: npt.ArrayLike, ssim_paper: npt.ArrayLike, draws: int = 1000, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Return the statistic of the paper's Table 2, and how much it depends on the draw.

    A row of that table is the mean over three patches of the training set. Here three different
    patches are drawn many times; both measures are of the same three.

    Args:
        mse: Error of each training patch compared with its noisy input, [n], n >= 3.
        ssim_paper: Similarity as the paper computed it (11 px window, data range 1), [n].
        draws: Number of draws of three patches.
        seed: Seed of the draws.

    Returns:
        ``{"mse": {"mean", "p05", "p95"}, "ssim": {...}}``: mean and percentiles of the means of
        three.

    Raises:
        ValueError: If there are fewer than three patches, or the lists differ in length.
    """
    values = {"mse": np.asarray(mse, np.float64), "ssim": np.asarray(ssim_paper, np.float64)}
    count = values["mse"].size
    if values["mse"].shape != (count,) or values["ssim"].shape != (count,) or count < 3:
        raise ValueError(
            "three patches are drawn from two lists of equal length of at least 3, not from "
            f"{list(values['mse'].shape)} and {list(values['ssim'].shape)} values"
        )
    random = np.random.default_rng(seed)
    chosen = np.stack([random.choice(count, 3, replace=False) for _ in range(draws)])
    result = {}
    for name, of_patch in values.items():
        means = of_patch[chosen].mean(axis=1)
        low, high = np.percentile(means, [5, 95])
        result[name] = {"mean": float(means.mean()), "p05": float(low), "p95": float(high)}
    return result
