"""The deviation that ``denoise`` states: fitted to true errors on simulated surfaces.

    python -m stm_experiments.benchmarks.stated_error --images 420 --write stated_error.json

Surfaces of any kind (``simulator.surface.any_surface``), none of them in the frozen collection, get
the noises of the collection in turn, with seeds of their own. They are denoised, and a small
network learns the logarithm of the variance from the covariates of the mixture, by quantile
regression: 68.3 % of the pixels are to be within one deviation of the truth and 95.4 % within two.
A plane is no error. ``benchmarks.quality frozen`` measures the coverage on its own surfaces.
"""

import argparse
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from stm_experiments.benchmarks.quality.noises import COLLECTION_NOISES, canvas_of, record
from stm_experiments.core.arrays import Array
from stm_experiments.core.files import atomic_write_text
from stm_experiments.core.normalisation import denormalise, normalise_plane
from stm_experiments.core.planes import subtract_plane
from stm_experiments.core.seeds import seed_of
from stm_experiments.models import checkpoint
from stm_experiments.restoration.denoise import DEFAULT
from stm_experiments.restoration.mixture import local_risk
from stm_experiments.restoration.mixture.stated_error import StatedError, error_covariates
from stm_experiments.simulator.surface.any_surface import draw_any_surface

SHAPES = ((192, 192), (192, 256), (128, 128), (256, 224))  # px
PIXELS = 500  # of each image
HIDDEN, STEPS, BATCH, RATE, DECAY = 12, 2500, 8192, 0.03, 1e-3
_WITHIN = ((0.683, 1.0), (0.954, 2.0))  # share of the pixels, deviations


class ErrorSamples(NamedTuple):
    """Pixels with what is known of them and their true error.

    Attributes:
        names: Of the covariates.
        covariates: [P, C].
        error: Logarithm of the squared error over the image's broad power, [P].
    """

    names: list[str]
    covariates: Tensor
    error: Tensor


def samples_of(numbers: Iterable[int], mixing: local_risk.LocalRisk) -> ErrorSamples:
    """Denoise simulated scans and draw pixels of each."""
    names: list[str] = []
    covariates, errors = [], []
    for number in numbers:
        noisy, clean = simulated_scan(number)
        flat, affine = normalise_plane(noisy)
        with torch.no_grad():
            terms = mixing.mixture(torch.from_numpy(flat)).terms
        heights = denormalise(terms.output.double().numpy(), affine)
        error = torch.from_numpy(subtract_plane(heights - clean) / affine.scale)
        powers, broad = error_covariates(terms)
        names = list(powers)
        rng = np.random.default_rng(seed_of("stated error", "pixels", number))
        rows, columns = (torch.from_numpy(rng.integers(0, side, PIXELS)) for side in error.shape)
        places = (rows // terms.block, columns // terms.block)
        covariates.append(torch.stack([power[places] for power in powers.values()], 1))
        squares = error[rows, columns].square().clamp(min=1e-18)
        errors.append((squares / broad).log())
    return ErrorSamples(names, torch.cat(covariates).float(), torch.cat(errors).float())


def surface_seed(number: int) -> int:
    """Return the seed of the surface of a scan."""
    return seed_of("error model", number)


def simulated_scan(number: int) -> tuple[Array, Array]:
    """Simulate a scan, with noise and without, [H, W] each."""
    names = list(COLLECTION_NOISES)
    noise = COLLECTION_NOISES[names[number % len(names)]]
    shape = SHAPES[number // len(names) % len(SHAPES)]
    rows, columns = canvas_of(noise, shape)
    surface = draw_any_surface(surface_seed(number), max(rows, columns))
    heights = surface.double().numpy()[:rows, :columns]
    clean, noisy = record(noise, heights, heights, seed_of("error model noise", number), shape)
    return noisy, clean


def fit(samples: ErrorSamples) -> StatedError:
    """Fit the map by the pinball loss of both quantiles."""
    torch.manual_seed(0)
    inputs = samples.covariates
    means, deviations = inputs.mean(0), inputs.std(0).clamp(min=1e-3)
    hidden, last = nn.Linear(inputs.shape[1], HIDDEN), nn.Linear(HIDDEN, 1)
    net = nn.Sequential(hidden, nn.Tanh(), last)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    standard = (inputs - means) / deviations
    for _ in range(STEPS):
        chosen = torch.randint(0, len(inputs), (BATCH,))
        above = samples.error[chosen] - net(standard[chosen])[:, 0]
        loss = torch.zeros(())
        for share, multiple in _WITHIN:
            rest = above - 2 * math.log(multiple)
            loss = loss + multiple * torch.maximum(share * rest, (share - 1) * rest).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return StatedError(
        covariates=samples.names,
        means=means.tolist(),
        deviations=deviations.tolist(),
        first=hidden.weight.tolist(),
        first_bias=hidden.bias.tolist(),
        second=last.weight[0].tolist(),
        second_bias=last.bias.item(),
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=420, help="simulated scans")
    parser.add_argument("--model", default=DEFAULT, help="the denoiser")
    parser.add_argument("--write", required=True, help="a new file for the fitted map")
    options = parser.parse_args()
    try:
        if options.images < 1:
            raise ValueError(f"--images is at least 1, not {options.images}")
        if Path(options.write).exists():
            raise ValueError(f"{options.write} exists and is not overwritten")
        mixing = local_risk.LocalRisk(checkpoint.load(options.model))
        samples = samples_of(track(range(options.images), "scans"), mixing)
        atomic_write_text(Path(options.write), fit(samples).to_json())
    except ValueError as error:
        print(f"stated_error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
