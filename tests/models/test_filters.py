"""The classical denoisers: what they must do to noise, to lattices, to rows; and their limits."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from stm_experiments import models
from stm_experiments.core.noise import noise_sigma
from stm_experiments.models import tiling
from stm_experiments.models.baselines.filters import least_risk
from stm_experiments.simulator import CUT_LATTICES, NOISES, PRESETS, render_topographs, simulate

DENOISERS = {
    "Gaussian": models.Gaussian,
    "Median": models.Median,
    "NonLocalMeans": models.NonLocalMeans,
    "Wavelet": models.Wavelet,
    "TotalVariation": models.TotalVariation,
    "PatchPCA": models.PatchPCA,
    "BraggFilter": models.BraggFilter,
}
ROWS = {
    "RowMedian": models.RowMedian,
    "MedianOfDifferences": models.MedianOfDifferences,
    "DetectAndInterpolate": models.DetectAndInterpolate,
}


def build(network):
    if network is models.Wavelet:
        pytest.importorskip("pywt", reason="wavelets need PyWavelets")
    return network()


def lattice_image(size=96, orientation=(0.3, 0.4, 0.2), name="fcc"):
    image = render_topographs(name, [orientation], size=size)
    return 2 * (image - image.min()) / (image.max() - image.min()) - 1


def noisy(clean, sigma=0.08, seed=0):
    return clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))


def decibels(image, clean):
    return 10 * np.log10(4 / np.mean((np.asarray(image) - np.asarray(clean)) ** 2))


@pytest.mark.parametrize("sigma", [0.02, 0.08, 0.3])
def test_the_noise_is_found_under_a_lattice(sigma):
    image = noisy(lattice_image(128, name="sc"), sigma)[0, 0].numpy()
    assert noise_sigma(image) == pytest.approx(sigma, rel=0.08)


def test_neither_planes_nor_constants_are_noise():
    plane = np.add.outer(np.arange(40.0), 3 * np.arange(50.0)).astype(np.float32)
    assert noise_sigma(plane) == pytest.approx(0, abs=1e-4)
    assert noise_sigma(np.zeros((2, 2), np.float32)) == 0


def test_the_least_risk_is_close_to_the_least_error():
    clean = lattice_image(128)
    image = noisy(clean, 0.12)[0, 0].numpy()
    widths = models.Gaussian.widths
    blurred = {width: models.Gaussian(width).filter_image(image) for width in widths}
    errors = {width: np.mean((blurred[width] - clean[0, 0].numpy()) ** 2) for width in widths}
    chosen = least_risk(image, widths, lambda x, width: models.Gaussian(width).filter_image(x))
    assert errors[chosen] < 1.05 * min(errors.values())


@pytest.mark.parametrize("network", [*DENOISERS.values(), *ROWS.values()])
def test_they_have_the_networks_signature(network):
    net = build(network)
    batch = noisy(torch.cat([lattice_image(48), lattice_image(48, (0.1, 0.2, 0.3))]))[:, :, :, :41]
    before = batch.clone()
    output = net(batch)
    assert output.shape == batch.shape
    assert output.dtype == torch.float32
    assert output.isfinite().all()
    assert torch.equal(batch, before)
    assert net.window is None
    assert not list(net.parameters())
    assert not net.state_dict()
    assert not hasattr(net, "fit")
    assert isinstance(net.label, str)
    # Each image by itself, the same through the whole-image path, and every time.
    torch.testing.assert_close(output[1:], net(batch[1:]))
    torch.testing.assert_close(tiling.apply_network(net, batch[0, 0], None, 1), output[0, 0])


@pytest.mark.parametrize("network", DENOISERS.values())
def test_they_denoise_white_noise(network):
    clean = lattice_image(128, name="hex2")
    image = noisy(clean)
    assert decibels(build(network)(image), clean) > decibels(image, clean) + 3


@pytest.mark.parametrize("network", [*DENOISERS.values(), *ROWS.values()])
def test_a_constant_image_stays(network):
    image = torch.full((1, 1, 40, 40), 0.25)
    torch.testing.assert_close(build(network)(image), image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("network", DENOISERS.values())
def test_brightness_and_contrast_do_not_matter(network):
    net = build(network)
    image = noisy(lattice_image(64))
    torch.testing.assert_close(net(0.5 * image + 0.3), 0.5 * net(image) + 0.3, atol=2e-3, rtol=0)


@pytest.mark.parametrize("lattice", CUT_LATTICES)
def test_patch_pca_gains_eight_decibels_on_the_papers_noise_without_striation(lattice):
    noise = replace(NOISES["paper"], scan=NOISES["none"].scan)
    topograph = simulate([CUT_LATTICES[lattice]], [5], noise, PRESETS["physical"], 257)
    scale = 2 / (topograph.noisy.max() - topograph.noisy.min())
    output = models.PatchPCA()(topograph.noisy * scale)
    gained = decibels(output, topograph.clean * scale)
    assert gained > (39.5 if lattice == "hex2" else 36)
    assert gained > decibels(topograph.noisy * scale, topograph.clean * scale) + 7.5


def test_patch_pca_with_all_components_is_the_identity():
    image = noisy(lattice_image(40))
    torch.testing.assert_close(models.PatchPCA(25, 5)(image), image, atol=1e-4, rtol=0)


def test_patch_pca_is_the_projection_of_every_patch():
    image = noisy(lattice_image(30), 0.2)
    net = models.PatchPCA(3, 5)
    level = image.mean()
    mean, vectors = net._components(image - level)
    patches = torch.nn.functional.unfold(image - level, 5)[0].T - mean
    projected = (patches @ vectors @ vectors.T + mean).T[None]
    ones = torch.nn.functional.unfold(torch.ones_like(image), 5)
    fold = torch.nn.Fold(image.shape[-2:], 5)
    torch.testing.assert_close(net(image), fold(projected) / fold(ones) + level, atol=1e-5, rtol=0)


def test_the_bragg_filter_keeps_waves_between_the_steps_up_to_the_border():
    size, u, v = 120, 0.08137, 0.1192
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    wave = 0.7 * torch.cos(2 * torch.pi * (u * rows + v * columns) + 0.4)[None, None]
    image = noisy(wave, 0.1)
    net = models.BraggFilter()
    (found,) = net.peaks(image[0, 0])
    torch.testing.assert_close(found, torch.tensor([u, v]), atol=0.03 / size, rtol=0)
    assert decibels(net(image), wave) > 36
    assert decibels(net(image)[..., :8, :], wave[..., :8, :]) > 30


def test_the_bragg_filter_finds_no_peaks_in_noise():
    noise = torch.randn(8, 128, 128, generator=torch.Generator().manual_seed(0))
    assert not sum(len(models.BraggFilter().peaks(image)) for image in noise)


def test_bm3d_says_what_is_missing(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ValueError, match="BM3D is not installed: pip install bm3d"):
        models.BM3D()


def test_bm3d_denoises():
    pytest.importorskip("bm3d", reason="BM3D is optional: its licence is for non-commercial use")
    clean = lattice_image(48)
    image = noisy(clean)
    assert decibels(models.BM3D()(image), clean) > decibels(image, clean) + 4


def test_row_offsets_are_taken_off():
    draw = torch.Generator().manual_seed(0)
    flat = 0.01 * torch.randn(1, 1, 60, 80, generator=draw)
    offsets = torch.randn(60, 1, generator=draw)
    for net in (models.RowMedian(), models.MedianOfDifferences()):
        output = net(flat + offsets)
        assert output.std() < 0.02
        assert output.median() == pytest.approx(float((flat + offsets).median()), abs=0.3)


def test_a_row_median_moves_whole_rows_only():
    image = noisy(lattice_image(40))
    for net in (models.RowMedian(), models.MedianOfDifferences()):
        change = (net(image) - image)[0, 0]
        torch.testing.assert_close(change, change[:, :1].expand(-1, 40), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("width", "least"), [(1, 57), (2, 49), (4, 37), (8, 22)])
def test_striped_rows_are_found_and_interpolated(width, least):
    clean = lattice_image(257, (0.2, 0.3, 0.4))
    draw = torch.Generator().manual_seed(width)
    image = clean.clone()
    spoilt = torch.zeros(257, dtype=torch.bool)
    for first in range(20, 240, 55):
        spoilt[first : first + width] = True
    image[0, 0, spoilt] = 2 * torch.rand(int(spoilt.sum()), 257, generator=draw) - 1
    net = models.DetectAndInterpolate()
    assert np.array_equal(net.damaged(image[0, 0].numpy()), spoilt.numpy())
    output = net(image)
    assert torch.equal(output[0, 0, ~spoilt], image[0, 0, ~spoilt])
    assert decibels(output, clean) > least


def test_damaged_rows_at_the_border_and_everywhere():
    image = lattice_image(64)
    draw = torch.Generator().manual_seed(0)
    image[0, 0, :2] = 2 * torch.rand(2, 64, generator=draw) - 1
    output = models.DetectAndInterpolate()(image)
    assert output.abs().max() <= 1.5
    small = torch.randn(1, 1, 3, 64, generator=draw)
    assert models.DetectAndInterpolate()(small).isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.Gaussian(0), "width"),
        (lambda: models.Gaussian(float("nan")), "width"),
        (lambda: models.Median(4), "odd"),
        (lambda: models.NonLocalMeans(-1), "sigma"),
        (lambda: models.TotalVariation(-0.1), "weight"),
        (lambda: models.PatchPCA(26, 5), "1 to 25 components"),
        (lambda: models.BraggFilter(smoothing=0), "above 0"),
        (lambda: models.DetectAndInterpolate(0), "threshold"),
        (lambda: models.PatchPCA()(torch.zeros(1, 1, 20, 64)), "too few patches"),
        (lambda: models.BraggFilter()(torch.zeros(1, 1, 8, 8)), "too small"),
    ],
)
def test_wrong_settings_are_one_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()
