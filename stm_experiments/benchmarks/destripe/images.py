"""Striped images with their truth, and the methods that remove stripes."""

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
DAMAGED = 0.12  # share of the lines with stripes, about, whatever their width
WHITE = 0.05  # white noise of the noisy images, corrugations
WAVE_LATTICES = ("zrte3", "tas2", "tise2")  # with a charge-density wave
AFTER = " + denoiser"
UNCHANGED = "as it is"

StripeRemover = Callable[[Tensor], Tensor]  # of a whole image [H, W]


class StripedImage(NamedTuple):
    """One striped image on the scale on which the clean image spans [-1, 1].

    Attributes:
        lattice: Its name.
        noisy: With stripes, [H, W].
        clean: Without stripes and noise, [H, W].
        stripes: Where stripes are, [H, W] bool.
        waves: Wave vectors of its charge-density waves, 1/px along axes 0 and 1, [J, 2].
    """

    lattice: str
    noisy: Tensor
    clean: Tensor
    stripes: Tensor
    waves: Tensor


@dataclass(frozen=True)
class StripeKind:
    """A kind of striped images.

    Attributes:
        title: What they are.
        white: White noise, corrugations.
        lifted: Whether stripes have another height and contrast, instead of random values.
        partial: Share of the stripes that cover only a part of their lines.
    """

    title: str
    white: float = WHITE
    lifted: bool = False
    partial: float = 1.0

    def noise(self, width: int, damaged: float = DAMAGED) -> Noise:
        """Return the noise with stripes of one width (px) on a share of the lines."""
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
    "lost": StripeKind("parts of lines lost, white noise of 0.05 c"),
    "lifted": StripeKind(
        "parts of lines at another height and contrast, white noise of 0.05 c", lifted=True
    ),
    "clean": StripeKind("whole lines lost, no other noise", white=0.0, partial=0.0),
}
SEVERITIES = {
    "minor (1 px)": KINDS["lost"].noise(1, 0.03),
    "moderate (8 px)": StripeKind("", partial=0.5).noise(8),
    "severe (64 px)": StripeKind("", partial=0.0).noise(64, 0.05),
}


def striped_image(lattice: str, index: int, noise: Noise, size: int) -> StripedImage:
    """Simulate an image with at least one stripe, of a seed that no training uses.

    Args:
        lattice: Its name.
        index: Number of the image.
        noise: Stripes and other noise.
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
    return StripedImage(lattice, noisy, clean, scan.truth["stripes_forward"][0], waves)


def stripe_removers(
    nets: Mapping[str, Network], *, denoised: bool = False
) -> dict[str, StripeRemover]:
    """Return the methods that remove stripes from a whole image, by name.

    Args:
        nets: Networks by the path of their file.
        denoised: Whether the shipped denoiser follows each.

    Raises:
        ValueError: If a network takes windows instead of whole images.
    """
    methods: dict[str, Callable[[Tensor], Tensor]] = {UNCHANGED: nn.Identity()}
    for path, net in nets.items():
        if net.window is not None:
            raise ValueError(f"{path} takes windows of {net.window} px, not whole images")
        name = net.label if net.label not in methods else f"{net.label} ({path})"
        methods[name] = whole_image_network(net)
    for classical in (RowMedian(), MedianOfDifferences(), DetectAndInterpolate()):
        methods[classical.label] = classical
    if not denoised:
        return {name: in_sequence(net) for name, net in methods.items()}
    denoiser = whole_image_network(checkpoint.load("denoiser"))
    return {name + AFTER: in_sequence(net, denoiser) for name, net in methods.items()}


def in_sequence(*networks: Callable[[Tensor], Tensor]) -> StripeRemover:
    """Return networks, one after the other, as a function of one image [H, W]."""

    def method(image: Tensor) -> Tensor:
        images = image[None, None]
        for net in networks:
            images = net(images)
        return images[0, 0]

    return method


def psnr_within(output: Tensor, clean: Tensor, part: Tensor | None = None) -> float:
    """Return 10 log10(4 / MSE) over the image or a part of it, at most 100 dB.

    Args:
        output: [H, W].
        clean: [H, W].
        part: True for the pixels that count, [H, W]; None: all.
    """
    errors = (output.double() - clean.double()).square()
    error = float((errors if part is None else errors[part]).mean())
    return min(100.0, psnr_of_mse(error))


def satellite_fidelity(output: Tensor, image: StripedImage) -> float:
    """Return the amplitude of a charge-density wave's peaks over that in the clean image.

    Args:
        output: Of a method for this image, [H, W].
        image: The image with its truth.
    """
    sides = torch.tensor(image.clean.shape)
    peaks = (image.waves * sides).round().long() % sides
    return whole_image.bragg_fidelity(output, image.clean, peaks)["bragg"]
