import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import stm_experiments
from stm_experiments.core.normalisation import denormalise, normalise_plane
from stm_experiments.io import Scan, ScanError, read_scan
from stm_experiments.models import CAEA, checkpoint
from stm_experiments.models.checkpoint import CheckpointError
from stm_experiments.models.interfaces import Card, NetworkModule
from stm_experiments.restoration.denoise import denoise
from stm_experiments.restoration.denoised import compare_with_clean
from stm_experiments.restoration.history import picture_title
from stm_experiments.restoration.measured import as_scan
from stm_experiments.restoration.preparation import STEPS, prepare
from stm_experiments.restoration.whole_network import NetworkAlone


class Identity(NetworkModule):
    label = "identity"

    def forward(self, images):
        return images


class Windows(Identity):
    label = "windows"
    window = 9


class Blur(NetworkModule):
    """A mean over 5x5 px with mirrored borders."""

    def forward(self, images):
        return F.avg_pool2d(F.pad(images, (2, 2, 2, 2), "reflect"), 5, stride=1)


class ShiftsDown(Identity):
    """Not symmetric: one row down."""

    def forward(self, images):
        return images.roll(1, dims=2)


ROWS, COLUMNS = np.mgrid[:40, :60].astype(float)


def heights(seed=0):
    """A noisy lattice of 20 pm on a tilt of 1 nm, 300 nm up."""
    noise = 2e-12 * np.random.default_rng(seed).normal(size=ROWS.shape)
    lattice = 1e-11 * np.sin(2 * np.pi * COLUMNS / 6) * np.sin(2 * np.pi * ROWS / 7)
    return 3e-7 + 2e-11 * COLUMNS - 1e-11 * ROWS + lattice + noise


def scan(data=None, mask=None):
    data = heights() if data is None else data
    mask = np.ones(data.shape, dtype=bool) if mask is None else mask
    filled = np.where(mask, data, np.median(data[mask]))
    return Scan(filled, mask, "m", (0.1, 0.2), "Z", "backward", ("Z", "I"), ("read",), "a.sxm")


def unfinished():
    mask = np.ones(ROWS.shape, dtype=bool)
    mask[25:] = False
    mask[24, 30:] = False
    return mask


@pytest.mark.parametrize("normalisation", ["minmax", "plane"])
@pytest.mark.parametrize("net", [Identity(), Windows()])
@pytest.mark.parametrize("mask", [None, unfinished()])
def test_an_identity_gives_the_scan_back(net, normalisation, mask):
    given = scan(mask=mask)
    after = denoise(given, net, normalisation=normalisation)
    np.testing.assert_allclose(after.data[given.mask], given.data[given.mask], rtol=0, atol=1e-16)
    np.testing.assert_array_equal(after.mask, given.mask)
    for name in ("unit", "pixel_size", "channel", "direction", "channels", "name", "metadata"):
        assert getattr(after, name) == getattr(given, name)


@pytest.mark.parametrize("step", STEPS)
def test_an_identity_gives_the_prepared_scan_back(step):
    given = scan(mask=unfinished())
    expected = prepare(given, [step])
    after = denoise(given, Windows(), prepare=step)
    np.testing.assert_array_equal(after.mask, expected.mask)
    measured = expected.mask
    np.testing.assert_allclose(after.data[measured], expected.data[measured], rtol=0, atol=1e-16)
    assert after.history[: len(expected.history)] == expected.history


def test_history_says_everything():
    after = denoise(
        scan(), Windows(), stride=3, uncertainty=True, prepare=["plane"], normalisation="plane"
    )
    assert [line.split(" ")[0] for line in after.history] == [
        "read",
        "plane",
        "mapped",
        "through",
        "seam",
        "uncertainty",
    ]
    assert "1st to 99th percentile" in after.history[2]
    assert after.history[3].startswith("through windows in windows of 9 px every 3 px: changed by")
    tilted = denoise(scan(), Identity(), normalisation="plane").history[1]
    assert "20 pm/px along the fast axis, -10 pm/px along the slow axis" in tilted
    assert after.with_data(after.data, "more").history[-1] == "more"


def test_the_title_says_what_is_shown():
    plain = denoise(scan(), Identity(), normalisation="minmax")
    assert picture_title(plain) == "a.sxm (Z, backward)\nthrough identity"
    tilted = denoise(scan(mask=unfinished()), Identity(), prepare=["clip"], normalisation="plane")
    assert picture_title(tilted).endswith(
        "prepared by clip, through identity, shown without its tilt"
    )
    mask = unfinished()
    flat = tilted.without_tilt(tilted.data)
    assert np.ptp(flat[mask]) < 0.1 * np.ptp(tilted.data[mask])
    assert np.isnan(flat[~mask]).all()


