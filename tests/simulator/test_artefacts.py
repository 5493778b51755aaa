"""Physics of what the tip, the scan and the detector add, and that it stays out of `clean`."""

import math

import numpy as np
import pytest
import torch

from stm_experiments.simulator import (
    CUT_LATTICES,
    NOISES,
    PRESETS,
    Defects,
    DetectorNoise,
    MotionNoise,
    Noise,
    ScanNoise,
    TipNoise,
    simulate,
)
from stm_experiments.simulator.examples import EXAMPLES, artefacts_alone
from stm_experiments.simulator.microscope.scan import lagged, pink_series
from stm_experiments.simulator.scene import Trace

SC, PHYSICAL = CUT_LATTICES["sc"], PRESETS["physical"]


def scans(n=4, size=129, backward=True, **noise):
    return simulate([SC] * n, range(n), Noise(**noise), PHYSICAL, size, backward=backward)


def added(batch, backward=False):
    """What the scan added, in corrugations, [N, H, W] float64."""
    image = batch.backward if backward else batch.noisy
    return (image - batch.clean)[:, 0].double() / batch.truth["corrugation"][:, None, None]


# Noise, ScanNoise(...) and so on without strengths: what must not change anything.
@pytest.mark.parametrize(
    "noise",
    [
        Noise(scan=ScanNoise(pink=0.0, scars=(0.0, 0.0), hum=0, tilt=0, lag=0)),
        Noise(scan=ScanNoise(striation=0.3, pink=0.3, hum=1, scars=0.5, tilt=3, lag=3, bow=1,
                             row_offset=0.2, chance=0, striation_chance=0)),
        Noise(tip=TipNoise(blur=2.0, double=0.5, chance=0)),
        Noise(tip=TipNoise(changes=2, change_gain=0.5, change_jump=3.0, change_chance=0)),
        Noise(defects=Defects(vacancies=0.1, adatoms=0.1, step=2.0, chance=0, step_chance=0)),
        Noise(motion=MotionNoise(drift=0.3, creep=0.1, row_jitter=1.0, chance=0)),
        Noise(motion=MotionNoise(drift=(0.0, 0.0))),
        Noise(detector=DetectorNoise(white=0.0, shot=(0, 0), quantisation=0)),
    ],
)  # fmt: skip
def test_strength_or_chance_zero_is_nothing(noise):
    plain = simulate([SC] * 3, range(3), Noise(), PHYSICAL, 97)
    batch = simulate([SC] * 3, range(3), noise, PHYSICAL, 97)
    torch.testing.assert_close(batch.clean, plain.clean, atol=2e-5, rtol=0)
    torch.testing.assert_close(batch.noisy, plain.clean, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ["realistic", "realistic_hard", "denoise"])
@pytest.mark.parametrize("preset", ["physical", "published"])
def test_real_noises_are_pure_functions_of_the_seed(name, preset):
    lattices = list(CUT_LATTICES.values())

    def batch(numbers):
        return simulate(
            [lattices[i % 5] for i in numbers], [70 + i for i in numbers], NOISES[name],
            PRESETS[preset], 97, domains=2, backward=True,
        )  # fmt: skip

    everything = batch(range(12))
    assert everything.noisy.isfinite().all()
    for numbers in ([7], [11, 2, 7, 0]):
        part = batch(numbers)
        for field in ("noisy", "backward", "clean", "domain"):
            assert torch.equal(getattr(part, field), getattr(everything, field)[numbers]), field
        assert part.truth.keys() == everything.truth.keys()
        for key, ours in part.truth.items():
            whole = everything.truth[key][numbers]
            whole = whole[:, : ours.shape[1]] if whole.ndim > 1 else whole
            assert torch.equal(ours, whole), key


def test_switching_one_artefact_off_leaves_the_others_alone():
    both = scans(scan=ScanNoise(hum=0.2, scars=0.05), motion=MotionNoise(drift=0.1))
    hum = scans(scan=ScanNoise(hum=0.2), motion=MotionNoise(drift=0.1))
    scars = scans(scan=ScanNoise(scars=0.05), motion=MotionNoise(drift=0.1))
    assert torch.equal(both.clean, hum.clean)
    torch.testing.assert_close(added(both), added(hum) + added(scars), atol=1e-5, rtol=0)


def test_traces_share_the_clean_image_but_not_their_noise():
    batch = scans(scan=ScanNoise(row_offset=0.1), detector=DetectorNoise(white=0.1))
    forward, backward = added(batch), added(batch, True)
    for i in range(4):
        rows = torch.stack((forward[i].mean(1), backward[i].mean(1)))
        rest = torch.stack(
            [(x[i] - x[i].mean(1, keepdim=True)).flatten() for x in (forward, backward)]
        )
        assert abs(torch.corrcoef(rest)[0, 1]) < 0.03
        assert torch.corrcoef(rows)[0, 1] < 0.98
    alone = scans(backward=False, scan=ScanNoise(row_offset=0.1), detector=DetectorNoise(white=0.1))
    assert alone.backward is None
    assert torch.equal(alone.noisy, batch.noisy)


