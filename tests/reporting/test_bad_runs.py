"""Bad run folders: each is skipped and listed with its reason, and the others are reported."""

import csv
import json
import os
import struct
import zlib

import pytest
import yaml
from PIL import Image

from stm_experiments.app.comparison import print_comparison
from stm_experiments.reporting.report import write_report
from stm_experiments.reporting.runs import find_runs, read_runs

CONFIG = {
    "lattice": {"sc": {}},
    "data": {"_target_": "stm_experiments.data.SimulatedData"},
    "model": {"net": {"_target_": "stm_experiments.models.CAEA"}},
    "trainer": {"max_epochs": 2},
    "seed": 0,
    "scale": 1.0,
}
ABOUT = {"status": "finished", "job": 0, "overrides": ["lattice=sc"], "seconds": 1.0}


def write_run(folder, number=0, /, **about):
    (folder / "figures").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({**ABOUT, "job": number, **about}))
    (folder / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "job": number}))
    (folder / "metrics.json").write_text(json.dumps({"test/mse_noisy": 0.02, "val/loss": 0.1}))
    (folder / "metrics.csv").write_text("epoch,step,train/loss,val/loss,lr\n1,1,0.1,0.1,0.1\n")
    return folder


@pytest.fixture
def sweep(tmp_path):
    write_run(tmp_path / "sweep" / "0_good", 0)
    (tmp_path / "sweep" / "multirun.yaml").touch()
    return tmp_path / "sweep"


def page_of(sweep):
    return write_report(find_runs(sweep), sweep, sweep / "report").read_text(encoding="utf-8")


BAD_ABOUT = [
    {"job": "x"},
    {"job": [1]},
    {"job": float("nan")},
    {"job": 10**400},
    {"overrides": "lattice=sc"},
    {"overrides": [1]},
    {"overrides": {"a": 1}},
    {"seconds": "long"},
    {"train_seconds": []},
    {"patches_per_second": {}},
    {"parameters": "many"},
    {"versions": []},
    {"versions": {"torch": 2}},
    {"choices": [1]},
    {"choices": {"noise": 3}},
    {"loss": 3},
]
BAD_FILES = {
    "metrics.json": [
        "", "{", "[]", "1", '{"val/loss": "x"}', '{"val/loss": [1]}', '{"test/mse_noisy": true}',
        "[" * 100_000, '{"a": 1' + "0" * 400 + "}",
    ],
    "run.json": ["", "[]", "null", "\x00\x00"],
    "config.yaml": ["- a", "lattice: [sc]", "model: text", "model: {net: [1]}", "trainer: 7",
                    "scale: large", "scale: .nan", "scale: 1.0e+300",
                    "seed: {}", "data: {fraction: x}", "optimized_metric: [1]",
                    "{1: a, b: c}", "trainer: {max_epochs: many}", "a: {b", "lattice: {1: {}}"],
    "three_patches.json": ['{"mse": 1}', '{"mse": {}}', '{"mse": {"mean": "x"}}'],
    "latent.json": ['{"CAE-A": 1}', '{"CAE-A": {"chance": "x"}}'],
    "metrics.csv": ["step,train/loss\n1,0.1\n", "epoch,train/loss\nx,0.1\n",
                    "epoch,train/loss\n1," + "1" * 200_000, "epoch,train/loss\n,0.1,\x00"],
}  # fmt: skip


def test_each_bad_record_is_listed_and_the_good_run_is_reported(sweep):
    bad = [write_run(sweep / f"{i}_bad", i, **about) for i, about in enumerate(BAD_ABOUT, 1)]
    for name, texts in BAD_FILES.items():
        for text in texts:
            folder = write_run(sweep / f"{len(bad) + 1}_bad", len(bad) + 1)
            (folder / name).write_text(text)
            bad.append(folder)
    runs = find_runs(sweep)
    assert [run.folder.name for run in runs if run.finished] == ["0_good"]
    page = page_of(sweep)
    for folder in bad:
        assert f"{folder.name}: unreadable: " in page
    assert f"1 finished, {len(bad)} unreadable" in page
    with (sweep / "report" / "runs.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(bad) + 1


def test_numbers_that_are_not_finite_are_dashes(sweep):
    folder = write_run(sweep / "1_odd", 1)
    numbers = '{"test/mse_noisy": NaN, "test/mse_clean": Infinity, "val/loss": null}'
    (folder / "metrics.json").write_text(numbers)
    (folder / "metrics.csv").write_text("epoch,train/loss,val/loss\n1,inf,nan\nnan,1e400,-1\n")
    page = page_of(sweep)
    assert "2 finished" in page
    assert "unreadable" not in page


def test_a_huge_job_number_is_told_in_one_line(sweep):
    write_run(sweep / "late", 10**9)
    page = page_of(sweep)
    assert "jobs 1 to 999999999: no folders" in page
    assert "2 finished, 999999999 missing" in page


def bomb(path, width, height):
    """A small PNG file of very many pixels."""

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_pictures_that_cannot_be_shown_are_listed(sweep):
    figures = sweep / "0_good" / "figures"
    bomb(figures / "a.png", 9000, 9000)
    bomb(figures / "b.png", 60_000, 60_000)
    bomb(figures / "c.png", 100, 100)  # cut short
    (figures / "d.png").write_bytes(b"no picture")
    os.mkfifo(figures / "e.png")
    (figures / "f.png").symlink_to("/dev/zero")
    (figures / "g.png").mkdir()
    Image.new("L", (20, 20)).save(figures / "patches.png")
    page = page_of(sweep)
    assert "a.png cannot be shown: it has 81000000 pixels, at most 50000000 are read" in page
    for name in "bcd":
        assert f"{name}.png cannot be shown: " in page
    for name in "efg":
        assert f"{name}.png: not a regular file" in page
    assert page.count("data:image/webp") == 1


def test_a_bad_latent_csv_is_named(sweep):
    (sweep / "0_good" / "latent.csv").write_text("pc1,pc2,pc3\n1,2,3,4,5\n" + "1" * 200_000)
    assert "0_good: " in page_of(sweep)


def test_names_are_no_formulas_and_no_control_codes(sweep, capsys):
    odd = os.fsdecode(b"=1+1\x1b[31m\xff")
    write_run(sweep / odd, 1, overrides=["@x=[/b]"])
    page_of(sweep)
    with (sweep / "report" / "runs.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert any(row[0].startswith("'=1+1") for row in rows)
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_the_comparison_of_a_sweep_prints_what_users_wrote(sweep, capsys):
    write_run(sweep / "1", 1, overrides=["lattice=[sc,fcc]", "name=[/b]", "x=\x1b[31m"])
    write_run(sweep / "2", 2, status="failed: [/b]\x1b[31m")
    (write_run(sweep / "3", 3) / "metrics.json").write_text("{")
    assert len(read_runs(sweep)) == 4
    print_comparison(sweep)
    text = capsys.readouterr().out
    for words in ("lattice=[sc,fcc]", "name=[/b]", "x=\\x1b[31m", "job 2 failed: [/b]\\x1b[31m"):
        assert words in text
    assert "job 3 unreadable: " in text
    assert "\x1b" not in text
