"""Names of run folders."""

import re

import pytest

from stm_experiments.app.job import run_name


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ("", ""),
        ("model=pca data.size=64", "_model-pca_size-64"),
        ("lattice=[sc,fcc]", "_lattice--sc-fcc"),
        ("+a=b/c\\d:ü", "_a-b-c-d"),
        ("data.root=/secret/place seed=1", "_seed-1"),
        ("~model.scheduler", "_scheduler"),
    ],
)
def test_folder_names_are_safe(overrides, expected):
    assert run_name(overrides.split()) == expected


def test_long_folder_names_stay_apart():
    names = [run_name(["x=" + "y" * 300 + end]) for end in ("1", "2")]
    assert names[0] != names[1]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name) for name in names)
