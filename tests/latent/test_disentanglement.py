"""The mutual information gap of codes that are known."""

import math

import numpy as np
import pytest
import torch

from stm_experiments.latent.disentanglement import binned, information_gaps, mutual_information


def test_a_factor_with_a_number_of_its_own_has_a_gap_and_a_shared_one_has_none():
    draws = torch.Generator().manual_seed(0)
    tilt, turn, noise = torch.rand(3, 20000, generator=draws)
    lattice = torch.randint(5, (20000,), generator=draws)
    codes = torch.stack([tilt**3, turn, -turn, noise, lattice.float()], 1)
    gaps = information_gaps(
        codes, {"tilt": tilt, "turn": turn, "lattice": lattice, "same": torch.ones(20000)}
    )
    assert gaps["tilt"] > 0.95
    assert abs(gaps["turn"]) < 1e-6
    assert gaps["lattice"] > 0.95
    assert "same" not in gaps


def test_a_turned_code_loses_its_gap():
    draws = torch.Generator().manual_seed(0)
    factors = torch.randn(2, 20000, generator=draws)
    angle = math.pi / 4
    turned = torch.stack(
        [
            math.cos(angle) * factors[0] - math.sin(angle) * factors[1],
            math.sin(angle) * factors[0] + math.cos(angle) * factors[1],
        ],
        1,
    )
    known = {"first": factors[0]}
    assert information_gaps(factors.T, known)["first"] > 0.9
    assert information_gaps(turned, known)["first"] < 0.02


def test_unknown_factors_are_left_out():
    codes = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0))
    factor = codes[:, 0].clone()
    factor[::2] = math.nan
    assert information_gaps(codes, {"half": factor})["half"] > 0.7
    assert information_gaps(codes, {"none": torch.full((1000,), math.nan)}) == {}


def test_mutual_information_of_two_fair_coins():
    coins = np.array([0, 0, 1, 1])
    assert mutual_information(coins, coins) == pytest.approx(math.log(2))
    assert mutual_information(coins, np.array([0, 1, 0, 1])) == pytest.approx(0)
    assert np.bincount(binned(np.arange(100.0))).tolist() == [5] * 20
