"""A denoiser that never does worse than the scan: experts mixed by their estimated error."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.noise import mean_power, noise_spectrum, sample_noise
from stm_experiments.models import tiling
from stm_experiments.models.baselines.patch_wiener import PatchWiener, filtered_by_all
from stm_experiments.models.interfaces import Network, NetworkModule
from stm_experiments.restoration.mixture.single_features import lost_features
from stm_experiments.restoration.mixture.stated_error import (
    MixtureTerms,
    averaged,
    block_means,
    stated_variance,
)

SMALLEST = 32  # px, least side of an image whose noise can be measured
LEAST_ERROR = 0.01  # of the noise's power; an estimate below it is luck

# From an image [H, W] and the spectrum of its noise to the estimate of each of K experts.
Experts = Callable[[Tensor, Tensor], list[Tensor]]


@dataclass(frozen=True)
class MixtureRules:
    """The constants of ``LocalRisk``.

    Attributes:
        patches: Heights and widths of the patches of the Wiener filters, px.
        block: Side of the blocks of pixels that share their weights, px.
        radius: Standard deviation of the Gaussian over which errors are averaged, px.
        prior: Weight of the whole image in the local choice.
        probe: Size of the probe that measures how an expert passes noise, as a share of the noise.
        least_gain: Expected gain below which an image stays as it is, dB.
        caution: Share by which the noise counts as stronger when experts are chosen: within the
            error of the estimate, the smoother one is preferred.
        least_advantage: Expected decrease of the error, as a share of the noise, from which the
            network is used at all, and from which a place has weights of its own.
        piece: Largest side of a piece of a large image, px; a piece needs .2 KiB per px.
        margin: Pixels at the cut sides of a piece that are not used: from 48 px on, the cut changes
            the output by less than 1e-3 of the noise.
    """

    patches: tuple[tuple[int, int], ...] = ((9, 9), (17, 17), (25, 25))
    block: int = 4
    radius: float = 12.0
    prior: float = 0.3
    probe: float = 0.2
    least_gain: float = 0.1
    caution: float = 0.15
    least_advantage: float = 0.003
    piece: int = 1536
    margin: int = 48


class Mixture(NamedTuple):
    """An image as a mixture of experts.

    Attributes:
        terms: The denoised image and what is known of its error.
        error: Estimated mean squared error of the output.
        shares: Mean weight of each expert, the network first; what is missing to 1 is the image
            itself, [K].
        alone: Estimated mean squared error of each expert alone, [K].
        returned: Share of the pixels to which single features were given back.
    """

    terms: MixtureTerms
    error: float
    shares: Tensor
    alone: Tensor
    returned: float = 0.0

    @property
    def output(self) -> Tensor:
        """The denoised image, [H, W]."""
        return self.terms.output

    @property
    def noise(self) -> float:
        """Mean squared noise of the image."""
        return self.terms.noise

    @property
    def risk(self) -> Tensor:
        """Square of the deviation that is stated for each pixel, [H, W]; see ``stated_error``."""
        blocks, shape = stated_variance(self.terms), self.terms.image.shape
        return _spread(blocks[None], shape, self.terms.block)[0]

    @property
    def gain(self) -> float:
        """Noise over estimated error, dB; 0 for an image without noise."""
        return 10 * math.log10(self.noise / self.error) if self.noise > 0 else 0.0


class WholeMixture(NamedTuple):
    """A scan of any size as a mixture of experts.

    Attributes:
        output: The denoised image, [H, W] float32.
        deviation: Estimated error, standard deviation, [H, W]; None: not wanted.
        shares: Mean weight of each expert, the network first, [K].
        alone: Estimated mean squared error of each expert alone, [K].
        noise: Mean squared noise.
        error: Estimated mean squared error.
        returned: Share of the pixels to which single features were given back.
    """

    output: Tensor
    deviation: Tensor | None
    shares: Tensor
    alone: Tensor
    noise: float
    error: float
    returned: float


class LocalRisk(NetworkModule):
    """Mixes a denoiser with Wiener filters and with the image itself by their estimated error.

    The output is y + sum_k w_k (f_k(y) - y) with w_k >= 0 and sum_k w_k <= 1: y is the image, f_k
    an expert. The weights minimise Stein's unbiased estimate of the mean squared error, which needs
    no truth but the spectrum of the noise (``core.noise.noise_spectrum``):

        s^2 + |sum_k w_k d_k|^2 + 2 sum_k w_k (c_k - s^2),    d_k = f_k(y) - y,

    where s^2 is the mean squared noise and c_k the covariance of noise and estimate, measured by
    passing the image once more with a little noise added (Ramani, Blu, Unser, IEEE Trans. Image
    Process. 17, 1540 (2008)). An expert that is wrong changes the image by more than its noise, and
    gets no weight. The weights are found for the whole image first, without the network unless it
    is needed, then for each place with a preference for those of the whole. What does not clearly
    decrease the estimated error is left out: on mere noise, it would add specks where the estimate
    is too low by chance. An image for which nothing is gained stays as it is. Features that occur
    once and that no expert has are given back (``lost_features``).

    Args:
        net: The denoiser, for images of any size.
        rules: The constants.
    """

    def __init__(self, net: Network, rules: MixtureRules | None = None) -> None:
        super().__init__()
        self.net = net
        self.rules = rules or MixtureRules()
        self.filters = [PatchWiener(*sides) for sides in self.rules.patches]  # no parameters
        self.label, self.window, self.card = net.label, net.window, net.card

    def forward(self, images: Tensor) -> Tensor:
        """Map noisy images [B, 1, H, W] to denoised images of the same scale; any H and W."""
        return torch.stack([self.mixture(image[0]).output[None] for image in images])

    def mixture(self, image: Tensor) -> Mixture:
        """Mix the experts for one image [H, W]; one of less than 32 px stays as it is."""
        if min(image.shape) < SMALLEST:
            none = torch.zeros(len(self.filters) + 1)
            zeros = block_means(torch.zeros_like(image), self.rules.block)
            terms = MixtureTerms(image, image, 0.0, zeros, zeros, zeros, zeros, self.rules.block)
            return Mixture(terms, 0.0, none, none)
        return mix(image, noise_spectrum(image), self._estimates, self.rules)

    def whole(
        self,
        image: Tensor,
        *,
        deviation: bool = False,
        progress: tiling.Progress | None = None,
    ) -> WholeMixture:
        """Denoise a scan [H, W] of any size in pieces, each by its own noise.

        Args:
            image: [H, W].
            deviation: Whether the estimated error of each pixel is wanted.
            progress: Called as ``progress(done, total)``.
        """
        summaries: list[Tensor] = []
        pixels: list[int] = []

        def run(piece: Tensor) -> Tensor:
            mixture = self.mixture(piece)
            errors = torch.tensor([mixture.noise, mixture.error, mixture.returned])
            summaries.append(torch.cat((errors, mixture.shares.cpu(), mixture.alone.cpu())))
            pixels.append(piece.numel())
            return torch.stack([mixture.output, mixture.risk] if deviation else [mixture.output])

        with torch.no_grad():
            maps = tiling.join_pieces(
                run, image, 1 + deviation, progress, self.rules.piece, self.rules.margin
            )
        weights = torch.tensor(pixels, dtype=torch.float32)
        means = weights @ torch.stack(summaries).float() / weights.sum()
        shares, alone = means[3:].chunk(2)
        deviations = maps[1].sqrt() if deviation else None
        return WholeMixture(maps[0], deviations, shares, alone, *means[:3].tolist())

    def _estimates(self, image: Tensor, spectrum: Tensor) -> list[Tensor]:
        """Denoise one image by the network and by each filter."""
        estimate = self.net(image[None, None].float())[0, 0].to(image.dtype)
        return [estimate, *filtered_by_all(self.filters, image, spectrum)]


def mix(image: Tensor, spectrum: Tensor, experts: Experts, rules: MixtureRules) -> Mixture:
    """Mix experts; see ``LocalRisk``.

    Args:
        image: [H, W].
        spectrum: Of its noise.
        experts: Estimates of an image whose noise's spectrum is known.
        rules: The constants.
    """
    shape = image.shape
    generator = torch.Generator().manual_seed(0)
    probe = sample_noise(spectrum.cpu(), shape[1], generator).to(image)
    noise = mean_power(spectrum, shape[1])
    estimates = experts(image, spectrum)
    answers = experts(image + rules.probe * probe, spectrum)
    linear = torch.stack(
        [
            block_means(probe * (answer - estimate) / rules.probe - probe.square(), rules.block)
            for estimate, answer in zip(estimates, answers, strict=True)
        ]
    )
    del answers
    changes = [estimate - image for estimate in estimates]
    quadratic = linear.new_empty(len(changes), *linear.shape)
    for row, one in enumerate(changes):
        for column, other in enumerate(changes[: row + 1]):
            product = block_means(one * other, rules.block)
            quadratic[row, column] = quadratic[column, row] = product
    weights = _weights(quadratic, linear, noise, rules)
    error = _error(quadratic, linear, noise, weights)
    mean_error = max(float(error.mean()), LEAST_ERROR * noise)
    if noise <= 0 or 10 * math.log10(noise / mean_error) < rules.least_gain:
        weights = torch.zeros_like(weights)
        error = torch.full_like(error, noise)
    output = image.clone()
    for weight, change in zip(_spread(weights, shape, rules.block), changes, strict=True):
        output += weight * change
    features = lost_features(image, output)
    output += features.heights
    change = (_times(quadratic, weights) * weights).sum(0)
    squares = quadratic.diagonal(dim1=0, dim2=1).movedim(-1, 0)
    terms = MixtureTerms(
        image=image,
        output=output,
        noise=noise,
        error=error,
        variance=(squares * weights).sum(0) - change,
        change=change,
        kept=1 - weights.sum(0),
        block=rules.block,
    )
    return Mixture(
        terms=terms,
        error=mean_error,
        shares=weights.mean((1, 2)),
        alone=noise + quadratic.mean((2, 3)).diagonal() + 2 * linear.mean((1, 2)),
        returned=features.share,
    )


def _error(quadratic: Tensor, linear: Tensor, noise: float, weights: Tensor) -> Tensor:
    """Return Stein's estimate of the squared error of a mixture in each block, [h, w]."""
    return noise + ((_times(quadratic, weights) + 2 * linear) * weights).sum(0)


