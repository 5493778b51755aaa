import numpy as np
import pytest

from stm_experiments.core.units import amount
from stm_experiments.io.scan import Scan
from stm_experiments.restoration.preparation import (
    STEPS,
    align_differences,
    align_medians,
    clip_outliers,
    level_parabola,
    level_plane,
    mark_scars,
    prepare,
)

LEVELLING = [function for name, function in STEPS.items() if name != "scars"]
H, W = 40, 60
ROWS, COLUMNS = np.mgrid[:H, :W].astype(float)
ALL = np.ones((H, W), dtype=bool)


def unfinished():
    mask = ALL.copy()
    mask[30:] = False
    mask[29, 20:] = False
    mask[5] = False
    return mask


def waves():
    """A lattice whose sums along both axes are zero, 10 pm."""
    return 1e-11 * np.sin(2 * np.pi * COLUMNS / 6) * np.sin(2 * np.pi * ROWS / 5)


def scan(data, mask=ALL, unit="m"):
    return Scan(np.where(mask, data, np.median(data[mask])), mask, unit, (0.1, 0.1), "Z")


def test_a_plane_goes_and_its_slopes_are_stated():
    tilted = 3e-7 + 2e-12 * COLUMNS - 3e-11 * ROWS
    flat, _, did = level_plane(tilted, ALL, "m")
    np.testing.assert_allclose(flat, tilted.mean(), rtol=1e-12)
    assert did == "plane removed: 2 pm/px along the fast axis, -30 pm/px along the slow axis"


def test_a_plane_on_a_lattice_leaves_the_lattice():
    flat, *_ = level_plane(waves() + 2e-12 * COLUMNS - 3e-11 * ROWS, ALL, "m")
    np.testing.assert_allclose(flat - flat.mean(), waves(), atol=1e-13)


def test_second_degree_removes_bow_and_twist():
    x, y = 2 * COLUMNS / (W - 1) - 1, 2 * ROWS / (H - 1) - 1
    bent = 1.0 + 3 * x - 2 * y + 0.5 * x**2 - 0.25 * y**2 + 0.1 * x * y
    flat, _, did = level_parabola(bent, ALL)
    np.testing.assert_allclose(flat, bent.mean(), atol=1e-12)
    assert "bow of 0.5 along the fast axis, -0.25 along the slow axis" in did


@pytest.mark.parametrize("level", [level_plane, level_parabola])
def test_surfaces_are_fitted_to_what_was_measured(level):
    mask = unfinished()
    tilted = np.where(mask, 5.0 + 0.2 * COLUMNS - 0.1 * ROWS, 777.0)
    flat, *_ = level(tilted, mask)
    np.testing.assert_allclose(flat[mask], tilted[mask].mean(), atol=1e-9)


@pytest.mark.parametrize("level", LEVELLING)
def test_unmeasured_pixels_are_neither_used_nor_touched(level):
    rng = np.random.default_rng(0)
    mask = unfinished()
    data = rng.normal(size=(H, W)) + 0.3 * ROWS
    data[mask & (rng.random((H, W)) < 0.01)] = 50.0
    other = np.where(mask, data, 1e6 * rng.normal(size=(H, W)))
    first, second = level(data, mask), level(other, mask)
    np.testing.assert_array_equal(first[0][mask], second[0][mask])
    np.testing.assert_array_equal(first[0][~mask], data[~mask])
    assert first.sentence == second.sentence
    np.testing.assert_array_equal(first.mask, mask)
    for scars in (mark_scars(data, mask), mark_scars(other, mask)):
        assert not (scars.mask & ~mask).any()


@pytest.mark.parametrize("align", [align_medians, align_differences])
def test_row_offsets_go_and_are_stated(align):
    offsets = np.random.default_rng(1).normal(size=H) * 1e-11
    offsets[7] = 2e-10
    mask = unfinished()
    data, _, did = align(waves() + offsets[:, None], mask, "m")
    rest = (data - waves())[mask]
    np.testing.assert_allclose(rest, rest[0], atol=2e-12)
    assert "(row 7)" in did
    assert "pm rms" in did


