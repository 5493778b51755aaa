"""A wave that a denoiser removed is reported; noise and a little of the lattice are not."""

import math
import re

import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from stm_experiments.restoration.waves.wave_report import wave_report

ROWS, COLUMNS = torch.meshgrid(torch.arange(200.0), torch.arange(180.0), indexing="ij")
LATTICE = (2 * math.pi / 11 * ROWS).sin() * (2 * math.pi / 11 * COLUMNS).sin()
WAVE = 0.1 * (0.3 * ROWS + 0.4 * COLUMNS).cos()
WHITE = 0.2 * torch.randn(200, 180, generator=torch.Generator().manual_seed(1))


def report(before, after, pixel=(0.05, 0.05)):
    return wave_report(before, after, 1e-10, "m", pixel)


def test_a_wave_is_reported_with_its_period_and_height():
    (line,) = report(LATTICE + WAVE + WHITE, LATTICE)
    # |kappa| = 0.5 rad per px of 0.05 nm; 0.2 from trough to crest of 1e-10 m.
    assert "period 628 pm" in line or "period 629 pm" in line
    assert re.search(r"(19|20)[.0-9]* pm from trough", line)
    (line,) = report(LATTICE + WAVE + WHITE, LATTICE, None)
    assert "period 12.6 px" in line


def test_a_wave_that_was_not_there_is_reported_as_invented():
    (line,) = report(LATTICE + 0.1 * WHITE, LATTICE + WAVE)
    assert line.startswith("a plane wave of period 628 pm")
    assert "was invented" in line


def test_what_is_no_wave_is_not_reported():
    assert report(LATTICE + WAVE + WHITE, LATTICE + WAVE) == []
    assert report(LATTICE + WHITE, 0.9 * LATTICE) == []
    assert report(LATTICE + (0.02 * ROWS).cos(), LATTICE) == []
    assert report(*(x[:90, :90] for x in (LATTICE + WAVE, LATTICE))) == []


@pytest.mark.parametrize("kind", ["slow along the lines", "a random walk along the lines", "lines"])
def test_noise_of_lines_is_no_wave_and_hides_no_striation(kind):
    for seed in range(7):
        white = torch.randn(200, 180, generator=torch.Generator().manual_seed(seed))
        if kind == "slow along the lines":
            noise = torch.from_numpy(gaussian_filter1d(white.numpy(), 5, axis=1))
        elif kind == "lines":
            noise = white[:, :1].expand(200, 180)
        else:
            noise = white.cumsum(1)
        noise = 0.3 * (noise - noise.mean()) / noise.std()
        assert report(LATTICE + noise, LATTICE) == []
        assert len(report(LATTICE + noise + 2 * WAVE, LATTICE)) == 1
