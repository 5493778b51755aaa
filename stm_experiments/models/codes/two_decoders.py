"""A code in two parts, what the crystal is and where the patch lies on it, with two decoders."""

import torch
from torch import Tensor, nn

from stm_experiments.core.descriptions import DESCRIPTIONS, check_description
from stm_experiments.models.codes.dihedral import DihedralMean, turning_encoder
from stm_experiments.models.codes.eigenmap import Eigenmap
from stm_experiments.models.interfaces import AutoencoderModule, Pose

COORDINATES = 10  # of the map of images, that a linear map reads from the content


class TwoDecoders(AutoencoderModule):
    """One encoder, a code of content and pose, and two decoders.

    The content alone draws the *centred* patch: the same crystal with an atom in the middle and
    without rotation. Content and pose together draw the patch without its noise. The content does
    not change if the patch is turned by a quarter or mirrored: the layers of the encoder turn with
    the patch, and the content takes the mean over the turns.

    A pose has four angles, the rotation and three phases. As cosine and sine they would take eight
    of ten numbers. Six free numbers hold them as well, for four circles fit into five dimensions
    without a tear; a small network reads the angles from the code.

    Args:
        content: Numbers of the content.
        pose: Numbers of the pose.
        width: Neurons of the widest layers, a multiple of 16.
        window: Patch size, px.
        description: Name in ``core.descriptions.DESCRIPTIONS``, of the images of the map.

    Raises:
        ValueError: If a size makes no sense, or there is no such description.
    """

    label = "two decoders"

    def __init__(
        self,
        content: int = 4,
        pose: int = 6,
        width: int = 512,
        window: int = 17,
        description: str = "spectrum_and_autocorrelation",
    ) -> None:
        super().__init__()
        check_description(description)
        if min(content, pose) < 1 or window < 4 or width < 16 or width % 16:
            raise ValueError(
                "content and pose are at least 1, window at least 4 and width a multiple of 16, "
                f"not {content}, {pose}, {window}, {width}"
            )
        self.window = window
        self.description = description
        self.content = content
        self.encoder = turning_encoder(window, width, ContentAndPose(width // 16, content, pose))
        pixels = window**2
        self.decoder = nn.Sequential(
            nn.Linear(content + pose, width // 2),
            nn.SiLU(),
            nn.Linear(width // 2, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, pixels),
            nn.Unflatten(1, (1, window, window)),
        )
        self.centring = nn.Sequential(
            nn.Linear(content, width // 4),
            nn.SiLU(),
            nn.Linear(width // 4, width // 2),
            nn.SiLU(),
            nn.Linear(width // 2, pixels),
            nn.Unflatten(1, (1, window, window)),
        )
        self.coordinates = nn.Linear(content, COORDINATES)
        self.targets = Eigenmap(DESCRIPTIONS[description].length, COORDINATES)
        self.reading = nn.Sequential(
            nn.Linear(content + pose, width // 4), nn.SiLU(), nn.Linear(width // 4, 8)
        )

    def split(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the content [B, C] and the pose [B, P] of codes [B, C + P]."""
        return codes[:, : self.content], codes[:, self.content :]

    def centre(self, codes: Tensor) -> Tensor:
        """Map codes [B, C + P], of which the content counts, to centred patches [B, 1, w, w]."""
        patches: Tensor = self.centring(self.split(codes)[0])
        return patches

    def angles(self, codes: Tensor) -> Tensor:
        """Return cosines and sines of twice the rotation and of three phases, [B, 4, 2].

        Their length is about 1; it is shorter where the code does not tell the angle.
        """
        circles: Tensor = self.reading(codes).unflatten(1, (4, 2))
        return circles

    def pose(self, codes: Tensor) -> Pose:
        """Read the pose from codes [B, C + P]."""
        cosines, sines = self.angles(codes).unbind(2)
        angles = sines.atan2(cosines)
        return Pose(angles[:, 0] / 2, angles[:, 1:])


class ContentAndPose(nn.Module):
    """The last layer: content from the mean over the turns, the pose from all eight.

    Args:
        kinds: Kinds of neurons of the layer before, C.
        content: Numbers of the content.
        pose: Numbers of the pose.
    """

    def __init__(self, kinds: int, content: int, pose: int) -> None:
        super().__init__()
        self.content = nn.Sequential(DihedralMean(), nn.Linear(kinds, content))
        self.pose = nn.Linear(8 * kinds, pose)

    def forward(self, values: Tensor) -> Tensor:
        """Map values [B, 8 C] to codes, the content first."""
        return torch.cat([self.content(values), self.pose(values)], 1)
