"""Physics of the lattice finder, on lattices drawn here: what was drawn must be found."""

import math

import numpy as np
import pytest
from drawn_lattices import LATTICES, SIZE, drawn, example, sites_of, turned
from scipy import ndimage
from scipy.spatial import KDTree

from stm_experiments.lattice.fit import covered_share, find_grains, find_lattice
from stm_experiments.lattice.site_table import describe_lattice, site_table
from stm_experiments.lattice.vectors import LatticeError, find_bragg_vectors, reduce_vectors


def inner(places, border=4, size=SIZE):
    return places[((places >= border) & (places <= size - 1 - border)).all(1)]


def unfound(true, found, reach):
    """Shares of the true sites that were not found, and of the found ones that are not true."""
    missed = (KDTree(found).query(inner(true))[0] > reach).mean()
    false = (KDTree(true).query(inner(found))[0] > reach).mean()
    return missed, false


def plane_wave(slope):
    """A single wave without noise, such as hum."""
    return np.sin(2 * np.pi * np.add.outer(np.arange(SIZE), slope * np.arange(SIZE)) / 12.4)


def wave(strain, period=100):
    """A displacement along both axes whose largest derivative is the strain."""
    amplitude = strain * period / 2 / math.pi
    return lambda p: amplitude * np.sin(2 * math.pi * p[:, ::-1] / period)


@pytest.mark.parametrize("name", LATTICES)
def test_spacings_angles_and_every_site(name):
    vectors, basis, _ = LATTICES[name]
    true, image = example(name)
    fit = find_lattice(image)
    a, b = np.linalg.norm(reduce_vectors(vectors), axis=1)
    assert np.linalg.norm(fit.vectors, axis=1) == pytest.approx([a, b], rel=2e-3)
    area = abs(np.linalg.det(np.array(vectors, float)))
    assert abs(np.linalg.det(fit.vectors)) == pytest.approx(area, rel=4e-3)
    assert len(fit.basis) == len(basis)
    assert unfound(true, fit.sites, 0.3) == (0, 0)
    assert fit.occupied.all()
    assert fit.residual < 0.1
    assert np.abs(fit.strain).max() < 0.01


@pytest.mark.parametrize("name", ["square", "hexagonal", "honeycomb", "centred rectangular"])
def test_drift_strain_vacancies_and_noise_together(name):
    """5 % strain, 5 % vacancies, a shear of 5 %, noise of a tenth of an atom, offsets of rows."""
    rng = np.random.default_rng(3)
    vectors, basis, width = LATTICES[name]
    sheared = turned(vectors, 40) @ np.array([[1, 0.05], [0, 1]])
    true = sites_of(sheared, basis, wave(0.05))
    there = rng.random(len(true)) > 0.05
    image = drawn(true[there], width) + 0.1 * rng.standard_normal((SIZE, SIZE))
    image += 0.2 * rng.standard_normal((SIZE, 1)).cumsum(0) / 4
    fit = find_lattice(image)
    near = KDTree(true).query(true, 2)[0][:, 1].mean()
    missed, false = unfound(true, fit.sites, 0.2 * near)
    assert missed < 0.01
    assert false < 0.01
    expected = reduce_vectors(sheared)
    wrong = np.linalg.norm(np.abs(fit.vectors) - np.abs(expected), axis=1)
    assert (wrong / np.linalg.norm(expected, axis=1) < 0.01).all()  # the strain's own mean
    vacant = inner(true[~there], 12)
    empty = fit.sites[~fit.occupied]
    assert (KDTree(empty).query(vacant)[0] < 0.2 * near).mean() > 0.95
    assert (KDTree(true[~there]).query(empty)[0] < 0.2 * near).mean() > 0.9


