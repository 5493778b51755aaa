"""The deviation that is stated for each pixel of a denoised scan."""

import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.core.blur import gaussian_sum
from stm_experiments.core.noise import broad_power
from stm_experiments.models.checkpoint import WEIGHTS

FITTED = WEIGHTS / "stated_error.json"
_DISAGREEMENT = 0.5  # the variance grows where this multiple of disagreement over its mean is > 1
_LEAST = 1e-4  # of the image's broad power: smaller covariates count as so large


class MixtureTerms(NamedTuple):
    """What a mixture of experts knows of its error; see ``local_risk``.

    Attributes:
        image: The noisy image, [H, W].
        output: The denoised one, [H, W].
        noise: Mean squared noise that was measured.
        error: Stein's estimate of the squared error of each block, [h, w].
        variance: Between the experts in each block, the image included, [h, w].
        change: Mean squared change in each block, [h, w].
        kept: Weight of the image itself, [h, w].
        block: Side of a block, px.
    """

    image: Tensor
    output: Tensor
    noise: float
    error: Tensor
    variance: Tensor
    change: Tensor
    kept: Tensor
    block: int


@dataclass(frozen=True)
class StatedError:
    """The fitted map from covariates to the logarithm of the stated variance.

    A network with one hidden layer of tanh.

    Attributes:
        covariates: Names, C of them.
        means: Of the covariates, [C].
        deviations: Of the covariates, [C].
        first: Weights of the hidden layer, [N, C].
        first_bias: [N].
        second: Weights of the last layer, [N].
        second_bias: Its bias.
    """

    covariates: list[str]
    means: list[float]
    deviations: list[float]
    first: list[list[float]]
    first_bias: list[float]
    second: list[float]
    second_bias: float

    def __call__(self, covariates: Tensor) -> Tensor:
        """Map covariates [..., C] to the logarithm of the variance over the broad power, [...]."""
        means, deviations, first, first_bias, second = (
            torch.tensor(x, dtype=covariates.dtype, device=covariates.device)
            for x in (self.means, self.deviations, self.first, self.first_bias, self.second)
        )
        hidden = F.linear((covariates - means) / deviations, first, first_bias).tanh()
        return hidden @ second + self.second_bias

    def to_json(self) -> str:
        """Return the text of the file that ships."""
        return json.dumps(asdict(self), indent=1)


@cache
def fitted_error() -> StatedError:
    """Return the map that ships; ``benchmarks.stated_error`` fits it."""
    return StatedError(**json.loads(FITTED.read_text(encoding="utf-8")))


def stated_variance(terms: MixtureTerms) -> Tensor:
    """Return the square of the stated deviation of each block, [h, w].

    Stein's estimate knows the noise that was measured. What was not measured, such as noise that is
    correlated between lines, and a feature that may be lost, show in other covariates: power of the
    result that lies in no Bragg peak, disagreement of the experts, slopes. The map from them to the
    deviation is fitted to simulated surfaces with noises of all kinds, so that 68 and 95 % of all
    pixels are within one and two deviations of the truth. A single feature is too few pixels to
    count in the fit: the variance is larger where the experts disagree more than elsewhere.
    """
    covariates, broad = error_covariates(terms)
    if broad <= 0:  # a constant image
        return torch.zeros_like(terms.error)
    logarithms = torch.stack(list(covariates.values()), -1)
    fitted = broad * fitted_error()(logarithms).exp().to(terms.error.dtype)
    near = averaged(terms.variance.clamp(min=0), 4 / terms.block)
    mean = near.mean().clamp(min=torch.finfo(near.dtype).tiny)
    return fitted * (_DISAGREEMENT * near / mean).clamp(min=1)


def error_covariates(terms: MixtureTerms) -> tuple[dict[str, Tensor], float]:
    """Return what the error of a mixture may depend on.

    Returns:
        Logarithms of powers over the image's broad power, [h, w] each, by name; the broad power
        (``core.noise.broad_power``).
    """
    before, after = broad_power(terms.image), broad_power(terms.output)
    broad = float(before.sum())
    slopes = torch.zeros_like(terms.output)
    slopes[:-1, :-1] = (
        terms.output.diff(dim=0)[:, :-1].square() + terms.output.diff(dim=1)[:-1].square()
    )
    powers: dict[str, Tensor | float] = {
        "error within 40 px": averaged(terms.error, 40 / terms.block),
        "error within 12 px": averaged(terms.error, 12 / terms.block),
        "disagreement within 4 px": averaged(terms.variance.clamp(min=0), 4 / terms.block),
        "disagreement within 16 px": averaged(terms.variance.clamp(min=0), 16 / terms.block),
        "noise": terms.noise,
        "mean error": float(terms.error.mean()),
        "broad power of the result": float(after.sum()),
        "of its whole lines": float(after[:, 0].sum()),
        "of its slow changes": float(after[0, 1:3].sum()),
        "of its middle frequencies": float(after[1:3, 1:].sum()),
        "broad power of whole lines": float(before[:, 0].sum()),
        "of slow changes": float(before[0, 1:3].sum()),
        "of middle frequencies": float(before[1:3, 1:].sum()),
        "slopes": averaged(block_means(slopes, terms.block), 4 / terms.block),
        "image": float(terms.image.var()),
        "noise that stays": averaged(
            terms.kept.clamp(min=0).square() * terms.noise, 4 / terms.block
        ),
        "change within 8 px": averaged(terms.change, 8 / terms.block),
    }
    least = max(_LEAST * broad, torch.finfo(torch.float32).tiny)
    blocks = torch.ones_like(terms.error)
    covariates = {
        name: ((power * blocks).clamp(min=least) / max(broad, least)).log()
        for name, power in powers.items()
    }
    return covariates, broad


def block_means(term: Tensor, side: int) -> Tensor:
    """Average [H, W] over blocks of pixels; blocks at the far borders are smaller."""
    means: Tensor = F.avg_pool2d(term[None, None], side, ceil_mode=True, count_include_pad=False)
    return means[0, 0]


def averaged(terms: Tensor, radius: float) -> Tensor:
    """Average blocks [..., h, w] under a Gaussian of this standard deviation, blocks.

    At the border the blocks inside of the image count: repeated ones would decide alone.
    """
    flat = terms.reshape(-1, 1, *terms.shape[-2:])
    means = gaussian_sum(flat, radius) / gaussian_sum(torch.ones_like(flat[:1]), radius)
    return means.view(terms.shape)
