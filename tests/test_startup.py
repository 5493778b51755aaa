"""What commands import before they need it: seconds of the user's time."""

import subprocess
import sys

import pytest
from test_imports import DOORS

HEAVY = ("torch", "numpy", "scipy", "sklearn", "skimage", "matplotlib", "lightning", "pandas")
UNTRAINED = [door for door in DOORS if door not in ("train", "evaluate", "view")]
START = """
import importlib, sys
def start(door, *arguments):
    sys.argv = [door, *arguments]
    try:
        importlib.import_module(f"stm_experiments.{door}").main()
    except SystemExit as end:
        return end.code
"""


def imported(code, names):
    """Return which of the modules are imported after some code ran in a fresh process."""
    code = f"{START}\n{code}\nprint('imported:', *(m for m in {names} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()[1:]


def test_help_comes_before_the_imports():
    assert imported(f"for door in {DOORS}: assert not start(door, '--help')", HEAVY) == []


def test_a_wrong_setting_is_refused_before_the_imports():
    assert imported("assert start('train', 'model=cae_z') == 1", HEAVY) == []


@pytest.fixture(scope="module")
def recipes():
    """What is imported after some recipes of one process, and then after all without training."""
    some = ("show",), ("align", "find_defects", "find_lattice", "reconstruct"), UNTRAINED
    lines = ["imported = []"]
    for names in some:
        lines += [f"import stm_experiments.recipes.{name}" for name in names]
        lines += ["imported.append(' '.join(sys.modules))"]
    code = "\n".join(["import sys", *lines, "print(*imported, sep='\\n')"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_levelling_and_drawing_a_scan_needs_no_torch(recipes):
    assert not {"torch", "stm_experiments.models", "skimage"} & recipes[0]


def test_restoring_scans_needs_no_simulation_and_no_statistics(recipes):
    rooms = {f"stm_experiments.{room}" for room in ("simulator", "training", "data")}
    assert not {"lightning", "sklearn", "pandas", "plotly", *rooms} & recipes[1]


def test_commands_without_training_do_not_import_lightning(recipes):
    heavy = {"lightning", "torchmetrics", "torch._dynamo", "scipy.signal", "wandb"}
    assert not heavy & recipes[2]