def test_what_was_not_measured_does_not_matter_and_stays_so():
    mask = unfinished()
    one = denoise(scan(mask=mask), Blur())
    part = denoise(heights()[:25] * np.where(mask, 1, np.nan)[:25], Blur())
    np.testing.assert_allclose(one.data[mask], part.data[mask[:25]], rtol=0, atol=1e-16)
    np.testing.assert_array_equal(part.mask, mask[:25])
    assert np.unique(one.data[~mask]) == pytest.approx(np.median(one.data[mask]))
    assert np.isnan(one.without_tilt(one.data)[~mask]).all()


def test_the_card_decides_the_normalisation():
    net = Identity()
    net.card = Card("CAEA", {}, None, normalisation="minmax")
    assert "lowest and highest" in denoise(scan(), net).history[1]
    net.card = Card("CAEA", {}, None, normalisation="plane")
    assert "without its plane" in denoise(scan(), net).history[1]
    assert "lowest and highest" in denoise(scan(), net, normalisation="minmax").history[1]


def test_scan_path_and_array_are_alike(tmp_path):
    np.save(tmp_path / "a.npy", heights())
    from_file = denoise(tmp_path / "a.npy", Blur())
    from_text = denoise(str(tmp_path / "a.npy"), Blur())
    from_array = denoise(heights(), Blur())
    from_tensor = denoise(torch.from_numpy(heights()), Blur())
    from_scan = denoise(scan(), Blur())
    for other in (from_text, from_array, from_tensor, from_scan):
        np.testing.assert_array_equal(other.data, from_file.data)
    assert stm_experiments.denoise is denoise


@pytest.mark.parametrize("suffix", [".tiff", ".gwy"])
def test_units_and_pixel_size_survive_a_file(tmp_path, suffix):
    if suffix == ".gwy":
        pytest.importorskip("gwyfile")
    after = denoise(scan(mask=unfinished()), Blur())
    after.save(tmp_path / f"after{suffix}")
    again = read_scan(tmp_path / f"after{suffix}")
    assert again.unit == "m"
    assert again.pixel_size == pytest.approx((0.1, 0.2))
    np.testing.assert_array_equal(again.mask, after.mask)
    np.testing.assert_allclose(again.data[again.mask], after.data[again.mask], rtol=1e-6)


def test_uncertainty_of_a_symmetric_filter_is_zero_and_changes_nothing():
    alone = denoise(scan(), Blur())
    sure = denoise(scan(), Blur(), uncertainty=True)
    np.testing.assert_array_equal(sure.data, alone.data)
    assert alone.uncertainty is None
    assert sure.uncertainty.max() < 1e-5 * np.ptp(alone.data)


def test_uncertainty_is_the_deviation_over_the_symmetries_in_units():
    # Down in 4 symmetries is down and up, each twice; by hand from rolled images.
    net = ShiftsDown()
    data = heights()[:30, :30]
    after = denoise(data, net, uncertainty=True, normalisation="minmax")
    moved = [np.roll(data, sign, 0) for sign in (1, -1)] * 2
    np.testing.assert_allclose(after.uncertainty, np.std(moved, axis=0, ddof=1), rtol=1e-4)
    np.testing.assert_allclose(after.data, moved[0], rtol=0, atol=1e-15)
    net.card = Card("CAEA", {}, None, calibration=3.0)
    thrice = denoise(data, net, uncertainty=True, normalisation="minmax")
    np.testing.assert_allclose(thrice.uncertainty, 3 * after.uncertainty, rtol=1e-6)


def test_uncertainty_of_an_oblong_unfinished_scan_has_its_gaps():
    mask = unfinished()
    after = denoise(scan(mask=mask), Windows(), uncertainty=True)
    np.testing.assert_array_equal(np.isfinite(after.uncertainty), mask)


def test_a_tilted_scan_is_equal_to_itself_and_to_its_levelled_self():
    data = heights()
    result = denoise(data, Blur())
    for partner in (data, 3 * (data - 2e-11 * COLUMNS + 1e-11 * ROWS) - 1e-9):
        measures, fitted = compare_with_clean(result, as_scan(partner))
        assert measures["mse_before"] < 1e-12
        assert measures["mse_after"] > 1e-6
        np.testing.assert_allclose(fitted, data, rtol=0, atol=1e-5 * np.ptp(data))


