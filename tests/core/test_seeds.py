"""Seeds are those of earlier versions."""

import hashlib
import zlib

import torch

from stm_experiments.core.seeds import generator, image_stream, seed_of


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