def test_strain_is_measured():
    """Displacement u0 = A sin(k y), u1 = A sin(k x): pure shear A k (cos k y + cos k x) / 2."""
    vectors, basis, width = LATTICES["hexagonal"]
    true = sites_of(np.array(vectors), basis, wave(0.05, 140))
    fit = find_lattice(drawn(true, width))
    k = 2 * math.pi / 140
    shear = 0.05 * np.cos(k * fit.sites).sum(1) / 2
    middle = ((fit.sites > 20) & (fit.sites < SIZE - 20)).all(1)
    measured = fit.strain[middle, 0, 1]
    assert np.corrcoef(measured, shear[middle])[0, 1] > 0.97
    # The mean lattice holds the mean; the neighbours' width takes a sixth of a strain of 140 px.
    slope = np.polyfit(shear[middle], measured, 1)[0]
    assert 0.75 < slope < 1.02
    assert np.abs(fit.strain[middle][:, [0, 1], [0, 1]]).mean() < 0.005


@pytest.mark.parametrize("name", ["hexagonal", "honeycomb"])
def test_turns_mirrors_and_units_do_not_matter(name):
    rng = np.random.default_rng(1)
    _, image = example(name)
    noisy = image + 0.05 * rng.standard_normal(image.shape)
    sites = find_lattice(noisy).sites
    last = SIZE - 1
    rows, columns = np.indices(image.shape)
    for changed, back in (
        (np.rot90(noisy), lambda s: np.stack([s[:, 1], last - s[:, 0]], 1)),
        (noisy[::-1], lambda s: np.stack([last - s[:, 0], s[:, 1]], 1)),
        (noisy.T, lambda s: s[:, ::-1]),
        (1e-10 * (noisy + 0.3 * rows - 0.1 * columns) + 5e-9, lambda s: s),
    ):
        other = back(find_lattice(changed).sites)
        assert len(other) == len(sites)
        assert KDTree(sites).query(other)[0].max() < 0.05


def test_scale():
    vectors, basis, width = LATTICES["hexagonal"]
    lengths = []
    for factor in (0.6, 1, 1.7):
        places = sites_of(factor * turned(vectors, 5), basis)
        fit = find_lattice(drawn(places, factor * width))
        lengths.append(np.linalg.norm(fit.vectors, axis=1) / factor)
    assert np.array(lengths) == pytest.approx(np.full((3, 2), 11), rel=2e-3)


@pytest.mark.parametrize(
    "image",
    [
        np.random.default_rng(0).standard_normal((SIZE, SIZE)),
        ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((SIZE, SIZE)), 3),
        np.sin(0.6 * np.arange(SIZE))
        + 0.1 * np.random.default_rng(1).standard_normal((SIZE, SIZE)),
        np.random.default_rng(2).standard_normal((SIZE, 1)).repeat(SIZE, 1),
        drawn(np.random.default_rng(3).uniform(0, SIZE, (250, 2)), 2.0),
        np.add.outer(np.arange(SIZE), 2.0 * np.arange(SIZE)),
        np.full((SIZE, SIZE), np.nan),
        plane_wave(1.7),
        np.tanh(3 * plane_wave(0.18)),
        np.round(20 * plane_wave(1.13)),
        np.zeros((8, 200)),
        np.zeros((3, 40, 40)),
    ],
    ids=[
        "noise",
        "hills",
        "stripes",
        "rows",
        "no order",
        "plane",
        "gaps",
        "wave",
        "edged wave",
        "rounded wave",
        "small",
        "stack",
    ],
)
def test_no_lattice_is_an_error_in_one_sentence(image):
    with pytest.raises(LatticeError) as error:
        find_lattice(image)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("height", "atoms"), [(0.3, 2), (0.6, 2), (0.85, 2), (0.95, 1), (1.0, 1)])
def test_atoms_of_unlike_heights_make_a_larger_cell(height, atoms):
    corners, centres = (
        sites_of(turned([[0, 14], [14, 0]], 17), [place]) for place in ([0, 0], [0.5, 0.5])
    )
    image = drawn(corners, 2.8) + height * drawn(centres, 2.8)
    image += 0.02 * np.random.default_rng(0).standard_normal(image.shape)
    fit = find_lattice(image)
    assert len(fit.basis) == atoms
    assert abs(np.linalg.det(fit.vectors)) == pytest.approx(98 * atoms, rel=0.02)
    assert fit.occupied.all()


