import json

import numpy as np
import pandas as pd
import torch
from PIL import Image

from stm_experiments.latent.patch_sheet import shrink, write_patch_sheet
from stm_experiments.reporting.latent_cloud import RunCodes, latent_cloud


def test_a_run_without_a_column_is_grey_and_large_clouds_are_thinned():
    columns = {name: np.arange(20_000.0) for name in ("pc1", "pc2", "pc3", "tilt")}
    both = [
        RunCodes("whole", pd.DataFrame(columns)),
        RunCodes("bare", pd.DataFrame(columns).drop(columns="tilt")),
    ]
    cloud = latent_cloud(both)
    assert [len(trace["x"]) for trace in cloud["traces"]] == [10_000, 10_000]
    assert cloud["step"] == 2
    assert cloud["colours"]["tilt"][1] == {
        "size": 3, "opacity": 0.8, "color": "#999999", "showscale": False
    }  # fmt: skip
    assert latent_cloud(both[1:])["colours"] == {}


def test_a_column_of_equal_values_colours_nothing():
    columns = {name: np.arange(4.0) for name in ("pc1", "pc2", "pc3")}
    cloud = latent_cloud([RunCodes("one image", pd.DataFrame(columns | {"image": [0.0] * 4}))])
    assert cloud["colours"] == {}


def test_the_lattice_colours_first():
    columns = {name: np.arange(4.0) for name in ("pc1", "pc2", "pc3")}
    columns |= {"lattice": ["sc", "fcc"] * 2, "azimuth": np.arange(4.0)}
    assert latent_cloud([RunCodes("run", pd.DataFrame(columns))])["factors"] == [
        "lattice",
        "azimuth",
    ]


def test_names_are_escaped_for_plotly():
    odd = "</script><script>alert(1)</script> <b>&'"
    columns = {name: np.arange(4.0) for name in ("pc1", "pc2", "pc3")}
    columns["lattice"] = [odd, "sc", odd, "sc"]
    cloud = latent_cloud([RunCodes("run", pd.DataFrame(columns | {odd: columns["pc1"]}))])
    parts = {key: value for key, value in cloud.items() if key in ("traces", "colours")}
    text = json.dumps([parts["traces"], list(parts["colours"].values())])
    assert "alert(1)" in text
    assert "<b>" not in text
    assert "<script>" not in text


def test_patches_stand_side_by_side_in_the_order_of_the_codes(tmp_path):
    patches = torch.linspace(-1, 1, 50).view(50, 1, 1, 1).expand(50, 1, 34, 48)
    small = shrink(patches)
    assert small.shape == (50, 1, 32, 32)
    write_patch_sheet(tmp_path / "sheet.png", small)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * 32, 40 * 32)
    assert sheet[40, 9 * 32 + 5] == 255  # the last of 50
    assert sheet[0, 3 * 32] == round(3 / 49 * 255)
