"""Files appear whole or not at all; files of others are read within bounds."""

import os
import re
from pathlib import Path

import pytest

import stm_experiments
from stm_experiments.core.files import (
    MODEL_BYTES,
    RECORD_BYTES,
    RECORD_ROWS,
    atomic_write,
    atomic_write_text,
    read_csv,
    read_json,
    write_csv,
    write_json,
)


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    atomic_write_text(path, "old µ")

    def fail_halfway():
        with atomic_write(path) as file:
            file.write(b"half")
            raise FileNotFoundError("absent")

    with pytest.raises(FileNotFoundError, match="absent"):
        fail_halfway()
    assert path.read_text(encoding="utf-8") == "old µ"
    atomic_write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *x, n=name, r=real: (calls.append(n), r(*x)))
    atomic_write_text(tmp_path / "a.json", "{}")
    assert calls == ["fsync", "replace"]


def test_links_are_replaced_and_not_followed(tmp_path):
    (tmp_path / "precious").write_text("kept")
    for name in ("a.json", ".a.json.part"):
        (tmp_path / name).symlink_to(tmp_path / "precious")
    atomic_write_text(tmp_path / "a.json", "new")
    assert (tmp_path / "precious").read_text() == "kept"
    assert (tmp_path / "a.json").read_text() == "new"
    assert not (tmp_path / "a.json").is_symlink()


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"[1]", b"5", b"\xff{}", b"[" * 10**5])
def test_damaged_json_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{path} is damaged.*holds no"):
        read_json(path)
    path.write_text('{"a": 1}')
    assert read_json(path) == {"a": 1}


def fifo(path):
    os.mkfifo(path)


def zero(path):
    path.symlink_to("/dev/zero")


def folder(path):
    path.mkdir()


def sparse(path):
    with path.open("wb") as file:
        file.truncate(MODEL_BYTES + 1)


ODD_FILES = (fifo, zero, folder, sparse)


@pytest.mark.parametrize("make", ODD_FILES, ids=lambda make: make.__name__)
def test_no_reader_waits_for_a_pipe_or_fills_the_memory(tmp_path, make):
    from stm_experiments.core.config_files import read_yaml
    from stm_experiments.core.images import ImageError, read_picture
    from stm_experiments.io import ScanError, read_scan
    from stm_experiments.io.image import read_image
    from stm_experiments.models.checkpoint import CheckpointError, load

    readers = {
        "a.json": (read_json, ValueError),
        "a.csv": (read_csv, ValueError),
        "a.yaml": (read_yaml, ValueError),
        "a.png": (read_picture, ValueError),
        "b.png": (read_image, ImageError),
        "a.sxm": (read_scan, ScanError),
        "a.gwy": (read_scan, ScanError),
        "a.npy": (read_scan, ScanError),
        "a.ckpt": (load, CheckpointError),
    }
    for name, (read, error) in readers.items():
        make(tmp_path / name)
        with pytest.raises(
            error, match=rf"^{tmp_path / name}: .*(regular file|folder|larger than)"
        ):
            read(tmp_path / name)


def test_long_records_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1\n" * RECORD_ROWS)
    rows = read_csv(path)
    assert len(rows) == RECORD_ROWS
    assert rows[0] == {"a": "1", "b": ""}
    path.write_text("a,b\n" + "1\n" * (RECORD_ROWS + 1))
    with pytest.raises(ValueError, match=rf"^{path}: more than 100000 rows"):
        read_csv(path)
    path.write_bytes(b"a\n" + b"1" * RECORD_BYTES)
    with pytest.raises(ValueError, match=rf"^{path}: larger than 16 MiB"):
        read_csv(path)
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(ValueError, match=rf"^{path} is damaged"):
        read_csv(path)


def test_a_table_and_a_record_read_back(tmp_path):
    odd = os.fsdecode(b'a\xff\n,"=1')
    write_csv(tmp_path / "a.csv", ["x", "y"], [[1, "µ, \n"], ["", 2.5]])
    assert read_csv(tmp_path / "a.csv") == [{"x": "1", "y": "µ, \n"}, {"x": "", "y": "2.5"}]
    write_json(tmp_path / "a.json", {odd: "µ"})
    assert read_json(tmp_path / "a.json") == {odd: "µ"}


def test_an_error_names_the_file_that_was_to_be_written(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(IsADirectoryError) as info:
        write_json(tmp_path / "a.json", {})
    assert info.value.filename == str(tmp_path / "a.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_all_rooms_write_through_this_module():
    """Benchmarks may write what they make for themselves."""
    package = Path(stm_experiments.__file__).parent
    ways = re.compile(r"\.write_(text|bytes)\(|open\([^)\n]*[\"'][wax]b?\+?[\"']|\.to_csv\(\w*path")
    for path in package.rglob("*.py"):
        if path.parent != package / "core" and package / "benchmarks" not in path.parents:
            found = ways.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path}: {found[0]}"
