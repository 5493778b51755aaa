"""From the command line to Hydra: paths with any characters, and resumed runs."""

import gc

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from stm_experiments.app.launching import hydra_arguments, imported, quote_path
from stm_experiments.train import main

ODD_PATHS = [
    "Si(111) 7x7, a=b.sxm",
    "ünï 走査.png",
    "it's.png",
    "'quoted' twice'",
    "a\\b",
    "ends with a backslash\\",
    "C:\\Users\\it's\\x.png",
    "[1,2]{x}.png",
    "a=b,c=d",
    "${oc.env:HOME}/x.png",
    "  spaces  ",
    '"double" inside.png',
    "~/x.png",
    "-1",
    "1e3",
    "true",
    "*?.png#x%20:@!$&+;",
    "plain/path.png",
]


@pytest.mark.parametrize("value", ODD_PATHS)
@pytest.mark.parametrize("key", ["data.root", "resume", "+image"])
def test_paths_survive_hydra_unchanged(key, value):
    quoted = quote_path(f"{key}={value}")
    parsed = OverridesParser.create().parse_override(quoted)
    assert parsed.key_or_group == key.lstrip("+")
    config = OmegaConf.create({"path": parsed.value()})
    assert config.path == value


def test_only_paths_are_quoted_and_only_once():
    for argument in (
        "data.size=64", "lattice=[sc,fcc]", "model=cae_a", "-m", "data.root=null", "resume=",
        "data.root='already (quoted)'", 'image="already"', "data.rooted=a(b",
        "hydra.run.dir=runs/${lattice}",
    ):  # fmt: skip
        assert quote_path(argument) == argument
    for argument in ("data.root=a (b)", "hydra.run.dir=my run [1]"):
        once = quote_path(argument)
        assert once != argument
        assert quote_path(once) == once


def test_resume_goes_into_its_own_folder(tmp_path):
    folder = tmp_path / "Si(111) 7x7, a=b"
    folder.mkdir()
    with pytest.raises(ValueError, match="no run in that folder"):
        hydra_arguments([f"resume={folder}"])
    (folder / "config.yaml").write_text("seed: 0\n")
    made = hydra_arguments([f"resume={folder}"])
    parsed = OverridesParser.create().parse_overrides(made)
    assert {o.key_or_group: o.value() for o in parsed} == {
        "resume": str(folder),
        "hydra.run.dir": str(folder),
    }
    assert hydra_arguments([f"resume='{folder}'"]) == made
    with pytest.raises(ValueError, match="leave out seed=1 model=pca"):
        hydra_arguments(["seed=1", f"resume={folder}", "model=pca"])
    assert hydra_arguments(["resume=null", "seed=1"]) == ["resume=null", "seed=1"]


@pytest.mark.parametrize("flag", ["-m", "--multirun"])
def test_resume_is_not_for_sweeps(tmp_path, flag):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(ValueError, match=f"leave out {flag}"):
        hydra_arguments([flag, f"resume={tmp_path}"])


def test_help_has_the_comments_and_the_config_as_composed(command):
    code, printed, _ = command(main, "--help", "model=cae_b", "seed=7")
    assert code == 0
    assert "seed: 0                  # seed of weights" in printed
    assert "model: cae_a         # cae_a cae_b" in printed
    assert "images_per_epoch: 256        # training images" in printed  # of a group's file
    assert "lr: 0.005                  # largest learning rate" in printed
    assert "_target_: stm_experiments.models.CAEB" in printed
    assert printed.count("seed: 7") == 1
    code, _, errors = command(main, "--help", "model=cae_z")
    assert (code, errors.count("\n")) == (1, 1)


def test_a_recipe_is_imported_once_and_no_garbage_is_collected_meanwhile():
    collects = []

    def recipe():
        collects.append(gc.isenabled())
        return print

    def broken():
        raise ImportError

    assert imported(recipe) is imported(recipe) is print
    assert collects == [False]
    with pytest.raises(ImportError):
        imported(broken)
    assert gc.isenabled()
