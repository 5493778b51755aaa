"""Real microscope files: size, unit, pixel size, and that backward scans are unmirrored."""

from pathlib import Path

import numpy as np
import pytest

from stm_experiments.io import read_scan


@pytest.mark.parametrize(
    ("name", "shape", "unit", "pixel", "channel", "low", "high"),
    [
        ("stm/FeBr2_Au111_4nm.sxm", (256, 256), "m", 4 / 256, "Z", 9.14e-9, 9.34e-9),
        ("formats/20201111--4_1.Z_mtrx", (400, 400), "m", 0.25, "Z", -5.15e-7, -5.11e-7),
        ("formats/test_single_image.gwy", (512, 512), "m", 30 / 512, "test", -4.4e-9, 8.8e-9),
        (
            "formats/hopg_300k_2020_08_11_16_04_06_999.sm4",
            (256, 256),
            "m",
            100 / 256,
            "Topo",
            -3.8e-7,
            -3.7e-7,
        ),
        ("formats/ScV6Sn6_I_backward_5nm.ibw", (58, 256), "A", 5 / 256, "I 3", 4.5e-10, 5.4e-10),
        ("stm/Si111_7x7_step_atoms_spiepy.npy", (512, 512), "", None, "image", -2e-9, 2.5e-9),
        ("stem/Grain_boundry_gold_512px.png", (512, 512), "", None, "image", 42, 255),
    ],
)
def test_real_files(scans, name, shape, unit, pixel, channel, low, high):
    scan = read_scan(scans / name)
    assert scan.data.shape == shape
    assert scan.mask.all()
    assert scan.unit == unit
    assert scan.pixel_size == (None if pixel is None else pytest.approx((pixel, pixel)))
    assert scan.channel.startswith(channel)
    assert low <= scan.data.min() < scan.data.max() <= high


CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "files"


@pytest.mark.parametrize(
    ("folder", "name", "metadata"),
    [
        (
            "scans",
            "stm/FeBr2_Au111_4nm.sxm",
            {"bias_V": 0.05, "setpoint_A": 5e-10, "date": "2023-03-31T14:38:44"},
        ),
        ("scans", "formats/20201111--4_1.Z_mtrx", {"bias_V": 0.6, "setpoint_A": 3e-10}),
        ("cases", "createc_scan_atomic_11nm.dat", {"bias_V": -0.55, "setpoint_A": 3e-10}),
        ("cases", "A250320.191933.dat", {"bias_V": -3.0412, "date": "2025-03-20T19:19:33"}),
    ],
)
def test_metadata_of_real_files(scans, folder, name, metadata):
    if not CASES.is_dir():
        pytest.skip(f"needs the microscope files in {CASES}")
    found = read_scan((scans if folder == "scans" else CASES) / name).metadata
    assert {key: found[key] for key in metadata} == pytest.approx(metadata)


def test_a_real_createc_scan():
    """The feedback holds the current; both traces see the molecule; rows not reached are gaps."""
    if not CASES.is_dir():
        pytest.skip(f"needs the microscope files in {CASES}")
    path = CASES / "createc_scan_atomic_11nm.dat"
    scan = read_scan(path)
    assert scan.data.shape == (512, 512)
    assert scan.pixel_size == pytest.approx((11.25034 / 512, 11.25034 / 512))
    assert np.median(read_scan(path, "Current").data) == pytest.approx(-3e-10, rel=0.02)
    shape = (32, 16, 32, 16)
    forward, backward = (
        each.data - each.data.mean(axis=1, keepdims=True)
        for each in (scan, read_scan(path, direction="backward"))
    )
    coarse = [each.reshape(shape).mean(axis=(1, 3)) for each in (forward, backward)]
    assert np.corrcoef(coarse[0].ravel(), coarse[1].ravel())[0, 1] > 0.85
    assert abs(np.corrcoef(coarse[0].ravel(), coarse[1][:, ::-1].ravel())[0, 1]) < 0.5
    unfinished = read_scan(CASES / "A250320.191933.dat")
    assert unfinished.mask.any(axis=1).sum() == 60
    assert unfinished.channels == ("Z", "Current")


@pytest.mark.parametrize(
    ("name", "channel", "agreement"),
    [
        ("stm/FeBr2_Au111_4nm.sxm", "Z", 0.9),
        ("formats/20201111--4_1.Z_mtrx", "Z", 0.7),
        ("formats/hopg_300k_2020_08_11_16_04_06_999.sm4", "Topography", 0.85),
    ],
)
def test_forward_and_backward_of_a_real_scan_agree(scans, name, channel, agreement):
    rows, columns = np.mgrid[-1 : 1 : 1j * 256, -1 : 1 : 1j * 256]

    def flat(direction):
        image = read_scan(scans / name, channel, direction).data[:256, :256]
        terms = np.stack([rows.ravel(), columns.ravel(), np.ones(rows.size)], 1)
        return image.ravel() - terms @ np.linalg.lstsq(terms, image.ravel(), rcond=None)[0]

    forward, backward = flat("forward"), flat("backward")
    assert np.corrcoef(forward, backward)[0, 1] > agreement
    mirrored = backward.reshape(256, 256)[:, ::-1].ravel()
    assert np.corrcoef(forward, mirrored)[0, 1] < agreement - 0.2
