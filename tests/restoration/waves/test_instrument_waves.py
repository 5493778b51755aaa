"""Waves of the instrument are named and, on request, subtracted; waves of the sample stay."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import stm_experiments
from stm_experiments.io import Scan
from stm_experiments.io.read import read_other_trace
from stm_experiments.restoration.waves.instrument_waves import (
    Evidence,
    find_suspected_waves,
    treat_waves,
)
from stm_experiments.restoration.waves.plane_waves import strongest_wave
from stm_experiments.simulator import (
    LATTICES,
    NOISES,
    PRESETS,
    DetectorNoise,
    MotionNoise,
    Noise,
    ScanNoise,
    simulate,
)

SHAPE = (230, 250)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
NOISE = 0.1 * np.random.default_rng(0).standard_normal(SHAPE)


def wave(period, degrees, phase=0.3):
    angle = 2 * math.pi / period
    down, across = angle * math.sin(math.radians(degrees)), angle * math.cos(math.radians(degrees))
    return np.cos(down * ROWS + across * COLUMNS + phase)


def lattice(a=11.3, modulation=0.0):
    """A hexagonal lattice; a charge-density wave changes the height of its atoms."""
    first = sum(wave(a * math.sqrt(3) / 2, angle) for angle in (10, 70, 130))
    atoms = np.exp(first)
    return (atoms - atoms.mean()) / atoms.std() * (1 + modulation)


@pytest.mark.parametrize(("period", "degrees"), [(49, 30), (36, 110), (12, 175), (5, 63)])
def test_a_wave_of_the_instrument_is_found_and_subtracted(period, degrees):
    ground, hum = lattice() + NOISE, 0.1 * wave(period, degrees)
    (found,) = find_suspected_waves(torch.from_numpy(ground + hum))
    assert 2 * math.pi / math.hypot(*found.kappa) == pytest.approx(period, rel=0.01)
    assert found.amplitude == pytest.approx(0.1, rel=0.1)
    scan = Scan(1e-10 * (ground + hum) + 1e-11 * ROWS, np.ones(SHAPE, bool), "m", (0.05, 0.05), "Z")
    removed = treat_waves(scan, remove=True)
    rest = (scan.data - removed.data) * 1e10 - hum
    assert np.square(rest).mean() < 0.02 * np.square(hum).mean()
    (sentence,) = removed.history
    assert sentence.startswith("removed as the instrument's: plane wave of period ")
    assert f"{degrees % 180} degrees" in sentence
    kept = treat_waves(scan, remove=False)
    np.testing.assert_array_equal(kept.data, scan.data)
    assert "kept (remove_waves=true subtracts it)" in kept.history[0]


def test_waves_of_the_sample_are_not_suspected():
    cdw = 0.3 * wave(29, 40)
    moire = 0.15 * sum(wave(40, angle) for angle in (5, 65, 125))
    decay = np.exp(-COLUMNS / 60)
    for image in (
        lattice(),
        lattice(modulation=cdw),
        lattice() + moire,
        lattice() + 0.4 * decay * wave(21, 3),
        np.zeros(SHAPE),
    ):
        assert find_suspected_waves(torch.from_numpy(image + NOISE)) == []


def test_half_of_the_papers_striations_are_found_and_few_other_waves():
    right, wrong = 0, 0
    for name in ("fcc", "sc", "bcc"):
        kinds = [LATTICES[name]] * 4
        seen = simulate(kinds, range(4), NOISES["paper"], PRESETS["published"])
        for image, clean in zip(seen.noisy[:, 0], seen.clean[:, 0], strict=True):
            true = strongest_wave(image - clean, image).kappa
            for wave in find_suspected_waves(image):
                kappa = torch.tensor(wave.kappa, dtype=torch.float64)
                same = min((kappa - true).norm(), (kappa + true).norm()) < math.pi / 257
                right, wrong = right + same, wrong + (not same)
    assert right >= 6
    assert wrong <= 3  # these slices of crystals have peaks that are no lattice's


def both_traces(lattice, noise, seed):
    seen = simulate([LATTICES[lattice]], [seed], noise, PRESETS["physical"], 220, backward=True)
    return seen.noisy[0, 0].double(), seen.backward[0, 0].double()


@pytest.mark.parametrize("lattice", ["tas2", "hex1"])
def test_a_simulated_hum_is_mirrored_in_the_other_trace_and_the_lattice_is_not(lattice):
    """The feedback lags to the other side there, noise is new, and the sample drifts in both."""
    noise = Noise(
        motion=MotionNoise(drift=0.02),
        scan=ScanNoise(hum=0.1, hum_periods=(8.3, 30.0), lag=1.0),
        detector=DetectorNoise(white=0.1),
    )
    for seed in range(4):
        forward, backward = both_traces(lattice, noise, seed)
        hums = find_suspected_waves(forward, backward)
        assert [wave.evidence for wave in hums] == [Evidence.MIRRORED]
        mirrored = find_suspected_waves(backward, forward)
        np.testing.assert_allclose(mirrored[0].kappa[0], hums[0].kappa[0], atol=0.01)
        np.testing.assert_allclose(mirrored[0].kappa[1], -hums[0].kappa[1], atol=0.01)
    quiet = replace(noise, scan=ScanNoise(lag=1.0))
    for seed in range(4):
        assert find_suspected_waves(*both_traces(lattice, quiet, seed)) == []


def test_the_other_trace_tells_what_one_trace_cannot():
    """A wave of the sample that leaves the lattice as it is, and a hum among relatives."""
    ground = lattice() + 0.2 * wave(29, 40)
    other = np.random.default_rng(1).standard_normal(SHAPE)
    image, back = (torch.from_numpy(ground + noise) for noise in (NOISE, 0.1 * other))
    assert len(find_suspected_waves(image)) == 1
    assert find_suspected_waves(image, back) == []
    hums = [0.1 * (wave(17, one) + wave(17, two)) for one, two in ((25, -35), (-25, 35))]
    image, back = (torch.from_numpy(lattice() + NOISE + hum) for hum in hums)
    assert find_suspected_waves(image) == []
    assert len(find_suspected_waves(image, back)) == 2
    (absent,) = find_suspected_waves(
        torch.from_numpy(lattice() + NOISE + 0.1 * wave(17, 25)), torch.from_numpy(lattice())
    )
    assert absent.evidence is Evidence.ABSENT


def test_the_other_trace_is_read_from_the_file_of_the_scan(tmp_path):
    forward, backward = (lattice() + NOISE + 0.1 * wave(17, turn) for turn in (25, 155))
    gwyfile = pytest.importorskip("gwyfile.objects")
    parts = {"/0/data/title": "Z", "/1/data/title": "Z (Backward)"}
    for number, trace in enumerate((forward, backward)):
        parts[f"/{number}/data"] = gwyfile.GwyDataField(trace, si_unit_z="m")
    gwyfile.GwyContainer(parts).tofile(str(tmp_path / "both.gwy"))
    lines = stm_experiments.denoise(tmp_path / "both.gwy", "denoiser", remove_waves=True).history
    assert any("removed as the instrument's" in line and "mirrored" in line for line in lines)
    scan = stm_experiments.read_scan(tmp_path / "both.gwy")
    assert read_other_trace(scan).direction == "backward"
    assert read_other_trace(read_other_trace(scan)).direction == "forward"
    assert read_other_trace(scan.with_data(scan.data[:, ::-1])) is None  # not the file's any more


def test_gaps_small_scans_and_nothing_to_remove_are_told():
    mask = np.ones(SHAPE, bool)
    mask[200:] = False
    data = np.where(mask, lattice() + NOISE + 0.1 * wave(20, 15), 0.0)
    treated = treat_waves(Scan(data, mask, "", None, ""), remove=True)
    assert (treated.data[~mask] == 0).all()
    assert np.ptp((treated.data - data)[mask]) == pytest.approx(0.2, rel=0.1)
    plain = treat_waves(Scan(lattice() + NOISE, np.ones(SHAPE, bool), "", None, ""), remove=True)
    assert plain.history == ("no wave looks like the instrument's",)
    small = Scan(NOISE[:90], np.ones((90, 250), bool), "", None, "")
    assert "less than 128 px" in treat_waves(small, remove=True).history[0]
    assert treat_waves(small, remove=False) is small


def test_the_option_of_denoise():
    image = lattice() + NOISE + 0.2 * wave(36, 25)
    kept, removed = (
        stm_experiments.denoise(image, "denoiser", remove_waves=remove) for remove in (False, True)
    )
    assert any("perhaps the instrument's, and kept" in line for line in kept.history)
    assert any("removed as the instrument's" in line for line in removed.history)
    errors = [float(np.mean((x.data - lattice()) ** 2)) for x in (kept, removed)]
    assert errors[1] < 0.5 * errors[0]
