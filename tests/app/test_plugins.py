"""Code of the user's own: it works where the user names it, and is imported for nobody else."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

import stm_experiments
from stm_experiments import evaluate, train
from stm_experiments.app.command_line.own_code import ordered, plugins_named
from stm_experiments.core import plugins
from stm_experiments.models.checkpoint import CheckpointError
from stm_experiments.simulator import LATTICES, FlatLattice, Lattice, Site, add_lattice, simulate

EXAMPLES = Path(stm_experiments.__file__).parents[1] / "examples"
CHOSEN = ("lattice=graphene", "noise=pump", "model=two_layers", "callbacks=[code_spread,grad_norm]")
FOLDER = f"--config-dir={EXAMPLES / 'stm_lab' / 'conf'}"


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    """No plugin is in use before or after a test, and the registry of lattices is as it was."""
    monkeypatch.delenv(plugins.ENVIRONMENT, raising=False)
    plugins.use_plugins([])
    lattices = dict(LATTICES)
    yield
    plugins.use_plugins([])
    LATTICES.clear()
    LATTICES.update(lattices)
    for name in [name for name in sys.modules if name.partition(".")[0] == "stm_lab"]:
        del sys.modules[name]


@pytest.fixture
def lab(monkeypatch):
    """The example can be imported, as if it were installed."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function that writes a module of the user's into the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return write


def test_the_example_trains_is_scored_and_loaded_where_it_is_named(
    lab, command, tiny, tmp_path, no_figures
):
    run = tmp_path / "run"
    named, folder = "plugins=[stm_lab]", f"hydra.run.dir={run}"
    code, _, errors = command(train.main, *CHOSEN, named, FOLDER, *tiny, folder)
    assert code == 0, errors
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for column in ("val/largest", "val/code_spread", "train/grad_norm"):
        assert float(rows[-1][column]) > 0
    assert yaml.safe_load((run / "config.yaml").read_text())["plugins"] == ["stm_lab"]

    best = run / "checkpoints" / "best.ckpt"
    plugins.use_plugins([])
    with pytest.raises(CheckpointError, match=r"if you trust it, name it, plugins=\[stm_lab\]"):
        stm_experiments.load(best)
    net = stm_experiments.load(best, plugins=["stm_lab"])
    assert net.card.network == "stm_lab.TwoLayers"
    assert net.encode(torch.zeros(2, 1, 17, 17)).shape == (2, 10)

    small = ("data.size=64", "data.test_images=2", "data.patches_per_image=8", "baselines=[]")
    asked = (f"checkpoint={best}", "lattice=sc", *small, f"hydra.run.dir={tmp_path / 'scores'}")
    code, _, errors = command(evaluate.main, *asked)
    assert code == 1
    assert "plugins=[stm_lab]" in errors
    assert command(evaluate.main, *asked, named)[0] == 0

    code, _, errors = command(train.main, f"resume={run}")
    assert code == 1
    assert "asks for the code of stm_lab" in errors
    code, printed, errors = command(train.main, f"resume={run}", named)
    assert code == 0, errors
    assert "was trained and assessed before" in printed


@pytest.mark.parametrize("place", ["experiment", "run folder"])
def test_no_file_of_a_stranger_names_a_plugin(
    module, command, tiny, tmp_path, place, train_in, no_figures
):
    module("theirs", "open('marker', 'w')")
    if place == "experiment":
        (tmp_path / "conf" / "experiment").mkdir(parents=True)
        lines = "# @package _global_\nplugins: [theirs]\nhydra:\n  overrides:\n"
        lines += "    task: ['plugins=[theirs]']\n"
        (tmp_path / "conf" / "experiment" / "e.yaml").write_text(lines)
        arguments = ["--config-dir=conf", "experiment=e", *tiny, "hydra.run.dir=run"]
    else:
        train_in(tmp_path / "run")
        path = tmp_path / "run" / "config.yaml"
        path.write_text(path.read_text().replace("plugins: []", "plugins: [theirs]"))
        arguments = ["resume=run"]
    code, _, errors = command(train.main, *arguments)
    assert code == 1
    assert "if you trust it, add plugins=[theirs]" in errors
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["plugins=[no_such_lab]"], "there is no module 'no_such_lab'; install its package"),
        (["plugins=[broken]"], "plugins=broken: its import failed: ZeroDivisionError"),
        (["plugins=[needy]"], "plugins=needy: its import failed: ModuleNotFoundError: No module"),
        (["plugins=[a b]"], "plugins='a b': not the name of a module"),
        (["plugins={a: 1}"], "give a list of modules"),
        (["model.net._target_=mine.Nett", "plugins=[mine]"], "mine has no public class 'Nett'"),
        (["model.net._target_=mine.Net"], "your own code needs plugins=[mine] on the command line"),
        (["model.net._target_=stm_experiments.models.CAEa"], "near it stm_experiments.models.CAEA"),
        (["model.net._target_=mine.Net", "plugins=[mine]"], "Net is no network (it lacks label"),
        (["model.net._target_=mine.Wide", "plugins=[mine]"], "[2, 1, 17, 17] to [2, 1, 18"),
        (["model.net._target_=mine.Drawn", "plugins=[mine]"], "Drawn could not be loaded from"),
        (["model._target_=mine.Objective", "plugins=[mine]"], "Objective is no objective: deriv"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)  # fmt: skip
