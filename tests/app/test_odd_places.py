"""Odd names, planted links, terminals of ASCII: one sentence, no harm, and the batch goes on."""

import io
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from rich.table import Table

from stm_experiments.app.tables import print_table
from stm_experiments.benchmarks.printing import printed_table
from stm_experiments.core.texts import prepare_output
from stm_experiments.reporting.result_table import Cell, ResultTable

PRECIOUS = "the user's other file"


class AsciiTerminal(io.TextIOWrapper):
    """A terminal that knows ASCII alone, in place of standard output and standard error."""

    def __init__(self, monkeypatch):
        super().__init__(io.BytesIO(), encoding="ascii", write_through=True)
        monkeypatch.setattr(sys, "stdout", self)
        monkeypatch.setattr(sys, "stderr", self)

    @property
    def text(self):
        """All that was written."""
        return self.buffer.getvalue().decode("ascii")


@pytest.fixture
def run(train_in, tmp_path, no_figures):
    """Return the folder of an interrupted run."""
    folder = tmp_path / "run"
    train_in(folder)
    (folder / "metrics.json").unlink()
    return folder


def test_tables_on_a_terminal_of_ascii(monkeypatch):
    terminal = AsciiTerminal(monkeypatch)
    prepare_output()
    table = Table("R²", title="Ångström")
    table.add_row("1 ± 2 \udcff")
    print_table(table)
    rows = [[Cell("[/b]\x1b[31m±"), Cell("1", 1.0)]]
    print_table(printed_table(ResultTable("a", ["[/x]", "value"], rows), "[/t]±"))
    text = terminal.text
    for words in ("R\\xb2", "1 \\xb1 2 \\udcff", "[/b]\\x1b[31m\\xb1", "[/x]", "[/t]\\xb1"):
        assert words in text
    assert "\x1b" not in text


def test_a_command_goes_on_when_nobody_reads_its_output(tmp_path):
    code = """
import sys
from stm_experiments.core.texts import prepare_output
prepare_output()
for number in range(10_000):
    print(number)
open(sys.argv[1], "w").close()
"""
    path = tmp_path / "written_at_the_end"
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
    assert process.returncode == 0
    assert path.exists()


def test_a_batch_goes_on_after_odd_files(tmp_path, monkeypatch):
    from stm_experiments.find_lattice import main

    scans, out = tmp_path / "scans", tmp_path / "ou\x1b[31mt"
    scans.mkdir()
    y, x = np.mgrid[:64, :64]
    name = os.fsdecode(b"a\x1b[31m\xff\xc2\xb5")
    np.save(scans / f"{name}.npy", np.cos(2 * np.pi * x / 8) + np.cos(2 * np.pi * y / 8))
    os.mkfifo(scans / "pipe.npy")
    (scans / "zero.png").symlink_to("/dev/zero")
    arguments = [f"image={scans}", "denoise=false", f"hydra.run.dir='{out}'"]
    monkeypatch.setattr(sys, "argv", ["find_lattice.py", *arguments])
    terminal = AsciiTerminal(monkeypatch)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    text = terminal.text
    assert "\x1b" not in text
    assert "error: 2 of 3 files failed: pipe.npy, zero.png" in text
    assert "a\\x1b[31m\\xff\\xb5.npy: " in text
    assert (out / f"{name}_sites.csv").is_file()
    assert (out / f"{name}_lattice.png").read_bytes().startswith(b"\x89PNG")
    assert "\x1b" not in (out / "find_lattice.log").read_text()


@pytest.mark.parametrize("name", ["a'", 'b"', "c${x}", "d${oc.env:HOME}", "'e'", "f\\", "h, =(x)"])
def test_a_run_is_resumed_in_a_folder_of_any_name(run, command, monkeypatch, name):
    from stm_experiments.app import completion
    from stm_experiments.train import main

    (run / "metrics.json").write_text('{"test/mse_noisy": 0.25}')
    monkeypatch.chdir(run.parent)
    monkeypatch.setattr(completion, "log_again", lambda *_: None)
    shutil.copytree(run, name)
    code, out, errors = command(main, f"resume={name}")
    assert (code, errors) == (0, "")
    assert f"{run.parent / name} was trained and assessed before" in out
    assert "0.25000" in out
    assert (run.parent / name / "train.log").is_file()
    assert {path.name for path in run.parent.iterdir()} == {"run", name}


LINKS = (
    "train.log", ".lock", "config.yaml", "run.json", "metrics.csv", "circumstances.json",
    "figures", "checkpoints", "checkpoints/last.ckpt", "figures/curves.png", "new/file",
)  # fmt: skip


def test_a_planted_link_never_changes_what_it_points_to(run, command, tmp_path):
    """Not in a resumed run, in a report or in the log of a command."""
    from stm_experiments.find_lattice import main as find_lattice
    from stm_experiments.report import main as report
    from stm_experiments.train import main

    others = tmp_path / "others"
    for name in LINKS:
        (others / name).parent.mkdir(parents=True, exist_ok=True)
    for name in LINKS:
        if not (others / name).is_dir():
            (others / name).write_text(PRECIOUS)
    shutil.copy(run / "config.yaml", others / "config.yaml")
    before = contents(others)
    for name in LINKS:
        copy = tmp_path / "copy"
        shutil.copytree(run, copy)
        planted = copy / name
        if planted.is_dir():
            shutil.rmtree(planted)
        planted.parent.mkdir(exist_ok=True)
        planted.unlink(missing_ok=True)
        planted.symlink_to(others / name)
        code, _, errors = command(main, f"resume={copy}")
        assert code == 1, name
        assert errors.count("\n") == 1
        assert f"{planted} " in errors
        assert "is a link" in errors
        assert contents(others) == before
        shutil.rmtree(copy)
    (run / "report").symlink_to(others)
    code, _, errors = command(report, f"runs={run}")
    assert code == 1
    assert "is a link" in errors
    out = tmp_path / "out"
    out.mkdir()
    (out / "find_lattice.log").symlink_to(others / "run.json")
    code, _, errors = command(find_lattice, "image=x.npy", f"hydra.run.dir={out}")
    assert code == 1
    assert "it is a link, which is not followed" in errors
    assert contents(others) == before


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_log_that_cannot_be_written_is_named(command, tmp_path):
    from stm_experiments.find_lattice import main

    (tmp_path / "find_lattice.log").mkdir()
    code, _, errors = command(main, "image=x.npy", f"hydra.run.dir={tmp_path}")
    assert code == 1
    assert errors == (
        f"error: {tmp_path}/find_lattice.log cannot be read or written: is a directory\n"
    )


def test_config_files_of_other_folders_are_bounded(command, tmp_path, monkeypatch):
    from stm_experiments.train import main

    monkeypatch.chdir(tmp_path)
    file = tmp_path / "theirs" / "experiment" / "a.yaml"
    file.parent.mkdir(parents=True)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    places = (["--config-dir", "theirs"], [f"hydra.searchpath=['file://{tmp_path}/theirs']"])
    for place in places:
        file.write_text("\n".join(lines))
        code, _, errors = command(main, *place, "experiment=a")
        assert code == 1
        assert "aliases are not allowed" in errors
        file.unlink()
        os.mkfifo(file)
        code, _, errors = command(main, *place, "experiment=a")
        assert code == 1
        assert f"{file.relative_to(tmp_path)}: not a regular file" in errors
        file.unlink()
