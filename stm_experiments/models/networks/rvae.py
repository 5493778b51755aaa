"""A rotationally invariant VAE with a spatial transformer."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stm_experiments.models.interfaces import Inference
from stm_experiments.models.networks.vae import VAE, perceptron


class RotationInvariantVAE(VAE):
    """A VAE that separates the content of a patch from its pose: an angle and a shift.

    A site of a lattice looks the same after a turn by 2 pi / n, so that its angle theta is not
    defined, but n theta is. The pose is therefore inferred as the unit vector (cos n theta,
    sin n theta), which makes one revolution while the patch repeats itself n times.

    Args:
        latent: Numbers in the content code.
        width: Neurons of the widest layers.
        window: Patch size, px.
        symmetry: n of the rotation axis of the sites: 3 in a honeycomb, 6 in a hexagonal and 4 in a
            square lattice; 1: none.
        translation: Largest shift that is inferred, half sides of the patch; 0: none.

    Raises:
        ValueError: If a setting is out of range.
    """

    def __init__(
        self,
        latent: int = 2,
        width: int = 256,
        window: int = 24,
        symmetry: int = 3,
        translation: float = 0.0,
    ) -> None:
        super().__init__(latent, width, window)
        if not isinstance(symmetry, int) or symmetry < 1:
            raise ValueError(f"symmetry is a whole number from 1 on, not {symmetry!r}")
        if not 0 <= translation <= 0.5:
            raise ValueError(
                f"translation is from 0 to 0.5 half sides of a patch, not {translation!r}"
            )
        self.symmetry = symmetry
        self.translation = translation
        self.pose_numbers = 4 if translation else 2

    def as_pose(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map outputs of a network [B, 2 or 4] to unit vectors [B, 2] and shifts [B, 2]."""
        vectors = F.normalize(outputs[:, :2], dim=1)
        if not self.translation:
            return vectors, torch.zeros_like(vectors)
        return vectors, self.translation * torch.tanh(outputs[:, 2:])


class RVAE(RotationInvariantVAE):
    """A rotationally invariant VAE that turns every patch to one pose by a spatial transformer.

    A small network infers the pose of a patch. The patch is turned back, passes the VAE in its
    canonical pose, and the reconstruction is turned to the pose of the patch (Jaderberg et al.,
    NeurIPS 2015; Zhang, Romano & Reed's poster on MoS2). The pose network is trained first, on
    pairs of patches (``pose_loss``), and then frozen: no gradient of a reconstruction reaches it.

    The arguments and errors are those of ``RotationInvariantVAE``.
    """

    label = "rVAE"
    visible: Tensor

    def __init__(
        self,
        latent: int = 2,
        width: int = 256,
        window: int = 24,
        symmetry: int = 3,
        translation: float = 0.0,
    ) -> None:
        super().__init__(latent, width, window, symmetry, translation)
        self.multiple = symmetry
        self.transformer = perceptron([window**2, width, width // 2, self.pose_numbers])
        self.register_buffer("visible", inner_disc(window, translation), persistent=False)

    def pose(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Map patches [B, 1, w, w] to (cos n theta, sin n theta) [B, 2] and shifts [B, 2]."""
        return self.as_pose(self.transformer((patches * self.visible).flatten(1)))

    def infer(self, patches: Tensor) -> Inference:
        """Map patches [B, 1, w, w] on [-1, 1] to codes of their canonical poses, and poses."""
        with torch.no_grad():
            vectors, shift = self.pose(patches)
            turn = divide_angle(vectors, self.multiple)
        inference = super().infer(move_back(patches, turn, shift))
        return inference._replace(turn=turn, shift=shift)

    def generate(self, codes: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
        """Map codes [B, D] in a pose, as in ``Inference``, to patches [B, 1, w, w]."""
        return move(super().generate(codes, turn, shift), turn, shift)

    def pose_loss(self, patches: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
        """Return the loss of the poses of patches that are moved by known angles and shifts.

        The loss is the mean of 1 - cos(n (theta(R x) - theta(x) - delta)) and, with shifts, of the
        squared difference of the shifts in units of the largest one.

        Args:
            patches: [B, 1, w, w], cut to discs: corners would show the angle of the turn.
            turn: Cosine and sine of the angles delta, [B, 2].
            shift: As in ``Inference``, but in units of the largest shift, at most 1, [B, 2].
        """
        shift = self.translation * shift
        vectors, shift_before = self.pose(patches)
        moved_vectors, shift_after = self.pose(move(patches, turn, shift))
        expected = rotate_vectors(vectors, multiply_angle(turn, self.multiple))
        loss = (1 - (moved_vectors * expected).sum(1)).mean()
        if not self.translation:
            return loss
        residual = (shift_after - rotate_vectors(shift_before, turn) - shift) / self.translation
        return loss + residual.square().sum(1).mean()


def inner_disc(window: int, translation: float) -> Tensor:
    """Return a mask [w, w]: 1 where a shifted patch still shows the sample, else 0.

    Without shifts it is 1 everywhere. The border of a patch would show how the patch was shifted in
    training, and never afterwards.
    """
    r = torch.arange(window) - (window - 1) / 2
    radius = torch.hypot(r[:, None], r)
    inside = radius < (1 - translation) * window / 2
    return (inside if translation else torch.ones_like(inside)).float()


def divide_angle(vectors: Tensor, divisor: int) -> Tensor:
    """Divide the angles of unit vectors [B, 2], which are in (-pi, pi], by a number."""
    angle = torch.atan2(vectors[:, 1], vectors[:, 0]) / divisor
    return torch.stack([angle.cos(), angle.sin()], 1)


def multiply_angle(vectors: Tensor, factor: int) -> Tensor:
    """Multiply the angles of unit vectors [B, 2] by a whole number."""
    power = vectors
    for _ in range(factor - 1):
        power = rotate_vectors(power, vectors)
    return power


def rotate_vectors(vectors: Tensor, turn: Tensor) -> Tensor:
    """Turn vectors [B, 2] by the angles of unit vectors [B, 2]."""
    (x, y), (cos, sin) = vectors.unbind(1), turn.unbind(1)
    return torch.stack([x * cos - y * sin, x * sin + y * cos], 1)


def move(patches: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
    """Turn patches [B, 1, w, w], then shift them, both as in ``Inference``; bilinear."""
    back = turn * turn.new_tensor([1.0, -1.0])
    return _sample(patches, back, -rotate_vectors(shift, back))


def move_back(patches: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
    """Undo ``move``."""
    return _sample(patches, turn, shift)


def _sample(patches: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
    """Read patches at R x + shift instead of at x; 0 outside."""
    cos, sin = turn.unbind(1)
    rows = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], 1).view(-1, 2, 3)
    grid = F.affine_grid(rows, list(patches.shape), align_corners=False)
    return F.grid_sample(patches, grid, align_corners=False)