def test_two_unlike_atoms_make_no_superlattice():
    """A weak wave of twice the period: the heights of each kind differ by less than a tenth."""
    corners, centres = (
        sites_of(turned([[0, 14], [14, 0]], 17), [place]) for place in ([0, 0], [0.5, 0.5])
    )
    image = drawn(corners, 2.8) + 0.5 * drawn(centres, 2.8)
    down, across = np.linalg.inv(turned([[0, 14], [14, 0]], 17))[:, 0] / 2
    rows, columns = np.indices(image.shape)
    waves = [np.cos(2 * np.pi * (down * rows + across * columns))]
    waves += [np.cos(2 * np.pi * (across * rows - down * columns))]
    fit = find_lattice(image + 0.02 * sum(waves))
    assert len(fit.basis) == 2
    assert abs(np.linalg.det(fit.vectors)) == pytest.approx(196, rel=0.02)


def test_gaps_have_no_sites():
    true, image = example("square")
    mask = np.ones(image.shape, bool)
    mask[60:90, 40:100] = False
    fit = find_lattice(np.where(mask, image, np.nan))
    assert mask[tuple(np.round(fit.sites).astype(int).T)].all()
    inside = inner(true)
    seen = inside[mask[tuple(np.round(inside).astype(int).T)]]
    assert (KDTree(fit.sites).query(seen)[0] < 0.5).mean() > 0.97


@pytest.mark.parametrize("pixel_nm", [(0.06, 0.02), (0.02, 0.06), (0.02, 0.04), (0.04, 0.02)])
def test_a_hexagonal_lattice_in_pixels_that_are_not_square(pixel_nm):
    """0.3 nm, turned by 7 degrees, with white noise: the lengths within 1 %, the angle 1 degree."""
    shape = [round(4.0 / side) for side in pixel_nm]
    y, x = (
        axis * side for axis, side in zip(np.mgrid[: shape[0], : shape[1]], pixel_nm, strict=True)
    )
    turns = np.radians(7 + 60 * np.arange(3))
    wave = 4 * np.pi / (np.sqrt(3) * 0.3)
    image = sum(np.cos(wave * (np.cos(turn) * x - np.sin(turn) * y)) for turn in turns)
    image = image + 0.1 * np.random.default_rng(0).normal(size=image.shape)
    vectors = find_lattice(image, pixel_nm=pixel_nm).vectors_nm
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths == pytest.approx(0.3, rel=0.01)
    cosine = float(vectors[0] @ vectors[1] / lengths.prod())
    assert np.degrees(np.arccos(cosine)) == pytest.approx(120, abs=1)


def test_pixels_that_are_not_square():
    """A square lattice of 0.3 nm, scanned with 0.03 x 0.02 nm a px."""
    pixel = (0.03, 0.02)
    places = sites_of(turned([[0, 0.3], [0.3, 0]], 20) / pixel, [[0, 0]])
    fit = find_lattice(drawn(places, 2.4), pixel_nm=pixel)
    about = describe_lattice(fit, None, "m")
    assert about["lengths_nm"] == pytest.approx([0.3, 0.3], rel=3e-3)
    assert about["angle_degrees"] == pytest.approx(90, abs=0.3)
    assert fit.sites_nm == pytest.approx(fit.sites * pixel)
    table = site_table(fit, 0)
    assert len(table["row_px"]) == len(fit.sites) == about["sites"]
    assert {"row_nm", "column_nm", "row_px", "occupied", "height", "strain_shear"} <= set(table)


def test_two_grains():
    vectors, basis, width = LATTICES["hexagonal"]
    left, right = (sites_of(turned(vectors, angle), basis) for angle in (4, 26))
    grains = [left[left[:, 1] < 70], right[right[:, 1] > 76]]
    fits = find_grains(drawn(np.concatenate(grains), width), most=3)
    assert len(fits) == 2
    for fit in fits:
        assert np.linalg.norm(fit.vectors, axis=1) == pytest.approx([11, 11], rel=5e-3)
        grain = min(grains, key=lambda g: KDTree(g).query(fit.sites)[0].mean())
        assert (KDTree(grain).query(fit.sites)[0] < 1).mean() > 0.97
        assert (KDTree(fit.sites).query(inner(grain))[0] < 1).mean() > 0.9
        assert 0.35 < covered_share(fit, np.ones((SIZE, SIZE), bool)) < 0.6


