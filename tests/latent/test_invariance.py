import math

import pytest
import torch

from stm_experiments.latent.invariance import (
    code_change,
    cut_shifted_pairs,
    cut_windows,
    measure_invariance,
)


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_code_change_by_hand():
    before = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    # The second code moves by (0, 2): mean squared change 2. Common mean (1, 0.5); squares about
    # it: 1.25, 1.25, 1.25, 1 + 2.25; variance 7 / 4.
    after = torch.tensor([[0.0, 0.0], [2.0, 2.0]])
    assert code_change(before, after) == pytest.approx(2 / (2 * 7 / 4))
    assert code_change(after, before) == code_change(before, after)
    assert code_change(before, before) == 0
    assert math.isnan(code_change(torch.full((4, 2), 0.1), torch.full((4, 2), 0.1)))
    with pytest.raises(ValueError, match="not pairs"):
        code_change(before, before[:1])


def test_unrelated_codes_change_by_one_and_reversed_codes_by_two():
    codes = noise(2, 5000, 6) * torch.arange(1.0, 7) + 5
    assert code_change(*codes) == pytest.approx(1, abs=0.03)
    centred = codes[0] - codes[0].mean(0)
    assert code_change(centred, -centred) == pytest.approx(2)


def test_cut_is_a_slice():
    images = torch.arange(2 * 7 * 9.0).view(2, 1, 7, 9)
    patches = cut_windows(
        images, torch.tensor([0, 1, 1]), torch.tensor([[0, 0], [2, 5], [4, 6]]), 3
    )
    assert patches.shape == (3, 1, 3, 3)
    torch.testing.assert_close(patches[0, 0], images[0, 0, :3, :3])
    torch.testing.assert_close(patches[1, 0], images[1, 0, 2:5, 5:8])
    torch.testing.assert_close(patches[2, 0], images[1, 0, 4:7, 6:9])
    for beyond in ([5, 0], [0, 7], [-1, 0]):
        with pytest.raises(ValueError, match="beyond"):
            cut_windows(images, torch.tensor([0]), torch.tensor([beyond]), 3)


def test_pairs_overlap_by_all_but_the_shift():
    images = noise(5, 1, 20, 24)
    here, there = cut_shifted_pairs(images, 8, 3, 40)
    assert here.shape == there.shape == (40, 1, 8, 8)
    down = (here[..., 3:, :] == there[..., :-3, :]).flatten(1).all(1)
    right = (here[..., :, 3:] == there[..., :, :-3]).flatten(1).all(1)
    assert int(down.sum()) == int(right.sum()) == 20
    assert not bool((down & right).any())
    again = cut_shifted_pairs(images, 8, 3, 40)
    assert torch.equal(again[0], here)
    assert not torch.equal(cut_shifted_pairs(images, 8, 3, 40, seed=1)[0], here)
    with pytest.raises(ValueError, match="no room"):
        cut_shifted_pairs(images, 18, 3, 4)


def test_an_encoder_blind_to_flips_and_turns():
    patches, images = noise(300, 1, 9, 9), noise(4, 1, 40, 40)

    def blind(x):
        return torch.stack([x.flatten(1).sort(1).values[:, 40], x.flatten(1).amax(1)], 1)

    values = measure_invariance(blind, patches, images)
    assert set(values) == {"shift_1", "shift_2", "shift_4", "turns", "flips"}
    assert values["turns"] == values["flips"] == 0
    assert 0 < values["shift_1"] < values["shift_2"] < values["shift_4"] < 1


def test_an_encoder_of_one_pixel_of_noise_changes_altogether():
    values = measure_invariance(
        lambda x: x[:, 0, 0, :2] * torch.tensor([1.0, 3.0]),
        noise(4000, 1, 9, 9),
        noise(4, 1, 300, 300),
    )
    assert values == pytest.approx(dict.fromkeys(values, 1), abs=0.1)


def test_a_random_code_is_unrelated_to_itself():
    random = torch.Generator().manual_seed(1)
    values = measure_invariance(
        lambda x: torch.randn(len(x), 5, generator=random), noise(2000, 1, 9, 9), None
    )
    assert values == pytest.approx({"turns": 1, "flips": 1}, abs=0.04)


def test_what_does_not_exist_has_no_key():
    patches = noise(50, 1, 9, 9)
    first = lambda x: x[:, 0, 0, :3]  # noqa: E731
    assert set(measure_invariance(first, patches, None)) == {"turns", "flips"}
    assert set(measure_invariance(first, patches, noise(2, 1, 11, 11))) == {
        "shift_1",
        "shift_2",
        "turns",
        "flips",
    }
    assert set(measure_invariance(first, noise(50, 1, 9, 12), noise(2, 1, 40, 40))) == {"flips"}
    assert measure_invariance(lambda x: torch.ones(len(x), 2), patches, None) == {}
