"""A code of a patch that says from which kind of image the patch was cut."""

from collections.abc import Callable

from torch import nn

from stm_experiments.core.descriptions import DESCRIPTIONS, check_description
from stm_experiments.models.codes.dihedral import DihedralMean, turning_encoder
from stm_experiments.models.codes.eigenmap import Eigenmap
from stm_experiments.models.codes.whitening import Whitening
from stm_experiments.models.interfaces import AutoencoderModule, ImageMap

TARGETS: dict[str, Callable[[int, int], ImageMap]] = {"eigenmap": Eigenmap, "components": Whitening}


class ContextCode(AutoencoderModule):
    """Predicts where the image that a patch was cut from lies among all images.

    The code is the prediction. The map of images is made from their descriptions alone, without
    labels: ``eigenmap`` has one surface for each crystal, ``components`` are the whitened principal
    components. Where a patch was cut in the unit cell, and in which of the eight
    turns and mirror images, does not change the image's description: the code is free of the first
    by training, and of the second by design, for the layers of the encoder turn with the patch and
    the last one takes the mean over the turns.

    The decoder draws the mean of all patches of a code. It learns from codes that it cannot change:
    what it cannot draw, the code does not know.

    Args:
        latent: Length of the code: coordinates of the map.
        width: Neurons of the widest layers, a multiple of 16.
        window: Patch size, px.
        description: Name in ``core.descriptions.DESCRIPTIONS``.
        targets: Kind of the map of images, ``eigenmap`` or ``components``.

    Raises:
        ValueError: If a size makes no sense, or there is no such description or map.
    """

    label = "context code"

    def __init__(
        self,
        latent: int = 10,
        width: int = 768,
        window: int = 17,
        description: str = "spectrum_and_autocorrelation",
        targets: str = "eigenmap",
    ) -> None:
        super().__init__()
        check_description(description)
        if targets not in TARGETS:
            raise ValueError(f"model.net.targets is one of {', '.join(TARGETS)}, not {targets!r}")
        length = DESCRIPTIONS[description].length
        if not 1 <= latent <= length or window < 1 or width < 16 or width % 16:
            raise ValueError(
                f"latent is 1 to {length}, window at least 1 and width a multiple of 16, not "
                f"{latent}, {window}, {width}"
            )
        self.window = window
        self.description = description
        head = (DihedralMean(), nn.Linear(width // 16, latent))
        self.encoder = turning_encoder(window, width, *head)
        self.decoder = nn.Sequential(
            nn.Linear(latent, 128),
            nn.SiLU(),
            nn.Linear(128, window**2),
            nn.Unflatten(1, (1, window, window)),
        )
        self.targets: ImageMap = TARGETS[targets](length, latent)
