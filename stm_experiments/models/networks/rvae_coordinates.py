"""A rotationally invariant VAE with a decoder on turned coordinates."""

import torch
from torch import Tensor

from stm_experiments.models.interfaces import Inference
from stm_experiments.models.networks.rvae import as_pose, check_pose, divided, placed
from stm_experiments.models.networks.vae import VAE, perceptron, upright


class RVAECoordinates(VAE):
    """A rotationally invariant VAE whose decoder draws on turned coordinates.

    The encoder says what a patch shows and how it is turned; the decoder is a function of place,
    f(x, z), which is evaluated at the places turned back by the angle: what it draws cannot depend
    on the angle in any other way. Other programs (AtomAI, pyroVED) have a network for f, which is
    asked once for every pixel. Here f is a sum of circular harmonics, whose coefficients a network
    makes of the code:

        f(r, phi, z) = sum over m, k of g_k(r) (a_mk(z) cos(m phi) + b_mk(z) sin(m phi))

    with Gaussian rings g_k. On turned coordinates only the phases m theta change, so that a patch
    costs one matrix product.

    Args:
        latent: Numbers in the content code.
        width: Neurons of the widest layers.
        window: Patch size, px.
        symmetry: n: the encoder says n times the angle; see ``RVAE``.
        translation: Largest shift that is found, half sides of the patch; 0: none.
        harmonics: Largest m.
        rings: Number of radii k, from the middle to the border.

    Raises:
        ValueError: If a number makes no sense.
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
        super().__init__(latent, width, window)
        check_pose(symmetry, translation)
        if harmonics < 0 or rings < 2:
            raise ValueError(
                f"harmonics is from 0 on and rings from 2 on, not {harmonics}, {rings}"
            )
        self.symmetry = symmetry
        self.translation = translation
        self.orders = torch.arange(harmonics + 1).float()
        pose = 4 if translation else 2
        self.encoder = perceptron([window**2, width, width // 2, 2 * latent + pose])
        coefficients = 2 * (harmonics + 1) * rings
        self.decoder = perceptron([latent, width // 2, width, coefficients])
        self.register_buffer("basis", circular_harmonics(window, harmonics, rings), False)

    def infer(self, patches: Tensor) -> Inference:
        """Patches [B, 1, w, w] on [-1, 1] -> codes, and how the patches are turned."""
        outputs = self.encoder(patches.flatten(1))
        mean, log_variance, pose = outputs.split(
            [self.latent, self.latent, outputs.shape[1] - 2 * self.latent], 1
        )
        turned, shift = as_pose(pose, self.translation)
        return Inference(mean, log_variance, divided(turned, self.symmetry), shift)

    def generate(self, codes: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
        """Codes [B, D] in a pose, as in ``Inference``, -> patches [B, 1, w, w]."""
        cosines, sines = self.decoder(codes).view(len(codes), 2, len(self.orders), -1).unbind(1)
        angle = torch.atan2(turn[:, 1], turn[:, 0])[:, None, None]
        phase = self.orders.to(angle)[:, None] * angle
        # cos(m (phi - theta)) and sin(m (phi - theta)) in terms of those of m phi.
        turned = torch.stack(
            [
                cosines * phase.cos() - sines * phase.sin(),
                cosines * phase.sin() + sines * phase.cos(),
            ],
            1,
        )
        drawn = (turned.flatten(1) @ self.basis).view(-1, 1, self.window, self.window)
        return placed(drawn, upright(codes)[0], shift) if self.translation else drawn


def circular_harmonics(window: int, harmonics: int, rings: int) -> Tensor:
    """Cosines and sines of m phi on Gaussian rings, [2 (harmonics + 1) rings, w*w].

    phi goes from image axis 1 towards axis 0. In the middle, where phi is not defined, orders above
    0 fade.
    """
    r = torch.arange(window) - (window - 1) / 2
    y, x = torch.meshgrid(r, r, indexing="ij")
    radius, phi = torch.hypot(x, y), torch.atan2(y, x)
    place = torch.linspace(0, window / 2, rings)[:, None, None]
    ring = torch.exp(-0.5 * ((radius - place) / place[1]) ** 2)
    orders = torch.arange(harmonics + 1)[:, None, None, None]
    fade = torch.where(orders > 0, 1 - torch.exp(-0.25 * radius**2), 1.0)
    waves = torch.stack([torch.cos(orders * phi), torch.sin(orders * phi)])
    return (waves * fade * ring).flatten(3).flatten(0, 2)