@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.5, 2.2])
def test_pink_noise_has_its_exponent_along_the_acquisition_time(exponent):
    slopes = []
    for seed in range(4):
        traces = pink_series(exponent, 129, torch.Generator().manual_seed(seed))
        there, back = traces[Trace.FORWARD], traces[Trace.BACKWARD].flip(-1)
        series = torch.stack((there, back), 1).flatten().numpy()
        assert series.std() == pytest.approx(1, abs=1e-3)
        power = np.abs(np.fft.rfft(series * np.hanning(len(series)))) ** 2
        # Averaged over octaves, or single frequencies would weigh too much.
        edges = 2 ** np.arange(4, 14)
        levels = [power[a:b].mean() for a, b in zip(edges, 2 * edges, strict=True)]
        slopes.append(np.polyfit(np.log(edges), np.log(levels), 1)[0])
    assert np.mean(slopes) == pytest.approx(-exponent, abs=0.1)


def test_pink_noise_of_an_image_has_its_strength():
    batch = scans(8, scan=ScanNoise(pink=0.2, pink_exponent=1.0))
    both = torch.stack((added(batch), added(batch, True)))
    torch.testing.assert_close(
        both.flatten(2).transpose(0, 1).flatten(1).std(1), torch.full((8,), 0.2).double(),
        rtol=0.01, atol=0,
    )  # fmt: skip
    assert batch.truth["pink"].tolist() == [0.2] * 8


def test_hum_has_its_frequency_and_advances_from_row_to_row():
    periods, size = 10.3, 129
    batch = scans(scan=ScanNoise(hum=0.15, hum_periods=periods))
    forward, backward = added(batch).numpy(), added(batch, True).numpy()
    assert np.abs(forward).max() == pytest.approx(0.15, rel=0.01)
    spectrum = np.abs(np.fft.rfft(forward * np.hanning(size), 16 * size, axis=-1)).mean((0, 1))
    assert spectrum.argmax() / 16 == pytest.approx(periods, abs=0.1)
    # One line there and back is 2 x 10.3 periods: the phase advances by 0.6 of a period per row.
    wave = np.exp(-2j * np.pi * periods * np.arange(size) / size)
    amplitude = (forward * wave).mean(-1)
    advance = np.angle((amplitude[:, 1:] * amplitude[:, :-1].conj()).mean(1)) / (2 * np.pi)
    np.testing.assert_allclose((advance - 2 * periods + 0.5) % 1 - 0.5, 0, atol=0.02)
    # The last px there and the first px back are recorded one after the other.
    step = 0.15 * 2 * np.pi * periods / size
    assert np.abs(backward[:, :, -1] - forward[:, :, -1]).max() < 1.1 * step


def test_row_offsets_are_level_along_each_row():
    batch = scans(8, scan=ScanNoise(row_offset=0.1))
    for backward, name in ((False, "rows_forward"), (True, "rows_backward")):
        field = added(batch, backward) * batch.truth["corrugation"][:, None, None]
        assert field.std(2).max() < 1e-5
        torch.testing.assert_close(field.mean(2), batch.truth[name], atol=1e-5, rtol=0)
    steps = (batch.truth["rows_forward"] / batch.truth["corrugation"][:, None]).diff(dim=1)
    # White noise on both lines and a step of the walk between them.
    assert float(steps.std()) == pytest.approx(0.1 * math.sqrt(2 + 1 / 16), rel=0.1)


def test_scars_lie_in_their_mask_only():
    batch = scans(12, scan=ScanNoise(scars=0.03))
    for backward, name in ((False, "scar_forward"), (True, "scar_backward")):
        field, mask = added(batch, backward), batch.truth[name]
        assert not field[~mask].any()
        assert field[mask].abs().min() > 0.25 - 1e-5
        assert field[mask].abs().max() < 1 + 1e-5
        assert 0.005 < mask.double().mean() < 0.1
        runs = mask.sum(2)[mask.any(2)]
        assert runs.min() >= 15
    assert not torch.equal(batch.truth["scar_forward"], batch.truth["scar_backward"])


def test_tilt_is_a_plane_and_bow_a_parabola():
    plane = added(scans(scan=ScanNoise(tilt=3.0), detector=DetectorNoise()))
    assert plane.diff(n=2, dim=1).abs().max() < 1e-5
    assert plane.diff(n=2, dim=2).abs().max() < 1e-5
    gradient = torch.stack((plane[:, -1, 0] - plane[:, 0, 0], plane[:, 0, -1] - plane[:, 0, 0]))
    torch.testing.assert_close(
        gradient.norm(dim=0), torch.full((4,), 3.0).double(), atol=1e-4, rtol=0
    )
    bow = added(scans(scan=ScanNoise(bow=1.0)))
    assert bow.diff(n=3, dim=1).abs().max() < 1e-5
    assert bow.abs().max() <= 2


