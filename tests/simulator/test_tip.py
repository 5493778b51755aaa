"""Blunt, double and changing tips."""

import math

import numpy as np
import pytest
import torch

from stm_experiments.core.blur import gaussian_blur
from stm_experiments.simulator import LATTICES, PRESETS, Noise, TipNoise, simulate

SC, PHYSICAL = LATTICES["sc"], PRESETS["physical"]


def scans(n=4, size=129, **tip):
    noise = Noise(tip=TipNoise(**tip))
    return simulate([SC] * n, range(n), noise, PHYSICAL, size, backward=True)


def test_a_tip_change_holds_from_its_time_on_in_both_traces():
    batch = scans(6, changes=1, change_gain=0.6, change_offset=0.3)
    time = batch.truth["tip_change"][:, 0]
    for i in range(6):
        row = int(time[i])
        share = float(time[i]) - row
        forward, backward = (batch.noisy - batch.clean)[i, 0], (batch.backward - batch.clean)[i, 0]
        for field in (forward, backward):
            assert not field[:row].any()
            assert (field[row + 1 :] != 0).double().mean() > 0.999
        changed = (forward[row] != 0).double().mean(), (backward[row] != 0).double().mean()
        assert float(changed[0]) == pytest.approx(max(0, 1 - 2 * share), abs=0.02)
        assert float(changed[1]) == pytest.approx(min(1, 2 - 2 * share), abs=0.02)
        before = batch.clean[i, 0, row + 1 :].double()
        slope = np.polyfit(before.flatten(), batch.noisy[i, 0, row + 1 :].double().flatten(), 1)[0]
        assert slope == pytest.approx(0.6, abs=1e-3)


def test_a_jump_at_a_tip_change_moves_the_clean_image_too():
    batch = scans(6, changes=1, change_jump=3.0)
    torch.testing.assert_close(batch.noisy, batch.clean)
    jump = batch.truth["moved"]
    assert not jump[torch.arange(6), batch.truth["tip_change"][:, 0].long()].any()
    torch.testing.assert_close(jump[:, -1].norm(dim=1), torch.full((6,), 3.0).double())


def test_blunt_and_double_tips():
    lattice = simulate([SC] * 3, range(3), Noise(), PHYSICAL, 129)
    blunt = scans(3, blur=1.5)
    assert torch.equal(blunt.clean, lattice.clean)
    for k in range(3):
        one = gaussian_blur(lattice.clean[k : k + 1], 1.5)
        torch.testing.assert_close(blunt.noisy[k : k + 1], one, atol=1e-5, rtol=0)
    spot = torch.zeros(1, 1, 41, 41)
    spot[..., 20, 20] = 1
    seen = gaussian_blur(spot, 1.5)[0, 0].double()
    assert float(seen.sum()) == pytest.approx(1, abs=1e-6)
    assert float((seen.sum(0) * (torch.arange(41) - 20) ** 2).sum()) == pytest.approx(
        2.25, rel=0.01
    )

    double = scans(3, double=0.4, double_distance=0.6)
    shift = double.truth["double_shift"]
    torch.testing.assert_close(shift.norm(dim=1), torch.full((3,), 6.0).double())
    for k in range(3):
        ghost = (double.noisy - double.clean)[k, 0] / 0.4
        a, b = shift[k].tolist()
        # The ghost is the image, displaced: compare where both are in the frame.
        frequency = torch.fft.fftfreq(129).double()
        phase = torch.exp(-2j * math.pi * (frequency[:, None] * a + frequency * b))
        moved = torch.fft.ifft2(torch.fft.fft2(lattice.clean[k, 0].double()) * phase).real
        middle = slice(30, 100)
        # The Fourier shift wraps round the border, hence a loose tolerance.
        difference = (ghost - moved)[middle, middle].abs()
        assert difference.max() < 0.2
