"""The command that finds point defects: its table, its picture and its refusals."""

import csv

import numpy as np
from PIL import Image

from stm_experiments import find_defects
from stm_experiments.simulator import render_topographs

BRIGHT, DARK = (60, 71), (95, 40)  # sites of the lattice, px


def test_table_of_a_bright_and_a_dark_defect(command, tmp_path):
    image = render_topographs("sc", [[0.0, 0.0, 0.0]], size=160)[0, 0].double().numpy()
    y, x = np.mgrid[:160, :160]
    for (row, column), height in ((BRIGHT, 0.8), (DARK, -0.8)):
        spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2 / 2.0**2)
        image = image + height * np.ptp(image) * spot
    image += 0.01 * np.random.default_rng(0).standard_normal(image.shape)
    path, out = tmp_path / "scan.npy", tmp_path / "out"
    np.save(path, 1e-10 * image)
    code, said, _ = command(
        find_defects.main, f"image={path}", "pixel_nm=0.05", "unit=m", f"hydra.run.dir={out}"
    )
    assert code == 0
    assert "1 bright and 1 dark point defects" in said
    with (out / "scan_defects.csv").open(encoding="utf-8") as file:
        rows = {row["sign"]: row for row in csv.DictReader(file)}
    for sign, (row, column) in (("bright", BRIGHT), ("dark", DARK)):
        found = rows[sign]
        assert abs(float(found["row_px"]) - row) <= 1
        assert abs(float(found["column_px"]) - column) <= 1
        assert float(found["column_nm"]) == 0.05 * float(found["column_px"])
        assert (float(found["height"]) > 0) == (sign == "bright")
        assert 0.5e-10 * np.ptp(image) < abs(float(found["height"])) * 2 < 2e-10 * np.ptp(image)
        assert float(found["width_px"]) in (1.5, 2.0, 2.8)
        assert 0 <= float(found["site_distance_px"]) < 8
    with Image.open(out / "scan_defects.png") as picture:
        assert min(picture.size) > 500


def test_an_image_without_defects_and_a_wrong_setting(command, tmp_path, svg_words):
    image = render_topographs("sc", [[0.0, 0.0, 0.2]], size=120)[0, 0].numpy()
    np.save(tmp_path / "perfect.npy", image)
    code, said, _ = command(
        find_defects.main,
        f"image={tmp_path}/perfect.npy",
        "figures.format=[svg]",
        f"hydra.run.dir={tmp_path}/out",
    )
    assert code == 0
    assert "no point defects besides the lattice" in said
    assert "find_lattice lists its empty sites" in said
    words = svg_words(tmp_path / "out" / "perfect_defects.svg")
    assert "Defects in a regular order are taken for the lattice; find_lattice lists its" in words
    for mark in ("red", "blue", "A mark is", "The true ones"):
        assert mark not in words
    log = (tmp_path / "out" / "find_defects.log").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition("][INFO] ")[2] for line in log] == said.splitlines()
    lines = (tmp_path / "out" / "perfect_defects.csv").read_text().splitlines()
    assert len(lines) == 1
    code, _, errors = command(
        find_defects.main,
        f"image={tmp_path}/perfect.npy",
        "threshold=-1",
        f"hydra.run.dir={tmp_path}/no",
    )
    assert code == 1
    assert "threshold is a number above 0" in errors