def _weights(quadratic: Tensor, linear: Tensor, noise: float, rules: MixtureRules) -> Tensor:
    """Return the weights of the experts in each block, [K, h, w]; see ``LocalRisk``."""
    wanted = rules.least_advantage * noise
    linear = (1 + rules.caution) * linear
    mean_quadratic = quadratic.mean((2, 3), keepdim=True)
    mean_linear = linear.mean((1, 2), keepdim=True)
    # The same problem twice, side by side: without the network, and with it.
    without = torch.ones_like(mean_linear)
    without[0] = 0
    filters, everything = _least_risk(
        torch.cat((mean_quadratic * without * without[:, None], mean_quadratic), -1),
        torch.cat((mean_linear.where(without > 0, math.inf), mean_linear), -1),
        steps=500,
    ).split(1, -1)
    whole = _if_better(filters, everything, mean_quadratic, mean_linear, wanted)
    near_quadratic, near_linear = (
        averaged(term, rules.radius / rules.block) for term in (quadratic, linear)
    )
    pull = rules.prior * torch.diag(mean_quadratic[:, :, 0, 0].diagonal())
    whole = whole.expand_as(linear)
    local = _least_risk(
        near_quadratic + pull[..., None, None],
        near_linear - (pull @ whole[:, :1, 0]).unsqueeze(-1),
        steps=60,
        start=whole,
    )
    return _if_better(whole, local, near_quadratic, near_linear, wanted)


