"""Files appear whole or not at all."""

import pytest

from stm_experiments.core.files import atomic_write, atomic_write_text


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    atomic_write_text(path, "old µ")
    with pytest.raises(FileNotFoundError), atomic_write(path) as part:
        part.with_name("absent").read_text(part.write_text("half") and "utf-8")
    assert path.read_text(encoding="utf-8") == "old µ"
    atomic_write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
