"""Striped images with their truth, the methods that take stripes off, and what these are worth."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stm_experiments.core.intervals import psnr_of_mse
from stm_experiments.core.seeds import seed_of
from stm_experiments.metrics import whole_image
from stm_experiments.models import DetectAndInterpolate, MedianOfDifferences, RowMedian, checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.restoration.whole_network import whole_image_network
from stm_experiments.simulator import LATTICES, PRESETS, DetectorNoise, Noise, StripeNoise, simulate

WIDTHS = (1, 2, 4, 8, 16)  # px
DAMAGED = 0.12  # share of the lines on which stripes lie, about, whatever their width
WHITE = 0.05  # c, the white noise of the noisy cases
WAVES = ("zrte3", "tas2", "tise2")  # lattices with a charge-density wave
AFTER = " + denoiser"
NOTHING = "as it is"


class Case(NamedTuple):
    """One striped image; clean images span [-1, 1].

    Attributes:
        lattice: Its name.
        noisy: [H, W].
        clean: [H, W].
        stripes: Where there are stripes, [H, W] bool.
        waves: Wave vectors of its charge-density waves, 1/px along axes 0 and 1, [J, 2].
    """

    lattice: str
    noisy: Tensor
    clean: Tensor
    stripes: Tensor
    waves: Tensor


@dataclass(frozen=True)
class Kind:
    """A kind of striped images.

    Attributes:
        title: What they are.
        white: White noise, c.
        lifted: Stripes at another height and contrast, instead of replaced ones.
        partial: Share of the stripes that cover a part of their lines only.
    """

    title: str
    white: float = WHITE
    lifted: bool = False
    partial: float = 1.0

    def noise(self, width: int, damaged: float = DAMAGED) -> Noise:
        """Stripes of one width, px, on so large a share of the lines."""
        share = damaged / width
        stripes = StripeNoise(
            lifted=share if self.lifted else 0.0,
            replaced=0.0 if self.lifted else share,
            width=float(width),
            partial=self.partial,
            span=(0.5, 1.0),
            gain=(0.6, 1.4),
        )
        return Noise(detector=DetectorNoise(white=self.white), stripes=stripes)


KINDS = {
    "lost": Kind("parts of lines lost, white noise of 0.05 c"),
    "lifted": Kind(
        "parts of lines at another height and contrast, white noise of 0.05 c", lifted=True
    ),
    "clean": Kind("whole lines lost, no other noise", white=0.0, partial=0.0),
}
SEVERITIES = {
    "minor (1 px)": KINDS["lost"].noise(1, 0.03),
    "moderate (8 px)": Kind("", partial=0.5).noise(8),
    "severe (64 px)": Kind("", partial=0.0).noise(64, 0.05),
}


def striped(lattice: str, index: int, noise: Noise, size: int) -> Case:
    """A simulated image that nothing was trained on, with at least one stripe.

    Args:
        lattice: Its name.
        index: Number of the image.
        noise: What is done to it.
        size: Height and width, px.
    """
    for attempt in itertools.count():
        seed = seed_of("destripe", lattice, index, attempt)
        scan = simulate([LATTICES[lattice]], [seed], noise, PRESETS["physical"], size)
        if scan.truth["stripes_forward"].any():
            break
    low, high = scan.clean.min(), scan.clean.max()
    noisy, clean = (
        (image[0, 0] - low) * (2 / (high - low)) - 1 for image in (scan.noisy, scan.clean)
    )
    waves = scan.truth.get("wave_vector", torch.zeros(1, 0, 2))[0]
    return Case(lattice, noisy, clean, scan.truth["stripes_forward"][0], waves)


Method = Callable[[Tensor], Tensor]


def methods(nets: Mapping[str, Network], denoised: bool = False) -> dict[str, Method]:
    """What takes stripes off a whole image [H, W], by name.

    Args:
        nets: Networks by the path of their file.
        denoised: Whether the shipped denoiser comes after each.

    Raises:
        ValueError: If a network takes windows instead of whole images.
    """
    found: dict[str, Callable[[Tensor], Tensor]] = {NOTHING: nn.Identity()}
    for path, net in nets.items():
        if net.window is not None:
            raise ValueError(f"{path} takes windows of {net.window} px, not whole images")
        name = net.label if net.label not in found else f"{net.label} ({path})"
        found[name] = whole_image_network(net)
    for classical in (RowMedian(), MedianOfDifferences(), DetectAndInterpolate()):
        found[classical.label] = classical
    if not denoised:
        return {name: whole(net) for name, net in found.items()}
    after = whole_image_network(checkpoint.load("denoiser"))
    return {name + AFTER: whole(net, after) for name, net in found.items()}


def whole(*networks: Callable[[Tensor], Tensor]) -> Method:
    """Return networks, one after the other, as a function of one image [H, W]."""

    def method(image: Tensor) -> Tensor:
        images = image[None, None]
        for net in networks:
            images = net(images)
        return images[0, 0]

    return method


def psnr(output: Tensor, clean: Tensor, where: Tensor | None = None) -> float:
    """10 log10(4 / MSE) over the image or a part of it, at most 100 dB."""
    errors = (output.double() - clean.double()).square()
    error = float((errors if where is None else errors[where]).mean())
    return min(100.0, psnr_of_mse(error))


def satellites(output: Tensor, case: Case) -> float:
    """Amplitude of a charge-density wave's peaks over that in the clean image: 1 is right.

    Args:
        output: [H, W].
        case: The image that it was made of.
    """
    sides = torch.tensor(case.clean.shape)
    peaks = (case.waves * sides).round().long() % sides
    return whole_image.bragg_fidelity(output, case.clean, peaks)["bragg"]