def _if_better(
    plain: Tensor, other: Tensor, quadratic: Tensor, linear: Tensor, wanted: float
) -> Tensor:
    """Return the plain weights [K, h, w], or others where their error is less by enough.

    Args:
        plain: Weights that are kept without evidence.
        other: Weights that fade in from ``wanted`` to twice as much.
        quadratic: A, as in ``_least_risk``.
        linear: b.
        wanted: Decrease of the error from which the others count.
    """
    first, second = (_error(quadratic, linear, 0.0, weights) for weights in (plain, other))
    tiny = torch.finfo(first.dtype).tiny
    return torch.lerp(plain, other, ((first - second) / max(wanted, tiny) - 1).clamp(0, 1))


def _spread(terms: Tensor, shape: torch.Size, side: int) -> Tensor:
    """Interpolate terms [K, h, w] of blocks of this side to pixels, [K, H, W]."""
    size = tuple(side * length for length in terms.shape[-2:])
    whole = F.interpolate(terms[None], size, mode="bilinear", align_corners=False)[0]
    return whole[:, : shape[0], : shape[1]]


def _times(quadratic: Tensor, weights: Tensor) -> Tensor:
    """Multiply matrices [K, K, h, w] by vectors [K, h, w]."""
    return (quadratic * weights).sum(1)


def _least_risk(
    quadratic: Tensor, linear: Tensor, steps: int, start: Tensor | None = None
) -> Tensor:
    """Minimise w A w + 2 b w over w >= 0 with a sum of at most 1, at each place.

    By an accelerated projected gradient (FISTA).

    Args:
        quadratic: A, [K, K, h, w].
        linear: b, [K, h, w].
        steps: Number of steps.
        start: First weights, [K, h, w]; None: zero.
    """
    size = quadratic.square().sum((0, 1)).sqrt().clamp(min=torch.finfo(quadratic.dtype).tiny)
    weights = torch.zeros_like(linear) if start is None else start
    ahead, momentum = weights, 1.0
    for _ in range(steps):
        downhill = _project(ahead - (_times(quadratic, ahead) + linear) / size)
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = downhill + (momentum - 1) / following * (downhill - weights)
        weights, momentum = downhill, following
    return weights


def _project(weights: Tensor) -> Tensor:
    """Return the nearest weights [K, ...] that are not negative and add up to at most 1."""
    ordered, _ = weights.sort(dim=0, descending=True)
    count = torch.arange(1, len(weights) + 1, device=weights.device).view(-1, 1, 1)
    excess = ((ordered.cumsum(0) - 1) / count).amax(0)
    return (weights - excess.clamp(min=0)).clamp(min=0)
