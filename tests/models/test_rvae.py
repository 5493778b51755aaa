"""Variational autoencoders: what turns, and in which sense."""

import math

import pytest
import torch

from stm_experiments.models import RVAE, VAE, RVAECoordinates
from stm_experiments.models.networks.rvae import divide_angle, move, move_back, multiply_angle

NETWORKS = (VAE, RVAE, RVAECoordinates)


def unit(*degrees):
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
    return torch.stack([angle.cos(), angle.sin()], 1)


def honeycomb(*degrees, window=24, radius=7.0, width=2.0):
    """Three blobs around the middle, turned from axis 1 towards axis 0, [B, 1, w, w]."""
    r = torch.arange(window) - (window - 1) / 2
    row, column = torch.meshgrid(r, r, indexing="ij")
    angles = torch.deg2rad(torch.tensor(degrees))[:, None] + torch.arange(3) * 2 * math.pi / 3
    away = (column - radius * angles.cos()[..., None, None]) ** 2
    away = away + (row - radius * angles.sin()[..., None, None]) ** 2
    return torch.exp(-away / (2 * width**2)).sum(1, keepdim=True).float()


@pytest.mark.parametrize("network", NETWORKS)
def test_shapes(network):
    net = network(latent=3, window=17)
    patches = torch.randn(5, 1, 17, 17)
    assert net.window == 17
    assert net(patches).shape == patches.shape
    assert net.encode(patches).shape == (5, 3)
    assert net.angle(patches).shape == (5,)
    assert net.decode(net.encode(patches)).shape == patches.shape
    torch.testing.assert_close(net.infer(patches).turn.norm(dim=1), torch.ones(5))


@pytest.mark.parametrize("network", [RVAE, RVAECoordinates])
def test_translation_is_optional_and_limited(network):
    patches = torch.randn(4, 1, 24, 24)
    assert network().infer(patches).shift.abs().max() == 0
    shift = network(translation=0.2).infer(100 * patches).shift
    assert 0 < shift.abs().max() <= 0.2


def test_a_patch_is_turned_and_turned_back():
    turn, shift = unit(37.0, -100.0), torch.tensor([[0.1, -0.2], [0.0, 0.15]])
    patches = honeycomb(0.0, 20.0)
    there = move(patches, turn, torch.zeros_like(shift))
    torch.testing.assert_close(there, honeycomb(37.0, -80.0), atol=0.08, rtol=0)
    again = move_back(move(patches, turn, shift), turn, shift)
    middle = (slice(None), slice(None), slice(6, 18), slice(6, 18))
    torch.testing.assert_close(again[middle], patches[middle], atol=0.12, rtol=0)


def test_shifts_go_along_axes_1_and_0():
    patches = honeycomb(0.0)
    moved = move(patches, unit(0.0), torch.tensor([[2 / 12, 1 / 12]]))
    torch.testing.assert_close(moved[..., 4:20, 4:20], patches[..., 3:19, 2:18], atol=1e-5, rtol=0)


def test_multiples_of_angles():
    turn = unit(10.0, 50.0, -59.0)
    torch.testing.assert_close(multiply_angle(turn, 3), unit(30.0, 150.0, -177.0))
    torch.testing.assert_close(divide_angle(multiply_angle(turn, 3), 3), turn)
    torch.testing.assert_close(divide_angle(unit(180.0 + 3.0), 3), unit(-59.0))


class Ideal(RVAE):
    """Sees the angle by the third angular moment, which is exact."""

    def pose(self, patches):
        r = torch.arange(self.window) - (self.window - 1) / 2
        row, column = torch.meshgrid(r, r, indexing="ij")
        phase = 3 * torch.atan2(row, column)
        waves = torch.stack([phase.cos(), phase.sin()])
        moment = torch.einsum("bxy,axy->ba", patches[:, 0], waves)
        return torch.nn.functional.normalize(moment, dim=1), torch.zeros(len(patches), 2)


def test_the_pose_loss_is_zero_for_the_right_angle_alone():
    patches, turn = honeycomb(0.0, 15.0, 70.0, 100.0), unit(10.0, 111.0, -50.0, 180.0)
    none = torch.zeros(4, 2)
    assert Ideal().pose_loss(patches, turn, none) < 2e-3
    assert Ideal().pose_loss(patches, unit(30.0, 30.0, 30.0, 30.0), none) < 2e-3
    wrong = Ideal()
    wrong.pose = lambda x: (unit(0.0, 0.0, 0.0, 0.0), none)
    assert wrong.pose_loss(patches, unit(60.0, 60.0, 60.0, 60.0), none) > 1.9


def test_codes_do_not_change_as_a_patch_is_turned():
    net = Ideal()
    degrees = (0.0, 11.0, 39.0, 77.0, 119.0)
    codes = net.encode(honeycomb(*degrees))
    scale = net.encode(torch.randn(64, 1, 24, 24)).std(0)
    assert ((codes - codes[0]).abs() < 0.2 * scale).all()
    error = torch.rad2deg(net.angle(honeycomb(*degrees))) - torch.tensor(degrees)
    assert ((error + 60) % 120 - 60).abs().max() < 2


def test_no_gradient_of_a_reconstruction_reaches_the_transformer():
    net = RVAE()
    net(torch.randn(3, 1, 24, 24)).sum().backward()
    assert all(weight.grad is None for weight in net.transformer.parameters())
    assert all(weight.grad is not None for weight in net.encoder.parameters())


def test_the_coordinate_decoder_draws_the_same_content_turned():
    net, codes = RVAECoordinates(), torch.randn(4, 2)
    upright, none = net.decode(codes), torch.zeros(4, 2)
    for degrees in (90.0, 180.0, -90.0):
        turned = net.generate(codes, unit(*[degrees] * 4), none)
        expected = torch.rot90(upright, -round(degrees / 90), (2, 3))
        torch.testing.assert_close(turned, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("network", "wrong"),
    [
        (VAE, {"latent": 0}),
        (RVAE, {"symmetry": 0}),
        (RVAE, {"translation": 0.7}),
        (RVAECoordinates, {"symmetry": 2.5}),
        (RVAECoordinates, {"rings": 1}),
    ],
)
def test_wrong_settings_are_refused(network, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        network(**wrong)


def test_a_transformer_that_finds_shifts_does_not_see_the_border():
    net, patches = RVAE(translation=0.2), torch.randn(3, 1, 24, 24)
    border = patches.clone()
    border[..., :2, :] = border[..., -2:] = 5.0
    torch.testing.assert_close(net.pose(border), net.pose(patches))
    assert not torch.allclose(RVAE().pose(border)[0], RVAE().pose(patches)[0])