def test_differences_keep_a_terrace_that_medians_tear():
    # From row to row the edge moves on by a pixel: most of each row's differences are zero.
    terrace = np.where(COLUMNS > ROWS + 5, 1.0, 0.0)
    kept, *_ = align_differences(terrace, ALL)
    torn, _, said = align_medians(terrace, ALL)
    assert "this made it worse" in said
    np.testing.assert_array_equal(kept, terrace)
    assert np.abs(torn - terrace).max() == 1


def test_clipping_far_out_pixels_only():
    data = np.random.default_rng(0).normal(size=(H, W))
    data[3, 4], data[20, 30] = 100.0, -80.0
    clipped, _, did = clip_outliers(data, ALL)
    assert "2 pixels (0.083 %)" in did
    changed = clipped != data
    assert changed.sum() == 2
    assert np.abs(clipped).max() < 6
    np.testing.assert_array_equal(clip_outliers(waves(), ALL)[0], waves())


def scarred(noise):
    """A lattice of 12 px with scars of 0.7 of its corrugation, and where they are."""
    rows, columns = np.mgrid[:200, :200]
    image = np.cos(2 * np.pi * columns / 12) + np.cos(2 * np.pi * rows / 12)
    image += noise * np.random.default_rng(3).normal(size=image.shape)
    truth = np.zeros(image.shape, dtype=bool)
    for row, first, length, width, height in (
        (20, 10, 60, 1, 3),
        (77, 90, 100, 2, -3),
        (140, 30, 40, 3, 3),
    ):
        truth[row : row + width, first : first + length] = True
        image[row : row + width, first : first + length] += height
    return image, truth


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_scars_are_marked_where_they_are(noise):
    image, truth = scarred(noise)
    before = image.copy()
    data, measured, did = mark_scars(image, np.ones_like(truth))
    found = ~measured
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(data, before)
    assert (found & truth).sum() > 0.9 * truth.sum()
    assert (found & ~truth).sum() < 0.05 * truth.sum()
    assert did.startswith("scars marked: 3 runs")


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_lattice_is_no_scar(noise):
    rows, columns = np.mgrid[:200, :200]
    for period in (4, 8, 20):
        image = np.cos(2 * np.pi * columns / period) * np.cos(2 * np.pi * rows / period)
        image += noise * np.random.default_rng(3).normal(size=image.shape)
        assert mark_scars(image, np.ones(image.shape, dtype=bool)).mask.mean() > 1 - 1e-3


def test_steps_are_applied_in_order_and_recorded():
    data = waves() + 3e-12 * COLUMNS + 1e-10 * (ROWS == 9)
    done = prepare(scan(data, unfinished()), ["plane", "rows_median"])
    assert [line.split(":")[0] for line in done.history] == [
        "plane removed",
        "rows aligned by their medians",
    ]
    expected = align_medians(level_plane(data, unfinished(), "m")[0], unfinished(), "m")[0]
    np.testing.assert_array_equal(done.data[done.mask], expected[done.mask])
    assert np.unique(done.data[~done.mask]) == np.median(expected[done.mask])
    assert done.unit == "m"
    assert done.pixel_size == (0.1, 0.1)


def test_scars_count_as_not_measured_after_they_are_marked():
    image, truth = scarred(0.1)
    done = prepare(scan(image, np.ones_like(truth), ""), ["scars"])
    assert (~done.mask & truth).sum() > 0.9 * truth.sum()
    np.testing.assert_array_equal(done.data[done.mask], image[done.mask])


def test_nothing_is_done_silently():
    before = scan(waves())
    assert prepare(before, []) is before


def test_an_unknown_step_is_one_sentence():
    with pytest.raises(ValueError, match=r"no step 'planes': choose from plane, facet, terr"):
        prepare(scan(waves()), ["planes"])


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.234e-11, "m", "12.3 pm"),
        (-9.999e-10, "m", "-1 nm"),
        (3e-13, "A", "300 fA"),
        (0.2, "V", "200 mV"),
        (12.0, "V", "12 V"),
        (5e-7, "m", "500 nm"),
        (2e-6, "m", "2 µm"),
        (0.0, "m", "0 m"),
        (0.01234, "", "0.0123"),
    ],
)
def test_quantities_read_well(value, unit, text):
    assert amount(value, unit) == text
