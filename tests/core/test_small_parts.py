"""Files, gaps, noise, seeds, units."""

import hashlib
import zlib

import numpy as np
import pytest
import torch

from stm_experiments.core.files import atomic_write, atomic_write_text
from stm_experiments.core.images import fill_nearest
from stm_experiments.core.noise import noise_sigma
from stm_experiments.core.seeds import generator, image_stream, seed_of
from stm_experiments.core.units import amount, fitting_unit


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    atomic_write_text(path, "old µ")
    with pytest.raises(FileNotFoundError), atomic_write(path) as part:
        part.with_name("absent").read_text(part.write_text("half") and "utf-8")
    assert path.read_text(encoding="utf-8") == "old µ"
    atomic_write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_missing_pixels_get_their_nearest_neighbour():
    image = np.array([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]])
    mask = np.array([[True, True, False], [True, True, False]])
    np.testing.assert_array_equal(fill_nearest(image, mask), [[1, 2, 2], [3, 4, 4]])
    assert fill_nearest(image, np.ones((2, 3), bool)) is image


@pytest.mark.parametrize("sigma", [0.1, 3.0])
def test_noise_on_a_slope_is_measured(sigma):
    noise = np.random.default_rng(0).normal(0, sigma, (200, 200)).astype(np.float32)
    slope = np.linspace(0, 50, 200, dtype=np.float32)
    assert noise_sigma(noise + slope) == pytest.approx(sigma, rel=0.02)
    assert noise_sigma(np.zeros((2, 2), np.float32)) == 0.0


def test_seeds_are_those_of_version_0_1():
    digest = hashlib.blake2b(b"(1, 'train', 2)", digest_size=8).digest()
    assert seed_of(1, "train", 2) == int.from_bytes(digest, "big") >> 1
    expected = torch.Generator().manual_seed(zlib.crc32(b"7 defects"))
    assert torch.equal(
        torch.rand(3, generator=image_stream(7, "defects")), torch.rand(3, generator=expected)
    )
    assert torch.equal(
        torch.rand(3, generator=image_stream(7 + 2**32, "defects")),
        torch.rand(3, generator=image_stream(7, "defects")),
    )
    assert seed_of("a", 1) != seed_of("a", 2)
    assert torch.equal(torch.rand(2, generator=generator(5)), torch.rand(2, generator=generator(5)))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.23e-11, "m", "12.3 pm"),
        (9.996e-10, "m", "1 nm"),
        (-2e-16, "A", "-0.2 fA"),
        (0.0, "m", "0 m"),
        (1234.0, "V", "1230 V"),
        (0.5, "", "0.5"),
        (2e-6, "m", "2 µm"),
        (1e-9, "K", "1e-09 K"),
    ],
)
def test_amounts(value, unit, text):
    assert amount(value, unit) == text


def test_a_unit_fits_its_number():
    assert fitting_unit(3e-10, "m") == (1e-12, "pm")
    assert fitting_unit(3e-17, "m", smallest=-4) == (1e-12, "pm")
    assert fitting_unit(5.0, "A") == (1.0, "A")
    assert fitting_unit(1e-9, "Hz") == (1.0, "Hz")
