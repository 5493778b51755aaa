"""Measures of one patch against another: MSE, PSNR, SSIM, and the least error that noise allows.

Images are on [-1, 1], so the data range is 2. The measures of a network are

==============  ===================================================================================
mse_noisy       mean squared error per pixel against the noisy patch
mse_clean       the same against the clean patch
psnr_clean      10 log10(4 / mse_clean) [dB], of the mean of mse_clean, not the mean of decibels
ssim_noisy      SSIM against the noisy patch: 7x7 uniform window, data range 2
ssim_clean      the same against the clean patch
ssim_paper      SSIM against the noisy patch: 11x11 uniform window, data range 1: what Binev et
                al. ("STM image analysis using autoencoders") computed, not comparable with the rest
==============  ===================================================================================

A low error against noisy says that the input was reproduced, noise included; only the error
against clean says that it was denoised.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

METRICS = ("mse_noisy", "mse_clean", "psnr_clean", "ssim_noisy", "ssim_clean", "ssim_paper")


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference per pixel of each patch: two ``[B,1,H,W]`` to ``[B]``.

    Raises:
        ValueError: If the shapes differ.
    """
    _same_shape(a, b)
    return (a - b).square().flatten(1).mean(1)


def psnr(a: Tensor, b: Tensor, data_range: float = 2.0) -> Tensor:
    """Peak signal-to-noise ratio of each patch, 10 log10(data_range^2 / mse) [dB].

    Args:
        a: ``[B,1,H,W]``.
        b: ``[B,1,H,W]``.
        data_range: Largest minus smallest possible value.

    Returns:
        ``[B]``; inf where the patches are equal.
    """
    return 10 * torch.log10(data_range**2 / mse(a, b))


def ssim(a: Tensor, b: Tensor, window: int = 7, data_range: float = 2.0) -> Tensor:
    """Mean structural similarity of each patch, by scikit-image's definition.

    Wang et al., IEEE Trans. Image Process. 13, 600 (2004), with a uniform window, K1 = 0.01,
    K2 = 0.03 and sample covariances (n - 1), averaged over the windows that lie inside the patch:
    ``skimage.metrics.structural_similarity(a, b, win_size=window, data_range=data_range)``.
    Computed in float64, whatever the input's precision.

    Args:
        a: ``[B,1,H,W]``.
        b: ``[B,1,H,W]``.
        window: Side of the window [px], odd.
        data_range: Largest minus smallest possible value; sets the two stabilising constants.

    Returns:
        ``[B]``, of the input's dtype.

    Raises:
        ValueError: If the shapes differ, or the window is even, below 3 or larger than the patch.
    """
    _same_shape(a, b)
    if window < 3 or window % 2 == 0 or window > min(a.shape[-2:]):
        raise ValueError(
            f"The SSIM window must be odd, at least 3 and fit the patch: {window} px for "
            f"{a.shape[-2]}x{a.shape[-1]}."
        )
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    bessel = window**2 / (window**2 - 1)
    values = []
    chunk = max(1, 2**18 // (a.shape[-1] * a.shape[-2]))  # patches that stay in a CPU's cache
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


def _same_shape(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise ValueError(f"Cannot compare {list(a.shape)} with {list(b.shape)}.")


def _box_mean(x: Tensor, window: int) -> Tensor:
    """Mean over all ``window x window`` squares inside ``[...,H,W]``, by running sums."""
    for dim in (-1, -2):
        running = F.pad(x.cumsum(dim), (1, 0) if dim == -1 else (0, 0, 1, 0))
        steps = x.shape[dim] - window + 1
        x = running.narrow(dim, window, steps) - running.narrow(dim, 0, steps)
    return x / window**2


def noise_floor(sigma2: float, n_pixels: int, degrees_of_freedom: float = 8) -> float:
    """The least ``mse_clean`` that an unbiased denoiser can reach: sigma^2 d / N.

    The Cramer-Rao bound for a patch of N pixels that d identifiable parameters describe, under
    white noise. Likewise a ``mse_noisy`` below sigma^2 (1 - d / N) has fitted noise.

    Args:
        sigma2: Variance of the noise per pixel on [-1, 1]: ``mse_clean`` of the noisy input.
        n_pixels: Pixels in the patch, N.
        degrees_of_freedom: d. About 8 for the lattice alone, 11 with the striation, 15 to 18 with
            every atom's jitter.
    """
    return sigma2 * degrees_of_freedom / n_pixels


def patch_measures(output: Tensor, noisy: Tensor, clean: Tensor | None) -> dict[str, Tensor]:
    """The measures of each patch of one batch.

    Args:
        output: A network's reconstruction, ``[B,1,h,w]``.
        noisy: What it was given, ``[B,1,h,w]``.
        clean: The same without noise, or None.

    Returns:
        Name to ``[B]``, for each of METRICS but psnr_clean, which is taken of a mean. An SSIM is
        left out where the patch is smaller than its window.
    """
    side = min(noisy.shape[-2:])
    values = {"mse_noisy": mse(output, noisy)}
    if clean is not None:
        values["mse_clean"] = mse(output, clean)
    if side >= 7:
        values["ssim_noisy"] = ssim(output, noisy)
        if clean is not None:
            values["ssim_clean"] = ssim(output, clean)
    if side >= 11:
        values["ssim_paper"] = ssim(output, noisy, window=11, data_range=1.0)
    return values