def test_no_site_is_empty_towards_another_grain():
    size = 200
    right, left = (
        drawn(sites_of(turned(LATTICES["hexagonal"][0], angle), [[0, 0]], size=size), 2.4, size)
        for angle in (5, 15)
    )
    rows, columns = np.indices((size, size))
    image = np.where(columns + 0.3 * rows > 140, right, left)
    image += 0.1 * np.random.default_rng(0).standard_normal(image.shape)
    assert find_lattice(image).occupied.all()


@pytest.mark.parametrize("name", ["square", "honeycomb"])
def test_strain_of_noise_alone_is_told(name):
    vectors, basis, width = LATTICES[name]
    true = sites_of(turned(vectors, 17), basis)
    fit = find_lattice(drawn(true + np.random.default_rng(0).normal(0, 0.3, true.shape), width))
    strains = np.linalg.eigvalsh(fit.strain)
    assert strains.mean(1).std() * np.sqrt(2) == pytest.approx(fit.strain_noise, rel=0.4)


def test_bragg_vectors_of_waves():
    """Two waves between frequency steps, on offsets of rows that are no lattice."""
    rows, columns = np.indices((128, 160))
    g, h = np.array([0.081, 0.033]), np.array([-0.02, 0.117])
    image = sum(np.cos(2 * np.pi * (w[0] * rows + w[1] * columns)) for w in (g, h))
    image += np.random.default_rng(0).standard_normal((128, 1))
    found, amplitude = find_bragg_vectors(image)
    assert (np.diff(amplitude) <= 0).all()
    for wave_vector in (g, h):
        away = np.minimum(*(np.linalg.norm(found - s * wave_vector, axis=1) for s in (1, -1)))
        assert away.min() < 0.1 / 128


def test_vectors_that_can_be_reduced_in_two_ways():
    """At half a vector, rounding must not turn the search round for ever."""
    for tilt in (-1e-16, 0.0, 1e-16, 3e-16):
        for short in (1.0, 1 / 3, 0.1):
            half = np.array([[short, 0.0], [(0.5 + tilt) * short, math.sqrt(0.75) * short]])
            assert np.linalg.norm(reduce_vectors(half), axis=1) == pytest.approx([short, short])


def test_reduced_vectors_are_the_shortest():
    rng = np.random.default_rng(0)
    for _ in range(50):
        vectors = rng.normal(size=(2, 2)) * 10
        a, b = reduce_vectors(vectors)
        assert np.linalg.norm(a) <= np.linalg.norm(b) <= np.linalg.norm(b - a) * (1 + 1e-9)
        assert np.linalg.norm(b) <= np.linalg.norm(a + b) * (1 + 1e-9)
        change = np.stack([a, b]) @ np.linalg.inv(vectors)
        assert change == pytest.approx(np.round(change), abs=1e-6)
        mixed = np.array([[2, 1], [1, 1]]) @ vectors
        assert reduce_vectors(mixed) == pytest.approx(reduce_vectors(vectors), abs=1e-6)


def test_real_febr2(shared):
    """FeBr2 on gold: a = 0.37 nm, with pits on a coarser lattice; Nanonis scan of 4 nm."""
    pytest.importorskip("nanonispy2")
    from stm_experiments.io import read_scan
    from stm_experiments.restoration.denoise import denoise

    scan = read_scan(shared / "data/scans/stm/FeBr2_Au111_4nm.sxm")
    fit = find_lattice(denoise(scan).data, scan.mask, scan.pixel_size)
    about = describe_lattice(fit, None, scan.unit)
    assert about["lengths_nm"] == pytest.approx([0.37, 0.37], rel=0.03)
    assert about["angle_degrees"] == pytest.approx(120, abs=2)
    assert 10 <= about["empty"] <= 25


def strip(rows, columns, spacing=4.0):
    """A square lattice in a narrow image, and its sites [S,2] px."""
    lines = [np.arange(1.0 + spacing, n - 1 - spacing, spacing) for n in (rows, columns)]
    around = [np.arange(1.0, n, spacing) for n in (rows, columns)]
    bumps = [
        np.exp(-((np.arange(n) - places[:, None]) ** 2) / 2 / (0.2 * spacing) ** 2).sum(0)
        for n, places in zip((rows, columns), around, strict=True)
    ]
    return np.outer(*bumps), np.stack(np.meshgrid(*lines, indexing="ij"), -1).reshape(-1, 2)


