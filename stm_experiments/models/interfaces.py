"""What a network can do: the protocols that the rest of the package checks with ``isinstance``."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from stm_experiments.core.display.page import as_html
from stm_experiments.core.display.scores import draw_scores


@dataclass(repr=False)
class Card:
    """The description that a model file carries.

    Attributes:
        network: Class name in ``stm_experiments.models``, or dotted path in a plugin.
        arguments: Its keyword arguments.
        window: Patch size, px; None: any.
        normalisation: ``minmax``: each image's minimum and maximum become -1 and 1; ``plane``: its
            plane is subtracted, and its 1st and 99th percentile become -1 and 1.
        lattice: Names of the lattices in the training images.
        scores: Test metrics, as in metrics.json.
        config: The whole resolved config of the training run.
        calibration: Factor that scales the uncertainty to the true error (``denoise``).
        source: Where the weights were read from, with their fingerprint; set by ``load``.

    Raises:
        ValueError: If ``calibration`` is not a finite number above 0.
    """

    network: str
    arguments: dict[str, Any]
    window: int | None
    normalisation: str = "minmax"
    lattice: list[str] = field(default_factory=list)
    scores: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    calibration: float = 1.0
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        number = isinstance(self.calibration, int | float) and math.isfinite(self.calibration)
        if not number or self.calibration <= 0:
            raise ValueError(
                "the calibration of a model's card is a finite number above 0, "
                f"not {self.calibration!r}"
            )

    def __repr__(self) -> str:
        """Say in one line what it is, without the config of its training."""
        return f"<Card {self.network}: {', '.join(self.facts)}>"

    def _repr_html_(self) -> str:
        """Show the scores and the facts in a notebook."""
        return as_html(self.network, [self.chart(self.network)], self.facts)

    @property
    def facts(self) -> list[str]:
        """Arguments, patch size, normalisation, lattices and source in words."""
        arguments = [f"{name}={value}" for name, value in self.arguments.items()]
        lattices = ", ".join(map(str, self.lattice))
        return [
            *arguments,
            "images of any size" if self.window is None else f"patches of {self.window} px",
            f"normalised by {self.normalisation}",
            *([f"trained on {lattices}"] if lattices else []),
            *([self.source] if self.source else []),
        ]

    def chart(self, label: str) -> str:
        """Return its test error beside those of its baselines as SVG; empty without scores.

        Args:
            label: The network's name in the chart.
        """
        model = self.config.get("model")
        target = model.get("target") if isinstance(model, dict) else None
        measure = "mse_clean" if target == "clean" else "mse_noisy"
        return draw_scores(self.scores, measure, label)


class Inference(NamedTuple):
    """Codes and poses that a variational autoencoder infers from patches.

    Attributes:
        mean: Mean of the content code, [B, D].
        log_variance: Logarithm of the variance of the content code, [B, D].
        turn: Cosine and sine of the angle by which the content is turned, from image axis 1
            towards axis 0, [B, 2].
        shift: Shift of the content along axes 1 and 0, half sides of the patch, [B, 2].
    """

    mean: Tensor
    log_variance: Tensor
    turn: Tensor
    shift: Tensor


class Pose(NamedTuple):
    """Where patches lie on the cut of a crystal, and how they are turned.

    Attributes:
        rotation: Angle of the slope of the cut against image axis 0, modulo pi, rad, [B].
        phases: Of three reciprocal lattice vectors in the middle of the patch, rad, [B, 3].
    """

    rotation: Tensor
    phases: Tensor


class Repair(NamedTuple):
    """Damage in images and its repair.

    Attributes:
        output: The repaired images, [B, 1, H, W].
        repaired: Pixels that were changed, [B, 1, H, W] bool; all others equal the input.
        unrepaired: Damaged pixels in gaps that are too wide to be repaired, [B, 1, H, W] bool.
        deviation: Expected error, standard deviation, in the unit of the images, [B, 1, H, W]; 0
            at pixels without damage.
    """

    output: Tensor
    repaired: Tensor
    unrepaired: Tensor
    deviation: Tensor


class NetworkModule(nn.Module):
    """A plain module with the attributes of ``Network``; the networks of this package derive it.

    Attributes:
        label: Name in tables and pictures.
        window: Patch size, px; None: any image size.
        card: Description from its model file; None: not loaded from one.
    """

    label: str = "network"
    window: int | None = None
    card: Card | None = None

    def _repr_html_(self) -> str:
        """Show the card and the number of weights in a notebook."""
        weights = sum(each.numel() for each in self.parameters())
        card = self.card or Card(type(self).__name__, {}, self.window)
        return as_html(self.label, [card.chart(self.label)], [f"{weights:,} weights", *card.facts])


class AutoencoderModule(NetworkModule):
    """A network with a bottleneck; it reconstructs by decoding what it encodes.

    Attributes:
        encoder: Layers from patches to codes.
        decoder: Layers from codes to patches.
    """

    encoder: nn.Module
    decoder: nn.Module

    def encode(self, patches: Tensor) -> Tensor:
        """Map patches [B, 1, h, w] on [-1, 1] to codes [B, D]."""
        codes: Tensor = self.encoder(patches)
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Map codes [B, D] to patches [B, 1, h, w]."""
        patches: Tensor = self.decoder(codes)
        return patches

    def forward(self, patches: Tensor) -> Tensor:
        """Reconstruct patches [B, 1, h, w] on [-1, 1]."""
        return self.decode(self.encode(patches))


