"""A rotationally invariant VAE with a decoder on turned coordinates."""

import torch
from torch import Tensor

from stm_experiments.models.interfaces import Inference
from stm_experiments.models.networks.rvae import RotationInvariantVAE, divide_angle, move
from stm_experiments.models.networks.vae import perceptron, upright_poses


class RVAECoordinates(RotationInvariantVAE):
    """A rotationally invariant VAE whose decoder is a function of turned coordinates.

    The encoder infers content and angle of a patch. The decoder is a function of position, f(x, z),
    evaluated at coordinates that are turned back by the angle: its output depends on the angle in
    no other way. In other programs (AtomAI, pyroVED) a network computes f, pixel by pixel. Here f
    is a sum of circular harmonics, and a network maps the code to their coefficients:

        f(r, phi, z) = sum over m, k of g_k(r) (a_mk(z) cos(m phi) + b_mk(z) sin(m phi))

    with Gaussian rings g_k. Turned coordinates change only the phases m theta, so that a patch
    costs one matrix product.

    Args:
        latent: As for ``RotationInvariantVAE``.
        width: As for ``RotationInvariantVAE``.
        window: As for ``RotationInvariantVAE``.
        symmetry: As for ``RotationInvariantVAE``.
        translation: As for ``RotationInvariantVAE``.
        harmonics: Largest m.
        rings: Number of radii k, from the centre to the border.

    Raises:
        ValueError: If a setting is out of range.
    """

    label = "rVAE-C"
    basis: Tensor

    def __init__(
        self,
        latent: int = 2,
        width: int = 256,
        window: int = 24,
        symmetry: int = 3,
        translation: float = 0.0,
        harmonics: int = 6,
        rings: int = 8,
    ) -> None:
        super().__init__(latent, width, window, symmetry, translation)
        if harmonics < 0 or rings < 2:
            raise ValueError(
                f"harmonics is from 0 on and rings from 2 on, not {harmonics}, {rings}"
            )
        self.orders = torch.arange(harmonics + 1).float()
        self.encoder = perceptron([window**2, width, width // 2, 2 * latent + self.pose_numbers])
        coefficients = 2 * (harmonics + 1) * rings
        self.decoder = perceptron([latent, width // 2, width, coefficients])
        basis = circular_harmonics(window, harmonics, rings)
        self.register_buffer("basis", basis, persistent=False)

    def infer(self, patches: Tensor) -> Inference:
        """Map patches [B, 1, w, w] on [-1, 1] to codes and poses."""
        outputs: Tensor = self.encoder(patches.flatten(1))
        mean, log_variance, pose = outputs.split([self.latent, self.latent, self.pose_numbers], 1)
        vectors, shift = self.as_pose(pose)
        return Inference(mean, log_variance, divide_angle(vectors, self.symmetry), shift)

    def generate(self, codes: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
        """Map codes [B, D] in a pose, as in ``Inference``, to patches [B, 1, w, w]."""
        cosines, sines = self.decoder(codes).view(codes.shape[0], 2, len(self.orders), -1).unbind(1)
        angle = torch.atan2(turn[:, 1], turn[:, 0])[:, None, None]
        phase = self.orders.to(angle)[:, None] * angle
        # cos(m (phi - theta)) and sin(m (phi - theta)) in terms of those of m phi.
        coefficients = torch.stack(
            [
                cosines * phase.cos() - sines * phase.sin(),
                cosines * phase.sin() + sines * phase.cos(),
            ],
            1,
        )
        patches = (coefficients.flatten(1) @ self.basis).view(-1, 1, self.window, self.window)
        return move(patches, upright_poses(codes)[0], shift) if self.translation else patches


def circular_harmonics(window: int, harmonics: int, rings: int) -> Tensor:
    """Return cosines and sines of m phi on Gaussian rings, [2 (harmonics + 1) rings, w*w].

    phi counts from image axis 1 towards axis 0. Orders above 0 fade out at the centre, where phi is
    not defined.
    """
    r = torch.arange(window) - (window - 1) / 2
    y, x = torch.meshgrid(r, r, indexing="ij")
    radius, phi = torch.hypot(x, y), torch.atan2(y, x)
    radii = torch.linspace(0, window / 2, rings)[:, None, None]
    ring = torch.exp(-0.5 * ((radius - radii) / radii[1]) ** 2)
    orders = torch.arange(harmonics + 1)[:, None, None, None]
    fade = torch.where(orders > 0, 1 - torch.exp(-0.25 * radius**2), 1.0)
    waves = torch.stack([torch.cos(orders * phi), torch.sin(orders * phi)])
    return (waves * fade * ring).flatten(3).flatten(0, 2)
