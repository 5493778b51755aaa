"""A rotationally invariant VAE with a spatial transformer."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.models.interfaces import Inference
from stm_experiments.models.networks.vae import VAE, perceptron


class RVAE(VAE):
    """A rotationally invariant VAE: a spatial transformer brings each patch to one pose first.

    A small network sees by how much a patch is turned; the patch is turned back, passes the VAE in
    its canonical pose, and its reconstruction is turned as it was (Jaderberg et al., NeurIPS 2015;
    Zhang, Romano & Reed's poster on MoS2).

    A site of a lattice looks the same after a turn by 2 pi/n, so that "the angle" does not exist;
    n times the angle does. The network's answer is the unit vector (cos n theta, sin n theta),
    which goes round once where the patch repeats itself. It learns before the rest, from pairs of
    patches (``pose_loss``), and is frozen then: no gradient of a reconstruction reaches it.

    Args:
        latent: Numbers in the content code.
        width: Neurons of the widest layers.
        window: Patch size, px.
        symmetry: n, the rotation axis of the sites: 3 in a honeycomb, 6 in a hexagonal and 4 in a
            square lattice; 1: none.
        translation: Largest shift that is found and undone, half sides of the patch; 0: none.

    Raises:
        ValueError: If a number makes no sense.
    """

    label = "rVAE"
    seen: Tensor

    def __init__(
        self,
        latent: int = 2,
        width: int = 256,
        window: int = 24,
        symmetry: int = 3,
        translation: float = 0.0,
    ) -> None:
        super().__init__(latent, width, window)
        check_pose(symmetry, translation)
        self.symmetry = self.multiple = symmetry
        self.translation = translation
        self.transformer = perceptron([window**2, width, width // 2, 4 if translation else 2])
        self.register_buffer("seen", inner_disc(window, translation), False)

    def pose(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return (cos n theta, sin n theta) [B, 2] and shifts [B, 2] of patches [B, 1, w, w]."""
        return as_pose(self.transformer((patches * self.seen).flatten(1)), self.translation)

    def infer(self, patches: Tensor) -> Inference:
        """Patches [B, 1, w, w] on [-1, 1] -> codes of their canonical poses, and how they are."""
        with torch.no_grad():
            turned, shift = self.pose(patches)
            turn = divided(turned, self.multiple)
        return super().infer(upright_again(patches, turn, shift))._replace(turn=turn, shift=shift)

    def generate(self, codes: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
        """Codes [B, D] in a pose, as in ``Inference``, -> patches [B, 1, w, w]."""
        return placed(super().generate(codes, turn, shift), turn, shift)

    def pose_loss(self, patches: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
        """How well poses follow when patches are moved: the loss of the pretraining.

        1 - cos(n (theta(R x) - theta(x) - delta)), and for shifts the squared difference, in units
        of the largest one.

        Args:
            patches: [B, 1, w, w]; discs, or their corners would tell how they were turned.
            turn: Cosine and sine of the angles delta [B, 2].
            shift: As in ``Inference``, of at most 1: in units of the largest shift, [B, 2].
        """
        shift = self.translation * shift
        before, at = self.pose(patches)
        after, then = self.pose(placed(patches, turn, shift))
        expected = turned_by(before, multiplied(turn, self.multiple))
        loss = (1 - (after * expected).sum(1)).mean()
        if not self.translation:
            return loss
        away = (then - turned_by(at, turn) - shift) / self.translation
        return loss + away.square().sum(1).mean()


def check_pose(symmetry: int, translation: float) -> None:
    """Refuses a symmetry or a largest shift that makes no sense.

    Raises:
        ValueError: If there is one.
    """
    if not isinstance(symmetry, int) or symmetry < 1:
        raise ValueError(f"symmetry is a whole number from 1 on, not {symmetry!r}")
    if not 0 <= translation <= 0.5:
        raise ValueError(f"translation is from 0 to 0.5 half sides of a patch, not {translation!r}")


def inner_disc(window: int, translation: float) -> Tensor:
    """1 where a shifted patch still shows the sample, else 0; everywhere without shifts, [w, w].

    The border of a patch would tell how it was shifted in training, and never again.
    """
    r = torch.arange(window) - (window - 1) / 2
    radius = torch.hypot(r[:, None], r)
    within = radius < (1 - translation) * window / 2
    return (within if translation else torch.ones_like(within)).float()


def as_pose(outputs: Tensor, translation: float) -> tuple[Tensor, Tensor]:
    """Numbers [B, 2 or 4] as a unit vector [B, 2] and a shift of at most ``translation`` [B, 2]."""
    turned = F.normalize(outputs[:, :2], dim=1)
    if not translation:
        return turned, torch.zeros_like(turned)
    return turned, translation * torch.tanh(outputs[:, 2:])


def divided(turned: Tensor, symmetry: int) -> Tensor:
    """The unit vectors [B, 2] of an n-th of the angles of others, the nearest to 0 of n answers."""
    angle = torch.atan2(turned[:, 1], turned[:, 0]) / symmetry
    return torch.stack([angle.cos(), angle.sin()], 1)


def multiplied(turn: Tensor, symmetry: int) -> Tensor:
    """The unit vectors [B, 2] of n times the angles of others."""
    power = turn
    for _ in range(symmetry - 1):
        power = turned_by(power, turn)
    return power


def turned_by(vectors: Tensor, turn: Tensor) -> Tensor:
    """Vectors [B, 2] turned by the angles of unit vectors [B, 2]."""
    (x, y), (cos, sin) = vectors.unbind(1), turn.unbind(1)
    return torch.stack([x * cos - y * sin, x * sin + y * cos], 1)


def placed(patches: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
    """Patches [B, 1, w, w] turned by angles, then shifted (both as in ``Inference``); bilinear."""
    back = turn * turn.new_tensor([1.0, -1.0])
    return _sampled(patches, back, -turned_by(shift, back))


def upright_again(patches: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
    """Undoes ``placed``."""
    return _sampled(patches, turn, shift)


def _sampled(patches: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
    """Patches read at R x + shift in the place of x, 0 outside."""
    cos, sin = turn.unbind(1)
    rows = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], 1).view(-1, 2, 3)
    grid = F.affine_grid(rows, list(patches.shape), align_corners=False)
    return F.grid_sample(patches, grid, align_corners=False)