def test_sites_are_followed_through_the_whole_image_however_long():
    # A round reaches about two sites further: the 400 columns need more than 200 rounds.
    image, sites = strip(32, 1600)
    fit = find_lattice(image)
    assert KDTree(fit.sites).query(sites)[0].max() < 0.3
    assert len(fit.sites) == pytest.approx(8 * 400, abs=5)  # corners have too few neighbours
    assert fit.occupied.all()


@pytest.mark.parametrize("name", ["square", "hexagonal", "honeycomb"])
def test_the_last_digits_of_the_image_do_not_matter(name):
    """Many neighbours of a site are equally far away: none may count more than another."""
    image = example(name, 0.0)[1]
    noise = 1e-15 * np.random.default_rng(0).standard_normal(image.shape)
    first, second = find_lattice(image), find_lattice(image + noise)
    for value in ("vectors", "basis", "sites", "shift", "strain", "height"):
        np.testing.assert_allclose(getattr(second, value), getattr(first, value), atol=1e-9)
    np.testing.assert_array_equal(second.occupied, first.occupied)


def test_fits_in_blocks_equal_fits_at_once(monkeypatch):
    from stm_experiments.lattice import sites

    image = example("hexagonal")[1]
    whole = find_lattice(image)
    monkeypatch.setattr(sites, "_BLOCK", 7)
    blocks = find_lattice(image)
    for name in ("sites", "strain", "shift", "height", "occupied"):
        np.testing.assert_array_equal(getattr(blocks, name), getattr(whole, name))


def test_more_sites_than_the_limit_are_refused(monkeypatch):
    from stm_experiments.lattice import sites

    monkeypatch.setattr(sites, "_MOST", 200)
    with pytest.raises(LatticeError, match=r"about .* sites .* 150 x 150 px, and at most 200"):
        find_lattice(example("square")[1])


def test_a_part_of_a_large_image_tells_the_lattice(monkeypatch):
    """The sites of the whole image are the same as if all of it had been searched."""
    from stm_experiments.lattice import fit as fits

    vectors, basis, width = LATTICES["honeycomb"]
    true = sites_of(turned(vectors, 17), basis, wave(0.03))
    image = drawn(true, width)
    whole = find_lattice(image)
    monkeypatch.setattr(fits, "PART", 90)
    part = find_lattice(image)
    assert part.vectors == pytest.approx(whole.vectors, abs=1e-4)
    assert len(part.sites) == len(whole.sites)
    assert KDTree(part.sites).query(whole.sites)[0].max() < 1e-2


def test_hum_that_is_finer_than_any_lattice_does_not_set_its_scale():
    image = example("hexagonal")[1]
    rows = np.arange(SIZE)[:, None]
    hum = 0.8 * np.cos(2 * np.pi * (rows / 2.06 + 0.05 * np.arange(SIZE)))
    fit = find_lattice(image + hum)
    assert np.linalg.norm(fit.vectors, axis=1) == pytest.approx([11, 11], rel=0.01)


def test_coarse_hum_that_is_stronger_than_the_lattice_does_not_set_its_scale():
    image = example("hexagonal")[1]
    rows, columns = np.indices(image.shape)
    hum = 4 * np.ptp(image) * np.cos(2 * np.pi * (0.011 * rows + columns / 40))
    fit = find_lattice(image + hum)
    assert np.linalg.norm(fit.vectors, axis=1) == pytest.approx([11, 11], rel=0.01)


def test_narrow_high_terraces_are_refused_in_a_sentence():
    image = example("hexagonal")[1]
    rows, columns = np.indices(image.shape)
    with pytest.raises(LatticeError, match="no lattice was found"):
        find_lattice(image + 5 * np.ptp(image) * np.floor((columns + 0.4 * rows) / 45))


def test_a_refusal_names_the_limits():
    places = sites_of([[0, 60], [60, 0]], [[0, 0]])
    with pytest.raises(LatticeError, match=r"from 3 px to a quarter of the image \(38 px here\)"):
        find_lattice(drawn(places, 9.0))
