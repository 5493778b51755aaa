"""Damage to checkpoints is noticed; a small version of the benchmark."""

import random

from stm_experiments.benchmarks.damage import (
    BLOCK,
    DIFFERENT,
    INIT,
    LOAD,
    REFUSED,
    REPLACED,
    RESUME,
    SCORE,
    UNNAMED,
    count_outcomes,
    flip_bit,
    random_damages,
    zero_block,
)
from stm_experiments.benchmarks.kills.kinds import TINY


def test_no_damage_passes_unnoticed(train_in, tmp_path, no_figures):
    train_in(tmp_path / "whole", *TINY)
    damages = random_damages(8, 32, random.Random(0))
    outcomes = count_outcomes(tmp_path / "whole", damages, 0)
    noticed_by = {RESUME: REPLACED, SCORE: REPLACED, LOAD: REFUSED, INIT: REFUSED}
    for use, noticed in noticed_by.items():
        assert outcomes[use, noticed] > 30
        assert not outcomes[use, DIFFERENT]
        assert not outcomes[use, UNNAMED]
    assert outcomes.total() == 160
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_a_damage_is_as_large_as_it_says():
    content = bytearray(b"\xff" * 3 * BLOCK)
    zero_block(0.5, content)
    assert content == b"\xff" * BLOCK + bytes(BLOCK) + b"\xff" * BLOCK
    content = bytearray(10)
    flip_bit(0.99, content)
    assert content == bytes(9) + b"\x80"