def test_comparison_with_a_clean_partner():
    clean = 1e-11 * np.sin(2 * np.pi * COLUMNS / 6) * np.sin(2 * np.pi * ROWS / 7)
    noise = 4e-12 * np.random.default_rng(0).normal(size=clean.shape)
    mask = unfinished()
    result = denoise(scan(clean + noise, mask), Identity(), normalisation="minmax")
    partner = Scan(255 - 40 * clean / 1e-11, np.ones_like(mask), "", None, "grey")  # upside down
    measures, fitted = compare_with_clean(result, partner)
    np.testing.assert_allclose(fitted[mask], clean[mask], atol=1e-12)
    expected = (noise[mask].std() / result.scale) ** 2
    assert measures["mse_before"] == pytest.approx(expected, rel=0.02)
    assert measures["mse_after"] == pytest.approx(measures["mse_before"], rel=1e-4)
    assert measures["psnr_before"] == pytest.approx(10 * np.log10(4 / measures["mse_before"]))
    assert 0 < measures["ssim_before"] < 1
    same, _ = compare_with_clean(denoise(clean, Identity(), normalisation="minmax"), partner)
    assert same["mse_before"] == pytest.approx(0, abs=1e-12)
    assert same["ssim_before"] == pytest.approx(1)
    with pytest.raises(ValueError, match="the clean image has 30 x 60 px, the scan 40 x 60 px"):
        compare_with_clean(result, Scan(clean[:30], mask[:30], "", None, "grey"))


def test_a_name_loads_a_shipped_model(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path)
    with pytest.raises(CheckpointError, match="no model of that name comes with the package"):
        denoise(heights())
    checkpoint.save(CAEA(), Card("CAEA", {}, 17), tmp_path / "surface_denoiser.ckpt")
    assert checkpoint.load("surface_denoiser").card.window == 17
    history = "; ".join(denoise(heights()).history)
    assert re.search(
        r"CAE-A \(surface_denoiser, weights [0-9a-f]{8}\) in windows of 17 px every 4 px", history
    )
    with pytest.raises(
        CheckpointError, match=r"^denoise: no such checkpoint.*\(surface_denoiser\)"
    ):
        checkpoint.load("denoise")
    monkeypatch.chdir(tmp_path)
    assert checkpoint.load("surface_denoiser.ckpt").card.window == 17  # a file beside a user


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"normalisation": "best"}, "minmax or plane, not 'best'"),
        ({"stride": 10}, "between 1 and the window"),
        ({"stride": 2.5}, "whole number of px"),
        ({"stride": 0}, "at least 1"),
        ({"prepare": ["level"]}, "no step 'level'"),
        ({"scan": np.zeros((30, 30))}, "constant"),
        ({"scan": np.zeros((3, 30, 30))}, r"expected real numbers \[H, W\]"),
        ({"scan": np.full((30, 30), np.nan)}, "no pixel is a finite number"),
        ({"scan": heights()[:5]}, "smaller than the window"),
        ({"scan": "absent.sxm"}, "absent.sxm: no such file"),
        ({"scan": COLUMNS, "normalisation": "plane"}, "nothing but a plane"),
    ],
)
def test_errors_are_one_sentence(settings, message):
    arguments = {"scan": heights(), "checkpoint": Windows()} | settings
    with pytest.raises(ValueError, match=message) as error:
        denoise(**arguments)
    assert "\n" not in str(error.value)


def test_a_scan_without_measured_pixels_is_an_error():
    empty = Scan(np.zeros((9, 9)), np.zeros((9, 9), dtype=bool), "m", None, "Z", name="a.sxm")
    with pytest.raises(ScanError, match=r"a\.sxm: no pixel was measured"):
        denoise(empty, Identity())


def test_a_network_alone_is_one_pass_without_the_mixture():
    net = checkpoint.load("denoiser")
    result = denoise(scan(), NetworkAlone(net))
    pixels, affine = normalise_plane(heights(), "a")
    with torch.no_grad():
        expected = net(torch.from_numpy(pixels)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(result.data, denormalise(expected, affine), rtol=0, atol=1e-16)
    assert result.fitness is None
    assert result.model.startswith("denoiser alone (denoiser")
    assert any(line.startswith("the network was used alone") for line in result.history)
    assert not np.allclose(result.data, denoise(scan(), net).data, rtol=0, atol=1e-14)
    with pytest.raises(ValueError, match="is not mixed with other estimates"):
        NetworkAlone(CAEA())
