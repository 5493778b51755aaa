"""Random streams that are pure functions of a key, so that no draw depends on another's.

Two keys exist, because the samples of both are published: ``seed_of`` hashes any key of the data
(seed, split, epoch, index, purpose); ``image_stream`` hashes an image's seed and the purpose of
the draws inside the simulator.
"""

import hashlib
import zlib

import torch


def seed_of(*key: int | float | str) -> int:
    """Return a seed of 63 bits that is a pure function of the key."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 1


def generator(*key: int | float | str) -> torch.Generator:
    """Return a random stream that is seeded with ``seed_of`` the key."""
    return torch.Generator().manual_seed(seed_of(*key))


def image_stream(seed: int, purpose: str) -> torch.Generator:
    """Return the random stream of one purpose in the image of this seed (its low 32 bits)."""
    return torch.Generator().manual_seed(zlib.crc32(f"{seed & 0xFFFFFFFF} {purpose}".encode()))
