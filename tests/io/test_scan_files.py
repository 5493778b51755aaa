import numpy as np
import pytest

from stm_experiments.io import ScanError, read_scan
from stm_experiments.io.scan_files import (
    find_scan_files,
    passed_over,
    read_partner,
    result_stems,
)


@pytest.fixture
def folder(tmp_path):
    """Two scans, and what is none."""
    for name in ("b.npy", "a[1].npy"):
        np.save(tmp_path / name, np.random.default_rng(0).random((8, 9)))
    for name in ("notes.md", ".c.npy", "2020_0001.mtrx"):
        (tmp_path / name).write_text("no scan")
    (tmp_path / "deeper").mkdir()
    return tmp_path


def test_a_file_is_taken_literally(folder):
    assert find_scan_files(f"{folder}/a[1].npy") == [folder / "a[1].npy"]


def test_a_folder_holds_its_scans(folder):
    assert [path.name for path in find_scan_files(str(folder))] == ["a[1].npy", "b.npy"]


def test_a_pattern_matches_files_only(folder):
    assert [path.name for path in find_scan_files(f"{folder}/*")] == [
        "2020_0001.mtrx",
        "a[1].npy",
        "b.npy",
        "notes.md",
    ]


def test_folders_in_a_folder_are_not_searched_and_that_is_said(folder):
    (folder / "deeper" / "empty").mkdir()
    assert passed_over(str(folder))[-1] == "1 folder (not searched)"
    with pytest.raises(ValueError, match=r"; the folders in it are not searched$"):
        find_scan_files(str(folder / "deeper"))


@pytest.mark.parametrize(
    ("what", "message"), [("deeper", "no scan in this folder"), ("x*", "no such file$")]
)
def test_nothing_found_is_an_error(folder, what, message):
    with pytest.raises(ValueError, match=message):
        find_scan_files(f"{folder}/{what}")


def test_a_list_of_files_is_answered_with_the_ways_to_name_several():
    with pytest.raises(ValueError, match=r"a folder, or a pattern in quotes such as"):
        find_scan_files("[a.sxm,b.sxm]")


def test_equal_stems_get_names_of_their_own(tmp_path):
    names = ["one/scan.npy", "scan.png", "Scan.npy", "scan.sxm", "scan_1.npy", "other.npy"]
    paths = [tmp_path / name for name in names]
    named = result_stems(paths)
    assert [named[path] for path in paths] == [
        "scan",
        "scan_2",
        "Scan_3",
        "scan_4",
        "scan_1",
        "other",
    ]


def test_units_are_put_in_where_the_file_is_silent(folder):
    plain = read_scan(folder / "b.npy")
    assert (plain.unit, plain.pixel_size, plain.history) == ("", None, ())
    scan = read_scan(folder / "b.npy", unit="m", pixel_nm=0.5)
    assert (scan.unit, scan.pixel_size) == ("m", (0.5, 0.5))
    assert scan.history == ("unit m as given", "pixel of 0.5 nm as given")
    scan.save(folder / "known.tiff")
    same = read_scan(folder / "known.tiff", unit="m", pixel_nm=0.5)
    assert (same.unit, same.pixel_size) == ("m", pytest.approx((0.5, 0.5)))
    with pytest.raises(ScanError, match="values are in m, not A"):
        read_scan(folder / "known.tiff", unit="A")
    with pytest.raises(ScanError, match=r"a pixel is 0\.5 x 0\.5 nm, not 0\.6 nm"):
        read_scan(folder / "known.tiff", pixel_nm=0.6)


def test_units_with_a_prefix_are_converted(folder):
    plain = read_scan(folder / "b.npy")
    scan = read_scan(folder / "b.npy", unit="nm")
    np.testing.assert_allclose(scan.data, 1e-9 * plain.data)
    assert (scan.unit, scan.history) == ("m", ("unit nm as given",))
    for unit in ("furlong", "K", 3):
        with pytest.raises(ValueError, match="unit is m, A or V, with a prefix"):
            read_scan(folder / "b.npy", unit=unit)


def test_the_partner_is_a_file_or_named_alike(folder):
    np.save(folder / "deeper" / "b.npy", np.eye(5))
    for clean in (folder / "deeper" / "b.npy", folder / "deeper"):
        assert read_partner(folder / "b.npy", str(clean), (5, 5)).data.shape == (5, 5)
    with pytest.raises(ScanError, match="the clean image has 5 x 5 px, the scan 5 x 7 px"):
        read_partner(folder / "b.npy", str(folder / "deeper"), (5, 7))


def test_a_unit_that_makes_heights_impossible_is_doubted(tmp_path, caplog):
    heights = 1e-10 * np.random.default_rng(0).normal(size=(8, 8))
    np.save(tmp_path / "a.npy", heights)
    for unit, doubted in (("m", False), ("nm", True), ("A", False)):
        caplog.clear()
        read_scan(tmp_path / "a.npy", unit=unit)
        assert ("with unit=nm its heights span 0.000" in caplog.text) is doubted
    np.save(tmp_path / "b.npy", 1e10 * heights)
    read_scan(tmp_path / "b.npy", unit="m")
    assert "b.npy: with unit=m its heights span" in caplog.text


def test_infinite_values_are_named(tmp_path, caplog):
    heights = np.random.default_rng(0).normal(size=(8, 8))
    heights[0, :3], heights[1, 0] = np.inf, np.nan
    np.save(tmp_path / "inf.npy", heights)
    assert read_scan(tmp_path / "inf.npy").mask.sum() == 60
    assert "inf.npy: 3 of 64 values are infinite and count as not measured." in caplog.text