@runtime_checkable
class Network(Protocol):
    """A module from images [B, 1, H, W] to images [B, 1, H, W] on [-1, 1]."""

    training: bool

    @property
    def label(self) -> str:
        """Return the name in tables and pictures."""
        ...

    @property
    def window(self) -> int | None:
        """Return the patch size, px; None: any image size."""
        ...

    @property
    def card(self) -> Card | None:
        """Return the description from its model file; None: not loaded from one."""
        ...

    def __call__(self, images: Tensor, /) -> Tensor:
        """Map images [B, 1, H, W] to images of the same shape."""
        ...

    def eval(self) -> Self:
        """Switch to evaluation; see ``torch.nn.Module``, as for the methods below."""
        ...

    def train(self, mode: bool = True, /) -> Self:
        """Switch to training, or to evaluation."""
        ...

    def cpu(self) -> Self:
        """Move to the CPU."""
        ...

    def to(self, device: torch.device | str, /) -> Self:
        """Move to a device."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """Iterate over all modules."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Iterate over the trained tensors."""
        ...

    def buffers(self) -> Iterator[Tensor]:
        """Iterate over the tensors that are not trained."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all tensors by name."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any:
        """Copy tensors by name into the network."""
        ...


@runtime_checkable
class Autoencoder(Network, Protocol):
    """A network with a bottleneck."""

    def encode(self, patches: Tensor, /) -> Tensor:
        """Map patches [B, 1, h, w] to codes [B, D]."""
        ...

    def decode(self, codes: Tensor, /) -> Tensor:
        """Map codes [B, D] to patches [B, 1, h, w]."""
        ...


@runtime_checkable
class Variational(Autoencoder, Protocol):
    """An autoencoder whose code is a Gaussian, and which separates content from pose."""

    @property
    def window(self) -> int:
        """Return the patch size, px."""
        ...

    @property
    def symmetry(self) -> int:
        """Return n of the n-fold axis of the content: turns by 2 pi / n are one pose."""
        ...

    def infer(self, patches: Tensor, /) -> Inference:
        """Map patches [B, 1, w, w] to codes and poses."""
        ...

    def generate(self, codes: Tensor, turn: Tensor, shift: Tensor, /) -> Tensor:
        """Map codes [B, D] in a pose, as in ``Inference``, to patches [B, 1, w, w]."""
        ...


@runtime_checkable
class Posed(Variational, Protocol):
    """A variational autoencoder with a pose network that is trained first."""

    def pose(self, patches: Tensor, /) -> tuple[Tensor, Tensor]:
        """Map patches [B, 1, w, w] to (cos n theta, sin n theta) [B, 2] and shifts [B, 2]."""
        ...

    def pose_loss(self, patches: Tensor, turn: Tensor, shift: Tensor, /) -> Tensor:
        """Return the loss of the poses of patches that are moved by ``turn`` and ``shift``."""
        ...


class ImageMap(Protocol):
    """A map from descriptions of images to the numbers that a code predicts."""

    @property
    def is_fitted(self) -> bool:
        """Return whether the map has been fitted, here or in the run that wrote the model file."""
        ...

    def fit(self, descriptions: Tensor, /) -> None:
        """Fit the map to the descriptions of training images [N, K]."""
        ...

    def __call__(self, descriptions: Tensor, /) -> Tensor:
        """Map descriptions [B, K] to numbers [B, D]."""
        ...


@runtime_checkable
class Contextual(Autoencoder, Protocol):
    """A network whose code knows where the image that a patch was cut from lies on a map."""

    @property
    def description(self) -> str:
        """Return the name of the description in ``core.descriptions.DESCRIPTIONS``."""
        ...

    @property
    def targets(self) -> ImageMap:
        """Return the map from descriptions to the numbers that the code knows."""
        ...


@runtime_checkable
class Centring(Contextual, Protocol):
    """A contextual network whose code has a part that draws the crystal in its canonical pose."""

    def coordinates(self, content: Tensor, /) -> Tensor:
        """Map contents [B, C] to coordinates of the map of images [B, D], linearly."""
        ...

    def split(self, codes: Tensor, /) -> tuple[Tensor, Tensor]:
        """Return the content [B, C] and the pose [B, P] of codes [B, C + P]."""
        ...

    def centre(self, codes: Tensor, /) -> Tensor:
        """Map codes [B, C + P] to centred patches [B, 1, w, w]."""
        ...

    def angles(self, codes: Tensor, /) -> Tensor:
        """Return cosines and sines of twice the rotation and of three phases, [B, 4, 2]."""
        ...

    def pose(self, codes: Tensor, /) -> Pose:
        """Read the pose from codes [B, C + P]."""
        ...


@runtime_checkable
class Fitted(Network, Protocol):
    """A network that is fitted in closed form instead of trained."""

    def fit(self, batches: Iterable[Tensor], /) -> None:
        """Fit to patches [B, 1, h, w] in one pass over the batches."""
        ...


@runtime_checkable
class Uncertain(Network, Protocol):
    """A network that states its expected error."""

    def uncertainty(self, images: Tensor, /) -> Tensor:
        """Map images [B, 1, H, W] to standard deviations of the output's error, same shape."""
        ...


@runtime_checkable
class Repairing(Network, Protocol):
    """A network that detects damaged pixels, repairs them and leaves all others alone."""

    def repair(self, images: Tensor, /) -> Repair:
        """Detect and repair damage in images [B, 1, H, W]."""
        ...
