"""Files appear whole or not at all."""

import os

import pytest

from stm_experiments.core.files import atomic_write, atomic_write_text, read_json


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    atomic_write_text(path, "old µ")
    with pytest.raises(FileNotFoundError), atomic_write(path) as part:
        part.with_name("absent").read_text(part.write_text("half") and "utf-8")
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
