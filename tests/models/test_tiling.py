import math

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from stm_experiments.models.tiling import (
    PIXELS_PER_BATCH,
    apply_network,
    apply_with_deviation,
    seam_energy,
    window_starts,
)


def identity(x):
    return x


def image(height, width, seed=0):
    return torch.rand(height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_window_starts_cover_the_last_pixel():
    assert window_starts(20, 8, 4) == [0, 4, 8, 12]
    assert window_starts(21, 8, 4) == [0, 4, 8, 12, 13]
    assert window_starts(8, 8, 8) == [0]


@pytest.mark.parametrize(("height", "width"), [(17, 17), (18, 40), (64, 33), (51, 51)])
@pytest.mark.parametrize("stride", [1, 3, 4, 16, 17])
def test_identity_network_returns_the_image(height, width, stride):
    x = image(height, width)
    y = apply_network(identity, x, 17, stride)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, x, atol=1e-6, rtol=0)


@pytest.mark.parametrize("window", [1, 2, 16])
def test_even_and_tiny_windows(window):
    x = image(19, 23)
    torch.testing.assert_close(apply_network(identity, x, window, 1), x, atol=1e-6, rtol=0)


def test_every_pixel_keeps_its_place():
    x = torch.arange(30 * 41, dtype=torch.float32).reshape(30, 41)
    torch.testing.assert_close(apply_network(identity, x, 9, 5), x, atol=1e-3, rtol=1e-6)


def test_windows_are_cut_where_unfold_cuts_them():
    x = image(20, 26)
    seen = []
    apply_network(lambda p: seen.append(p) or p, x, 8, 6)
    expected = F.unfold(x[None, None], 8, stride=6)[0].T.reshape(-1, 1, 8, 8)
    assert torch.equal(torch.cat(seen), expected)


def test_overlap_is_the_weighted_mean_by_hand():
    # Two windows of 2 px over 3 px: the network's output is the window's number, 0 then 1. The
    # middle pixel has equal weights of both, so .5.
    numbers = iter([0.0, 1.0])

    def net(p):
        return torch.full_like(p, next(numbers))

    y = apply_network(net, torch.rand(2, 3), 2, 1, batch_size=1)
    torch.testing.assert_close(y, torch.tensor([[0.0, 0.5, 1.0]] * 2))


def test_weights_of_the_blend_by_hand():
    # Column 1 has weight sin(pi/2) = 1 in the first window and sin(pi/6) = 1/2 in the second.
    numbers = iter([0.0, 1.0])

    def net(p):
        return torch.full_like(p, next(numbers))

    y = apply_network(net, torch.rand(3, 4), 3, 1, batch_size=1)
    torch.testing.assert_close(y[0], torch.tensor([0.0, 1 / 3, 2 / 3, 1.0]))


@pytest.mark.parametrize("batch_size", [1, 7, 10_000])
def test_batch_size_does_not_matter(batch_size):
    net = torch.nn.Conv2d(1, 1, 3, padding=1)
    x = image(40, 37)
    one = apply_network(net, x, 9, 4, batch_size=50)
    torch.testing.assert_close(apply_network(net, x, 9, 4, batch_size), one, atol=1e-6, rtol=0)
    assert not one.requires_grad


def test_shape_of_the_input_is_kept_and_the_input_untouched():
    x = image(20, 24)
    before = x.clone()
    assert apply_network(identity, x[None, None], 8, 4).shape == (1, 1, 20, 24)
    assert apply_network(lambda p: p.mul_(0.5), x, 8, 4).shape == (20, 24)
    apply_network(lambda p: p * 0.5, x, None, 1)
    assert torch.equal(x, before)


def test_without_window_there_is_one_pass():
    calls = []

    def net(p):
        calls.append(tuple(p.shape))
        return p * 0.5

    x = image(5, 7)
    assert torch.equal(apply_network(net, x, None, 1), x * 0.5)
    assert calls == [(1, 1, 5, 7)]


def small_unet():
    """Two levels; the output depends on input up to 9 px away, its coarsest pixel has 4 px."""
    torch.manual_seed(0)
    fine, coarse = torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Conv2d(4, 4, 3, padding=1)
    last = torch.nn.Conv2d(4, 1, 1)

    def net(p):
        height, width = p.shape[-2:]
        p = F.pad(p, (0, -width % 4, 0, -height % 4), "reflect")
        low = F.interpolate(coarse(F.avg_pool2d(fine(p).relu(), 4)), scale_factor=4)
        return last(fine(p).relu() + low)[..., :height, :width]

    return net


@pytest.mark.parametrize(("height", "width"), [(150, 101), (64, 200), (66, 65), (99, 131)])
def test_pieces_are_one_pass_where_the_margin_is_wide_enough(height, width):
    net, x = small_unet(), image(height, width)
    sizes = []

    def watched(p):
        sizes.append(max(p.shape))
        return net(p)

    whole = apply_network(net, x, None, 1)
    pieces = apply_network(watched, x, None, 1, piece=64, margin=12)
    assert len(sizes) > 1
    assert max(sizes) <= 64
    torch.testing.assert_close(pieces, whole, atol=2e-6, rtol=0)
    narrow = apply_network(net, x, None, 1, piece=64, margin=4)
    assert (narrow - whole).abs().max() > 1e-4


@pytest.mark.parametrize(("piece", "margin"), [(36, 9), (31, 0), (1, 0), (64, 3)])
def test_pieces_of_an_identity_are_the_image(piece, margin):
    x = image(70, 41)
    y = apply_network(identity, x, None, 1, piece=piece, margin=margin)
    torch.testing.assert_close(y, x, atol=1e-6, rtol=0)


