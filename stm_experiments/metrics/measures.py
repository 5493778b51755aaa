"""Measures of one patch compared with another: MSE, SSIM, and the least error that noise allows.

Images are on [-1, 1], so the data range is 2. The measures of a network are

==============  ===================================================================================
mse_noisy       mean squared error per pixel, compared with the noisy patch
mse_clean       the same, compared with the clean patch
psnr_clean      10 log10(4 / mse_clean), dB, of the mean of mse_clean, not the mean of decibels
ssim_noisy      SSIM with the noisy patch: 7x7 uniform window, data range 2
ssim_clean      the same with the clean patch
ssim_paper      SSIM with the noisy patch: 11x11 uniform window, data range 1. Binev et al. ("STM
                image analysis using autoencoders") computed it so; it cannot be compared with the
                other two
==============  ===================================================================================

A low error compared with the noisy patch says that the input was reproduced, with its noise; only
the error compared with the clean patch says that the input was denoised.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

METRICS = ("mse_noisy", "mse_clean", "psnr_clean", "ssim_noisy", "ssim_clean", "ssim_paper")
WINDOW = 7  # of SSIM, px: scikit-image's default
PAPER_WINDOW = 11  # of ssim_paper, px
_CACHED_PIXELS = 2**18  # as many float64 pixels as stay in a CPU's cache; more are twice as slow


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean squared difference per pixel of each patch, [B].

    Args:
        a: [B, 1, H, W].
        b: [B, 1, H, W].

    Raises:
        ValueError: If the shapes differ.
    """
    from torchmetrics.functional import mean_squared_error  # a second, which the report can save

    _check_same_shape(a, b)
    # torchmetrics averages over the first axis.
    errors = mean_squared_error(a.flatten(1).T, b.flatten(1).T, num_outputs=len(a))
    return errors.reshape(len(a))


def ssim(a: Tensor, b: Tensor, window: int = WINDOW, data_range: float = 2.0) -> Tensor:
    """Return the mean structural similarity of each patch, by scikit-image's definition.

    Wang et al., IEEE Trans. Image Process. 13, 600 (2004), with a uniform window, K1 = 0.01,
    K2 = 0.03 and sample covariances (n - 1), averaged over the windows inside the patch:
    ``skimage.metrics.structural_similarity(a, b, win_size=window, data_range=data_range)``.
    Computed in float64.

    torchmetrics cannot replace it. Its SSIM divides the covariances by n and averages over windows
    that reach beyond the border, where it mirrors the image. Its full map, cropped, with K2
    divided by sqrt(n / (n - 1)), gives the same number (a test says so), but takes about 100 times
    as long with a window of 7 px and 700 times with 11 px on a CPU: a convolution in float64
    instead of running sums.

    Args:
        a: [B, 1, H, W].
        b: [B, 1, H, W].
        window: Side of the window, px, odd.
        data_range: Largest minus smallest possible value; sets the two stabilising constants.

    Returns:
        [B], of the input's dtype.

    Raises:
        ValueError: If the shapes differ, or the window is even, below 3 or larger than the patch.
    """
    _check_same_shape(a, b)
    if window < 3 or window % 2 == 0 or window > min(a.shape[-2:]):
        raise ValueError(
            f"The SSIM window must be odd, at least 3 and fit the patch: {window} px for "
            f"{a.shape[-2]}x{a.shape[-1]}."
        )
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    bessel = window**2 / (window**2 - 1)
    values = []
    chunk = max(1, _CACHED_PIXELS // (a.shape[-1] * a.shape[-2]))  # patches
    for x, y in zip(a.double().split(chunk), b.double().split(chunk), strict=True):
        mean_x, mean_y = _box_mean(x, window), _box_mean(y, window)
        products = mean_x * mean_y
        squares = mean_x.square() + mean_y.square()
        covariance = bessel * (_box_mean(x * y, window) - products)
        variances = bessel * (_box_mean(x.square() + y.square(), window) - squares)
        similarity = (2 * products + c1) * (2 * covariance + c2)
        similarity /= (squares + c1) * (variances + c2)
        values.append(similarity.flatten(1).mean(1))
    return torch.cat(values).to(a.dtype) if values else a.new_zeros(0)


def _check_same_shape(a: Tensor, b: Tensor) -> None:
    """Refuse images of different shapes.

    Raises:
        ValueError: If the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"Cannot compare {list(a.shape)} with {list(b.shape)}.")


def _box_mean(x: Tensor, window: int) -> Tensor:
    """Return the mean over every square of ``window`` px inside [..., H, W], by running sums."""
    for dim in (-1, -2):
        running = F.pad(x.cumsum(dim), (1, 0) if dim == -1 else (0, 0, 1, 0))
        steps = x.shape[dim] - window + 1
        x = running.narrow(dim, window, steps) - running.narrow(dim, 0, steps)
    return x / window**2


def noise_floor(sigma2: float, n_pixels: int, degrees_of_freedom: float = 8) -> float:
    """Return the least ``mse_clean`` that an unbiased denoiser can reach: sigma^2 d / N.

    The Cramer-Rao bound for a patch of N pixels that d identifiable parameters describe, under
    white noise. Likewise, a network whose ``mse_noisy`` is below sigma^2 (1 - d / N) has fitted
    noise.

    Args:
        sigma2: Variance of the noise per pixel on [-1, 1]: ``mse_clean`` of the noisy input.
        n_pixels: Pixels in the patch, N.
        degrees_of_freedom: d. About 8 for the lattice alone, 11 with the striation, 15 to 18 with
            the jitter of every atom.
    """
    return sigma2 * degrees_of_freedom / n_pixels


def patch_measures(output: Tensor, noisy: Tensor, clean: Tensor | None) -> dict[str, Tensor]:
    """Return the measures of each patch of one batch.

    Args:
        output: A network's reconstruction, [B, 1, h, w].
        noisy: Its input, [B, 1, h, w].
        clean: The same without noise, [B, 1, h, w], or None.

    Returns:
        Name to [B], for each of METRICS but psnr_clean, which is computed from a mean. An SSIM is
        left out where the patch is smaller than its window.
    """
    side = min(noisy.shape[-2:])
    values = {"mse_noisy": mse(output, noisy)}
    if clean is not None:
        values["mse_clean"] = mse(output, clean)
    if side >= WINDOW:
        values["ssim_noisy"] = ssim(output, noisy)
        if clean is not None:
            values["ssim_clean"] = ssim(output, clean)
    if side >= PAPER_WINDOW:
        values["ssim_paper"] = ssim(output, noisy, window=PAPER_WINDOW, data_range=1.0)
    return values