def test_what_cannot_be_used_is_told_before_training(module, command, tiny, overrides, part):
    module("broken", "1 / 0")
    module("needy", "import no_such_library")
    module(
        "mine",
        "import random, torch\n"
        "from torch import nn\n"
        "from stm_experiments.models.interfaces import NetworkModule\n"
        "class Net(nn.Linear):\n"
        "    def __init__(self, latent): super().__init__(1, 1)\n"
        "class Wide(NetworkModule):\n"
        "    window = 17\n"
        "    def __init__(self, latent): super().__init__()\n"
        "    def forward(self, patches): return nn.functional.pad(patches, (0, 1, 0, 1))\n"
        "class Drawn(NetworkModule):\n"
        "    window = 17\n"
        "    sizes = iter(range(1, 9))\n"
        "    def __init__(self, latent):\n"
        "        super().__init__()\n"
        "        self.weight = nn.Parameter(torch.zeros(next(self.sizes)))\n"
        "    def forward(self, patches): return patches * self.weight.sum()\n"
        "class Objective:\n"
        "    def __init__(self, **settings): pass\n",
    )
    code, _, errors = command(train.main, *tiny, "hydra.run.dir=run", *overrides)
    assert code == 1
    assert part in errors
    assert len(errors.strip().splitlines()) == 1


def test_the_order_of_a_command_line_does_not_matter():
    line = ["lattice=mine", "--config-dir", "conf", "-m", "seed=1", "--cfg", "job", "noise=none"]
    assert ordered(line) == [
        *("--config-dir", "conf", "-m", "--cfg", "job"), *("lattice=mine", "seed=1", "noise=none"),
    ]  # fmt: skip


def test_plugins_of_the_environment_and_of_the_command_line_add_up(monkeypatch):
    monkeypatch.setenv(plugins.ENVIRONMENT, "lab.nets, other")
    assert plugins_named(["plugins=[mine,other]", "seed=1"]) == ["lab.nets", "other", "mine"]
    assert plugins_named(["+plugins=mine"])[-1] == "mine"
    assert plugins_named([]) == ["lab.nets", "other"]


def test_a_file_that_the_package_has_too_is_refused(command, tiny, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "cae_b.yaml").write_text("# mine\n_target_: x\n")
    code, _, errors = command(train.main, f"--config-dir={tmp_path}", "model=cae_b")
    assert code == 1
    assert "the package has a model/cae_b.yaml too" in errors
    code, _, errors = command(train.main, "--config-dir=a", "--config-dir=b")
    assert code == 1
    assert "--config-dir takes one folder; for several, hydra.searchpath=" in errors


GRAPHITE = FlatLattice(
    name="graphite", spread=14, ratio=1, gamma=60, fold=3, sites=(Site("A", 0.0, 0.0, 1.0, 0.16),)
)


def test_a_lattice_of_ones_own_is_drawn_with_and_without_a_name():
    drawn = simulate([GRAPHITE], [0], size=64)
    assert drawn.lattice.tolist() == [-1]
    add_lattice(GRAPHITE)
    add_lattice(GRAPHITE)  # as when its module is imported again
    named = simulate(["graphite", "sc"], [0, 0], size=64)
    assert named.lattice.tolist() == [len(LATTICES) - 1, 0]
    assert torch.equal(drawn.clean, named.clean[:1])
    with pytest.raises(ValueError, match="there is another lattice 'graphite'"):
        add_lattice(replace(GRAPHITE, spread=15))


def test_a_crystal_of_ones_own_needs_the_width_of_its_atoms():
    diamond = replace(LATTICES["fcc"], name="diamond")
    assert isinstance(diamond, Lattice)
    with pytest.raises(ValueError, match="needs a narrowness of its atoms"):
        add_lattice(diamond)
    add_lattice(replace(diamond, narrowness=0.15))
    twin = simulate(["diamond"], [3], size=64).clean
    assert torch.equal(twin, simulate(["fcc"], [3], size=64).clean)
