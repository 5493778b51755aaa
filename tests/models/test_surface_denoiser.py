"""The denoiser of any surface follows the contrast and the level of its image."""

import pytest
import torch

from stm_experiments.models import SurfaceDenoiser
from stm_experiments.models.networks.unet import UNet


def randomised(net):
    """Give the last layer weights: before training it is zero."""
    torch.nn.init.normal_(net.leave.weight, std=0.1)
    return net


def image(height=48, width=56, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 1, height, width, generator=generator)


def test_without_biases_the_unet_is_homogeneous():
    unet = randomised(UNet(1, 1, 6, constants=3, homogeneous=True)).eval()
    constants = torch.tensor([[0.1, 0.2, 0.3], [1.0, 0.0, 2.0]])
    with torch.no_grad():
        once, twice = (unet.with_constants(k * image(), k * constants) for k in (1, 2))
        other = unet.with_constants(image(), 2 * constants)
    torch.testing.assert_close(twice, 2 * once)
    assert not torch.allclose(other, once)


@pytest.mark.parametrize(("factor", "offset"), [(0.01, 0.0), (3.0, 5.0), (100.0, -40.0)])
def test_the_denoiser_follows_contrast_and_level(factor, offset):
    net = SurfaceDenoiser(width=6, patch=5).eval()
    randomised(net.unet)
    with torch.no_grad():
        expected = factor * net(image()) + offset
        output = net(factor * image() + offset)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-3 * factor)


def test_before_training_it_is_the_identity():
    assert torch.equal(SurfaceDenoiser(width=4, patch=5)(image()), image())


@pytest.mark.parametrize("shape", [(48, 56), (43, 61), (9, 40)])
def test_any_size_keeps_its_shape_and_its_mean(shape):
    net = SurfaceDenoiser(width=4, patch=5).eval()
    randomised(net.unet)
    with torch.no_grad():
        output = net(image(*shape))
    assert output.shape == (2, 1, *shape)
    torch.testing.assert_close(output.mean((1, 2, 3)), image(*shape).mean((1, 2, 3)))


def test_an_image_does_not_depend_on_its_batch():
    net = SurfaceDenoiser(width=4, patch=5).eval()
    randomised(net.unet)
    with torch.no_grad():
        torch.testing.assert_close(net(image())[1:], net(image()[1:]))


def test_a_width_without_sense_is_refused():
    with pytest.raises(ValueError, match="width is at least 1"):
        SurfaceDenoiser(width=0)
