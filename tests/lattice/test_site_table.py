"""The table of sites is read back as it was found."""

import numpy as np

from stm_experiments.core.files import read_csv, write_csv
from stm_experiments.lattice.fit import find_lattice
from stm_experiments.lattice.site_table import site_table
from stm_experiments.simulator import LATTICES, NOISES, PRESETS, simulate


def test_sites_come_back_from_their_csv_file(tmp_path):
    drawn = simulate([LATTICES["sc"]], [1], NOISES["paper"], PRESETS["physical"], 128)
    fit = find_lattice(drawn.noisy[0, 0].double().numpy(), pixel_nm=(0.03, 0.02))
    table = site_table(fit, grain=2)
    rows = list(zip(*table.values(), strict=True))
    write_csv(tmp_path / "sites.csv", list(table), rows)
    back = read_csv(tmp_path / "sites.csv")
    read = [[float(cell) if cell else None for cell in row.values()] for row in back]
    assert read == [[None if cell is None else float(cell) for cell in row] for row in rows]
    places = np.array([[float(row["row_nm"]), float(row["column_nm"])] for row in back])
    np.testing.assert_array_equal(places, np.concatenate([fit.sites, fit.unknown]) * (0.03, 0.02))
    occupied = [str(int(full)) for full in fit.occupied] + [""] * len(fit.unknown)
    assert [row["occupied"] for row in back] == occupied