def test_lag_is_a_first_order_filter_in_the_direction_of_the_trace():
    image = torch.zeros(2, 1, 1, 64)
    image[..., 20:] = 1
    length = torch.tensor([2.5, 0.0], dtype=torch.float64)
    forward = lagged(image, length, 3.0, Trace.FORWARD)
    x = torch.arange(64) - 19.0
    torch.testing.assert_close(
        forward[0, 0, 0], torch.where(x > 0, 1 - torch.exp(-x / 2.5), 0.0), atol=1e-6, rtol=0
    )
    assert torch.equal(forward[1], image[1])
    backward = lagged(image.flip(-1), length, 3.0, Trace.BACKWARD)
    assert torch.equal(backward.flip(-1), forward)
    # Atoms are seen late: to the right of their place forward, to the left backward.
    batch = scans(scan=ScanNoise(lag=2.0))
    a, b = batch.noisy[:, 0, :, 20:-20], batch.backward[:, 0]
    overlap = {k: float((a * b[:, :, 20 + k : b.shape[2] - 20 + k]).mean()) for k in range(-6, 7)}
    assert max(overlap, key=overlap.get) in (-3, -2, -1)


def test_white_and_shot_noise_in_corrugations():
    batch = scans(6, 257, detector=DetectorNoise(white=0.1))
    assert float(added(batch).std()) == pytest.approx(0.1, rel=0.02)
    batch = scans(6, 257, detector=DetectorNoise(shot=0.1))
    height = batch.clean[:, 0].double() / batch.truth["corrugation"][:, None, None]
    for low, high in ((0.2, 0.3), (1.0, 1.2)):
        part = (height > low) & (height < high)
        expected = 0.1 * math.sqrt(float(height[part].mean()))
        assert float(added(batch)[part].std()) == pytest.approx(expected, rel=0.03)


def test_quantisation_leaves_few_levels():
    batch = scans(2, detector=DetectorNoise(quantisation=0.1))
    for image, c in zip(batch.noisy, batch.truth["corrugation"].tolist(), strict=True):
        level = image.double() / (0.1 * c)
        assert (level - level.round()).abs().max() < 1e-4
    assert added(batch).abs().max() < 0.0501


def test_stripes_of_a_range_have_any_direction():
    noise = ScanNoise(striation=(0.2, 0.4), striation_kappa=(0.5, 1.5), striation_turned=True)
    batch = scans(16, scan=noise)
    field = (batch.noisy - batch.clean)[:, 0].double()
    spectrum = torch.fft.fft2(field - field.mean((1, 2), keepdim=True), (512, 512)).abs()
    half = spectrum[:, :, :256].flatten(1).argmax(1)
    k = torch.stack((half // 256, half % 256), 1).double()
    k[:, 0] -= 512 * (k[:, 0] > 256)
    torch.testing.assert_close(
        2 * math.pi / 512 * k.norm(dim=1), batch.truth["striation_kappa"], atol=0.03, rtol=0
    )
    height = field.amax((1, 2)) - field.amin((1, 2))
    torch.testing.assert_close(height, batch.truth["striation"], rtol=0.01, atol=0)
    angle = torch.atan2(k[:, 0], k[:, 1])
    assert angle.max() - angle.min() > math.pi / 2


def test_ranges_are_drawn_log_uniformly_or_uniformly_from_zero():
    noise = Noise(scan=ScanNoise(hum=(0.01, 1.0), tilt=(0.0, 2.0)))
    batch = simulate([SC] * 400, range(400), noise, PHYSICAL, 16)
    hum, tilt = batch.truth["hum"], batch.truth["tilt"]
    assert hum.min() >= 0.01
    assert hum.max() <= 1
    assert float(hum.log10().mean()) == pytest.approx(-1, abs=0.1)
    assert float(tilt.mean()) == pytest.approx(1, abs=0.1)
    some = simulate(
        [SC] * 400, range(400), Noise(scan=ScanNoise(hum=0.1, chance=0.3)), PHYSICAL, 16
    )
    assert float((some.truth["hum"] > 0).double().mean()) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ScanNoise(hum=-0.1), "hum=-0.1 is not a strength"),
        (lambda: ScanNoise(hum=[0.3, 0.1]), r"hum=\[0.3, 0.1\] is not a range"),
        (lambda: ScanNoise(hum="loud"), "hum='loud' is not a strength"),
        (lambda: ScanNoise(pink=(0.1, 0.2, 0.3)), "not a range"),
        (lambda: DetectorNoise(white=math.nan), "white=nan is not a strength"),
        (lambda: TipNoise(changes=1.5), "not a whole number"),
        (lambda: MotionNoise(chance=1.5), "at most 1"),
        (lambda: MotionNoise(chance=[0.1, 0.5]), "a number of at least 0"),
        (lambda: Defects(vacancies=0.9, substitutions=0.5), "at most 1"),
    ],
)
def test_senseless_strengths_are_refused_in_one_sentence(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_every_example_but_nothing_changes_the_image():
    images = artefacts_alone(SC, 3, PHYSICAL, 129, [0.1, 0.25, 0.2])
    assert len(images) == len(EXAMPLES) + 1
    nothing = images.pop("nothing")
    for name, image in images.items():
        assert image.isfinite().all(), name
        assert (image - nothing).abs().max() > 0.05, name
