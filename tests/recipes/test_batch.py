"""Commands go on after files that fail, for whatever reason, and say so at the end."""

import os

import numpy as np
import pytest

from stm_experiments import show
from stm_experiments.io import read_scan
from stm_experiments.io.scan_files import find_scan_files
from stm_experiments.recipes import batch
from stm_experiments.recipes import show as recipe


@pytest.fixture
def folder(tmp_path):
    """Two scans."""
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, np.random.default_rng(0).random((8, 9)))
    return tmp_path


def test_bad_files_do_not_stop_the_others(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    done = []

    def work(path):
        if path.name == "b":
            raise ValueError("bad")
        done.append(path.name)

    with pytest.raises(ValueError, match="1 of 3 files failed: b"):
        batch.for_each_file(paths, work)
    assert done == ["a", "c"]
    batch.for_each_file(paths[:1], work)
    with pytest.raises(ValueError, match=r"^bad$"):
        batch.for_each_file(paths[1:2], work)


def test_a_fault_of_ours_is_one_sentence_and_its_traceback_is_in_the_log(
    command, folder, monkeypatch
):
    def draw(scan, profile, path):
        if scan.name == "a.npy":
            raise ZeroDivisionError("of ours")
        path.touch()
        return [".png"]

    monkeypatch.setattr(recipe, "draw", draw)
    out = folder / "out"
    code, said, errors = command(show.main, f"image={folder}/*.npy", f"hydra.run.dir={out}")
    assert code == 1
    assert errors.splitlines() == [
        "a.npy failed: unexpected ZeroDivisionError: of ours",
        "error: 1 of 2 files failed: a.npy",
    ]
    assert f"{out}: b.png, b_profile.csv" in said
    assert "Traceback" in (out / "show.log").read_text()
    assert "ZeroDivisionError: of ours" in (out / "show.log").read_text()


def test_pipes_devices_and_odd_names_do_not_stop_the_others(folder, caplog):
    """Also a name that is no UTF-8; escape codes in names are not printed raw."""
    os.mkfifo(folder / "c.sxm")
    (folder / "d.png").symlink_to("/dev/zero")
    odd = folder / os.fsdecode(b"e\x1b[31m\xff.npy")
    odd.write_bytes((folder / "b.npy").read_bytes())
    done = []
    with pytest.raises(ValueError, match=r"^2 of 5 files failed: c.sxm, d.png$"):
        batch.for_each_file(
            find_scan_files(str(folder)), lambda path: done.append(read_scan(path).name)
        )
    assert done == ["a.npy", "b.npy", "e\\x1b[31m\\xff.npy"]
    assert caplog.text.count("not a regular file") == 2