def test_pieces_fade_into_each_other():
    # A network that adds a number of its own to each piece leaves ramps, no steps.
    numbers = iter(range(100))
    y = apply_network(lambda p: p * 0 + next(numbers), image(40, 100), None, 1, piece=60, margin=10)
    steps = y[20].diff()
    assert y[20, 0] == 0
    assert y[20, -1] == y.max() == 2
    assert steps.max() <= 0.1 + 1e-5
    assert steps.min() >= 0


def test_pieces_are_counted():
    calls = []
    apply_network(
        identity, image(40, 40), None, 1, progress=lambda *a: calls.append(a), piece=30, margin=5
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_spread_of_a_symmetric_network_is_zero():
    kernel = torch.ones(1, 1, 3, 3) / 9
    x = image(40, 29)

    def blur(patches):
        return F.conv2d(patches, kernel, padding=1)

    for window in (None, 9):
        output, deviation = apply_with_deviation(
            lambda p: F.conv2d(p, kernel, padding=1), x, window, 4
        )
        torch.testing.assert_close(
            output, apply_network(lambda p: F.conv2d(p, kernel, padding=1), x, window, 4)
        )
        # The windows of the turned image lie elsewhere: a few windows' borders show.
        assert deviation.median() < 1e-6 if window is None else deviation.median() < 0.1


def test_spread_by_hand():
    # The network adds its columns' number: over the 4 symmetries that is x and 4 - x, each twice.
    columns = torch.arange(5.0).expand(5, 5)
    output, deviation = apply_with_deviation(lambda p: p + columns, torch.zeros(5, 5), None, 1)
    four = torch.stack([columns, 4 - columns] * 2)
    torch.testing.assert_close(output, columns)
    torch.testing.assert_close(deviation, four.std(0))


def test_progress_of_spread_runs_through_all_passes():
    calls = []
    apply_with_deviation(identity, image(16, 24), 8, 8, progress=lambda *a: calls.append(a))
    assert calls == [(6 * (n + 1), 24) for n in range(4)]


def test_progress_counts_windows():
    calls = []
    apply_network(identity, image(16, 16), 8, 4, batch_size=4, progress=lambda *a: calls.append(a))
    assert calls == [(4, 9), (8, 9), (9, 9)]


def test_batches_are_bounded_in_pixels():
    sizes = []
    apply_network(lambda p: sizes.append(p.numel()) or p, image(600, 600), 300, 20)
    assert max(sizes) <= PIXELS_PER_BATCH
    assert sum(sizes) == 16**2 * 300**2


class LargestTensor(TorchDispatchMode):
    """Remembers the size of the largest tensor that any operation made."""

    pixels = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if torch.is_tensor(result):
            self.pixels = max(self.pixels, result.numel())
        return result


def test_memory_does_not_grow_with_the_number_of_windows():
    # 33856 windows of 289 px are 9.8 million pixels; one batch of 256 is 74 thousand.
    x = image(200, 200)
    with LargestTensor() as largest:
        apply_network(identity, x, 17, 1, batch_size=256)
    assert largest.pixels == 256 * 17**2


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"window": 30}, "smaller than the window of 30 px"),
        ({"window": 0}, "at least 1 px"),
        ({"stride": 0}, "stride must be between 1 and the window"),
        ({"stride": 9}, "stride must be between 1 and the window"),
        ({"batch_size": 0}, "batch size"),
        ({"window": None, "piece": 30, "margin": 10}, "Four margins of 10 px do not fit"),
        ({"window": None, "margin": -1}, "Four margins"),
        ({"image": torch.full((20, 24), math.nan)}, "NaN or infinite"),
        ({"image": torch.full((20, 24), math.inf), "window": None}, "NaN or infinite"),
        ({"image": torch.zeros(2, 1, 20, 24)}, "one image"),
        ({"image": torch.zeros(20)}, "one image"),
        ({"image": torch.zeros(0, 20)}, "one image"),
        ({"net": lambda p: p[..., :-1]}, "The network changed the shape"),
        ({"net": lambda p: p * math.nan}, "returned NaN"),
    ],
)
def test_errors(kwargs, message):
    arguments = {"net": identity, "image": image(20, 24), "window": 8, "stride": 4} | kwargs
    with pytest.raises(ValueError, match=message):
        apply_network(**arguments)


def test_seam_energy_of_white_noise_is_one():
    assert seam_energy(image(512, 512), 16, 16) == pytest.approx(1, abs=0.05)


def test_seam_energy_by_hand():
    # Windows 0-1 and 2-3: the only seam along either axis is between the pixels 1 and 2.
    # On: 2 x 4 gradients of 3, off: 4 x 4 of 1.
    ramp = torch.tensor([0.0, 1.0, 4.0, 5.0])
    x = ramp[:, None] + ramp
    assert seam_energy(x, 2, 2) == pytest.approx(9)


def test_seams_are_seen():
    x = image(96, 96)
    numbers = torch.rand(100, 1, 1, 1)

    def shifted(p):
        return p + numbers[: len(p)]

    assert seam_energy(apply_network(shifted, x * 0.1, 16, 16), 16, 16) > 5


def test_seam_energy_without_contrast_or_seams():
    assert seam_energy(torch.ones(8, 8), 4, 4) == 1
    assert seam_energy(image(8, 8), 8, 8) == 1
    blocks = torch.eye(2).repeat_interleave(4, 0).repeat_interleave(4, 1)
    assert seam_energy(blocks, 4, 4) == math.inf
    with pytest.raises(ValueError, match="not defined"):
        seam_energy(image(8, 8), 4, 1)
