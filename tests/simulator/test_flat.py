"""Flat crystals: geometry from the Fourier transform, waves, domains, defects, faults, strain."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from stm_experiments import render_topographs
from stm_experiments.simulator import (
    CUT_LATTICES,
    LATTICES,
    NOISES,
    PRESETS,
    Defects,
    MotionNoise,
    Noise,
    SampleNoise,
    simulate,
)

PHYSICAL = PRESETS["physical"]
FLAT = {name: lattice for name, lattice in LATTICES.items() if name not in CUT_LATTICES}
WAVES = {name: lattice for name, lattice in FLAT.items() if lattice.waves}
SIZE = 257


def images(lattice, n=4, noise=Noise(), size=SIZE, **options):  # noqa: B008
    return simulate([lattice] * n, range(n), noise, PHYSICAL, size, **options)


def amplitude_at(image, q):
    """Amplitude of a cosine of wave vector q (1/px) in an image [H, W]."""
    window = torch.hann_window(len(image), periodic=False, dtype=torch.float64)
    r = torch.arange(len(image), dtype=torch.float64) - len(image) // 2
    down, across = (window * torch.exp(-2j * math.pi * float(x) * r) for x in q)
    image = image.double() - image.double().mean()
    return 2 * (down @ image.to(down) @ across) / window.sum() ** 2


def peak_near(image, q):
    """The wave vector of the highest peak within 1/SIZE of q."""
    steps = torch.linspace(-1, 1, 21, dtype=torch.float64) / SIZE
    found = [(float(amplitude_at(image, (q[0] + a, q[1] + b)).abs()), a, b)
             for a in steps[::2] for b in steps[::2]]  # fmt: skip
    _, a, b = max(found)
    return q[0] + a, q[1] + b


@pytest.mark.parametrize(
    ("name", "a", "ratio", "gamma"),
    [
        ("zrte3", 12, 3.93 / 5.89, 90),
        ("tas2", 10, 1, 60),
        ("tise2", 12, 1, 60),
        ("mos2", 18, 1, 60),
        ("srtio3", 10, 1, 90),
    ],
)
def test_bragg_peaks_are_those_of_the_crystal(name, a, ratio, gamma):
    turn = 0.3
    lattice = FLAT[name]
    image = render_topographs(replace(lattice, waves=()), [0.0, 0.0, turn])[0, 0]
    # Reciprocal vectors have the length 1 / (length sin gamma) and stand on the other vector.
    angle = math.radians(turn * lattice.rotation_max)
    sin = math.sin(math.radians(gamma))
    for length, direction in ((a, math.radians(gamma) - math.pi / 2), (a * ratio, math.pi / 2)):
        g = 1 / (length * sin)
        q = (g * math.cos(direction - angle), g * math.sin(direction - angle))
        assert amplitude_at(image, q).abs() > 0.05
        away = np.subtract(peak_near(image, q), q)
        assert np.hypot(*away) < 0.2 / SIZE


@pytest.mark.parametrize("name", WAVES)
def test_waves_have_the_stated_vectors_amplitude_and_phase(name):
    lattice = replace(WAVES[name], wave=0.3, modulation=0.0, wave_domains=1)
    batch = images(lattice)
    plain = images(replace(lattice, waves=()))
    wave = batch.clean[:, 0] - plain.clean[:, 0]
    c = float(plain.truth["corrugation"].mean())
    for i in range(4):
        for q, phase in zip(
            batch.truth["wave_vector"][i], batch.truth["wave_phase"][i, 0], strict=True
        ):
            found = amplitude_at(wave[i], q)
            assert float(found.abs()) == pytest.approx(0.3 * c, rel=0.12)
            error = torch.remainder(found.angle() - phase + math.pi, 2 * math.pi) - math.pi
            assert abs(float(error)) < 0.1
            assert np.hypot(*np.subtract(peak_near(wave[i], q), q)) < 0.25 / SIZE
    assert batch.truth["wave"].tolist() == [0.3] * 4
    assert batch.clean.min() >= -1e-3


def test_the_star_of_david_is_turned_by_13_9_degrees_and_root_13_long():
    lattice = FLAT["tas2"]
    image = render_topographs(lattice, [0.0, 0.0, 0.0])[0, 0]
    q = torch.stack([torch.tensor([math.cos(t), math.sin(t)]) for t in np.linspace(0, np.pi, 721)])
    g = 2 / math.sqrt(3) / lattice.spread
    turns = {}
    for length in (g, g / math.sqrt(13)):
        strength = torch.stack([amplitude_at(image, length * x).abs() for x in q[:481]])
        turns[length] = math.degrees(math.atan2(*q[int(strength[:240].argmax())].flip(0)))
    turn = (turns[g] - turns[g / math.sqrt(13)]) % 60
    assert min(turn, 60 - turn) == pytest.approx(13.9, abs=0.5)


def test_tise2_repeats_after_two_cells_and_not_after_one():
    image = render_topographs("tise2", [0.0, 0.0, 0.0], size=321)[0, 0, 32:-32, 32:-32]
    period = round(FLAT["tise2"].spread)
    torch.testing.assert_close(image[2 * period :], image[: -2 * period], atol=2e-3, rtol=0)
    assert (image[period:] - image[:-period]).abs().max() > 0.5


@pytest.mark.parametrize("name", ["tas2", "zrte3"])
def test_waves_slip_between_domains(name):
    lattice = replace(WAVES[name], wave=0.5, modulation=0.0, wave_domains=4)
    batch = images(lattice, 12)
    plain = images(replace(lattice, waves=()), 12)
    wave = batch.clean[:, 0] - plain.clean[:, 0]
    label = batch.truth["wave_domain"]
    assert label.shape == (12, SIZE, SIZE)
    assert int(label.max()) == 3
    c = float(plain.truth["corrugation"].mean())
    r = torch.arange(SIZE, dtype=torch.float64) - SIZE // 2
    least = 0.5 * c * len(lattice.waves)
    for i in range(12):
        for d in label[i].unique().tolist():
            # Inside a domain the wave is the perfect one with the domain's phase.
            inside = distance_transform_edt(label[i] == d) > 2 * lattice.spread
            expected = torch.full((SIZE, SIZE), least, dtype=torch.float64)
            pairs = zip(batch.truth["wave_vector"][i], batch.truth["wave_phase"][i, d], strict=True)
            for q, phase in pairs:
                angle = 2 * math.pi * (q[0] * r[:, None] + q[1] * r) + phase
                expected += 0.5 * c * angle.cos()
            error = (wave[i].double() - expected)[torch.from_numpy(inside)].abs()
            assert not len(error) or error.max() < 0.06 * c
    slips = (batch.truth["wave_phase"] - batch.truth["wave_phase"][:, :1]) / (2 * math.pi)
    if lattice.commensurate:  # from star to star by a vector of the lattice
        torch.testing.assert_close(13 * slips, (13 * slips).round(), atol=1e-6, rtol=0)
    assert slips.abs().max() > 0.1


@pytest.mark.parametrize("name", FLAT)
def test_sites_are_where_the_image_is_bright_and_defects_where_it_changed(name):
    lattice = replace(FLAT[name], waves=())
    defects = Defects(vacancies=0.01, adatoms=0.004, substitutions=0.02, contrast=0.5)
    plain = images(lattice)
    damaged = images(lattice, noise=Noise(defects=defects))
    u, v, _, present = plain.atoms
    site = plain.truth["site"]
    for i in range(4):
        inside = present[i] & (u[i] > 3) & (u[i] < SIZE - 4) & (v[i] > 3) & (v[i] < SIZE - 4)
        for number, about in enumerate(lattice.sites):
            here = inside & (site[i] == number)
            high = plain.clean[i, 0][u[i][here].round().long(), v[i][here].round().long()]
            assert high.min() > 0.85 * 4 * about.height
            assert high.max() < 4.6 * about.height + 0.3
    position, kind = damaged.truth["defect_position"], damaged.truth["defect_kind"]
    change = damaged.clean[:, 0] - plain.clean[:, 0]
    for number, sign in ((1, -1), (2, 1), (3, 1), (4, -1)):
        image, slot = (kind == number).nonzero().T
        at = position[image, slot].round().long().clamp(0, SIZE - 1)
        changed = change[image, at[:, 0], at[:, 1]] * sign
        assert len(changed) > 2
        assert changed.median() > 0.3
        assert (changed > 0.1).double().mean() > 0.9


def test_mos2_has_columns_of_two_heights_and_named_defects():
    lattice = FLAT["mos2"]
    ratio = 2 * 16**1.7 / 42**1.7
    assert [x.height for x in lattice.sites] == [1.0, ratio]
    plain = images(lattice, 8)
    damaged = images(lattice, 8, Noise(defects=Defects(substitutions=0.1)))
    which, kind = (damaged.truth[f"defect_{x}"] for x in ("substitute", "kind"))
    position = damaged.truth["defect_position"]
    assert set(which[kind > 0].tolist()) == {1, 2, 3}
    for number, substitute in enumerate(lattice.substitutes, 1):
        image, slot = (which == number).nonzero().T
        at = position[image, slot].round().long().clamp(0, SIZE - 1)
        before = plain.clean[image, 0, at[:, 0], at[:, 1]].median()
        after = damaged.clean[image, 0, at[:, 0], at[:, 1]].median()
        assert float(after) == pytest.approx(4 * substitute.height, abs=0.35)
        assert len(image) > 20
        brighter = kind[which == number] == 3
        assert brighter.all() if after > before else not brighter.any()


def test_a_fault_moves_the_crystal_beyond_it_and_stretches_it():
    lattice = replace(FLAT["srtio3"], fault=1.0, fault_strain=0.04, rotation_max=0.0)
    batch, perfect = images(lattice, 4), images(FLAT["srtio3"], 4)
    assert "fault" not in perfect.truth
    assert batch.truth["fault"].all()
    u, v, _, present = batch.atoms
    for i in range(4):
        beyond = batch.truth["beyond_fault"][i]
        first = int(beyond.any(0).int().argmax())  # b runs along image axis 1
        assert 0.15 * SIZE < first < 0.85 * SIZE
        sr = present[i] & (batch.truth["site"][i] == 0)
        rows = v[i][sr].unique().round(decimals=6)
        rows = torch.unique(rows)
        steps = rows.diff()
        at = int((rows < first - 0.5).sum()) - 1
        assert float(steps[at]) == pytest.approx(6, abs=0.3)  # two Sr layers, half a + 10 %
        # Far away the lattice constant is 10 px, next to the fault 4 % more.
        assert float(steps[at + 1]) == pytest.approx(10 * (1 + 0.04 * math.exp(-0.8 / 4)), abs=0.05)
        assert float(steps[at + 1]) > float(steps[at + 3]) > float(steps[at + 6]) > 10
        along = [u[i][sr & ((v[i] - rows[k]).abs() < 1e-3)][0] for k in (at, at + 1)]
        assert float((along[1] - along[0]) % 10) == pytest.approx(5, abs=1e-6)


@pytest.mark.parametrize("name", ["mos2", "fcc"])
def test_strain_displaces_the_atoms_as_stated(name):
    noise = Noise(sample=SampleNoise(strain=0.05))
    plain, strained = images(LATTICES[name]), images(LATTICES[name], noise=noise)
    field = strained.truth["displaced"]
    assert field.shape == (4, SIZE, SIZE, 2)
    for axis in (1, 2):
        slope = field.diff(dim=axis).abs().max()
        assert 0.01 < slope <= 0.05
    moved = torch.stack(strained.atoms[:2], -1) - torch.stack(plain.atoms[:2], -1)
    u, v = (x.round().long() for x in plain.atoms[:2])
    inside = plain.atoms.present & (u >= 0) & (u < SIZE) & (v >= 0) & (v < SIZE)
    image = torch.arange(4)[:, None].expand_as(u)
    expected = field[image[inside], u[inside], v[inside]]
    torch.testing.assert_close(moved[inside], expected, atol=0.05, rtol=0)
    assert moved[inside].abs().max() > 0.5


def test_images_do_not_depend_on_the_batch_or_on_their_neighbours():
    order = ["zrte3", "fcc", "tas2", "mos2", "tise2", "srtio3"]
    lattices = [LATTICES[name] for name in order]
    noise = NOISES["realistic_hard"]
    together = simulate(lattices, range(6), noise, PHYSICAL, 97, domains=2)
    again = simulate(lattices, range(6), noise, PHYSICAL, 97, domains=2)
    assert torch.equal(together.noisy, again.noisy)
    names = list(LATTICES)
    for i, lattice in enumerate(lattices):
        alone = simulate([lattice], [i], noise, PHYSICAL, 97, domains=2)
        assert torch.equal(alone.noisy[0], together.noisy[i])
        assert torch.equal(alone.clean[0], together.clean[i])
        assert int(together.lattice[i]) == names.index(order[i])
    assert "site" not in together.truth  # fcc has none
    mixture = simulate([FLAT["zrte3"], FLAT["tas2"]], [0, 2], NOISES["none"], PHYSICAL, 97)
    alone = simulate([FLAT["zrte3"]], [0], NOISES["none"], PHYSICAL, 97)
    assert mixture.truth["wave_vector"].shape == (2, 3, 2)
    assert torch.equal(mixture.truth["wave_vector"][0, :1], alone.truth["wave_vector"][0])
    assert not torch.equal(images(FLAT["tas2"], 2).clean[0], images(FLAT["tas2"], 2).clean[1])


def test_truth_is_in_the_scanned_geometry():
    noise = Noise(defects=Defects(adatoms=0.02), motion=MotionNoise(drift=0.3))
    batch = images(FLAT["tise2"], 4, noise, 129)
    image, slot = (batch.truth["defect_kind"] == 2).nonzero().T
    u, v = batch.truth["defect_position"][image, slot].round().long().clamp(0, 128).T
    assert batch.clean[image, 0, u, v].mean() > 5.5
    assert batch.truth["wave_domain"].shape == (4, 129, 129)


def test_a_drawn_crystal_is_the_simulated_one():
    lattice = replace(FLAT["mos2"], rotation_max=90.0)
    batch = images(lattice, 2)
    torch.testing.assert_close(
        render_topographs(lattice, batch.orientation, offset=batch.offset), batch.clean
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spread": 0.0}, "spread must be positive"),
        ({"gamma": 180.0}, "gamma must lie between"),
        ({"rotation_max": 400.0}, "rotation_max must lie in 0..360"),
        ({"wave": -1.0}, "lattice: wave=-1.0 is not a strength"),
        ({"wave": [0.5, 0.1]}, "is not a range"),
        ({"wave_domains": 0}, "wave_domains is a whole number"),
        ({"fault": 1.5}, "share of the images"),
        ({"fault_strain": 0.5}, "above 0.2"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(change, message):
    with pytest.raises(ValueError, match=message):
        replace(FLAT["zrte3"], **change)


def test_what_flat_crystals_cannot_do_is_said():
    with pytest.raises(ValueError, match="'tas2' is drawn by the preset physical only"):
        render_topographs("tas2", [0.0, 0.0, 0.0], "published")
    with pytest.raises(ValueError, match="in one domain only"):
        images(replace(FLAT["srtio3"], fault=0.5), 2, size=64, domains=2)
