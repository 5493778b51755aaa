"""The config files: every choice composes, every key is explained."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hydra.errors import ConfigCompositionException
from torch.optim.lr_scheduler import OneCycleLR

from stm_experiments.app import build
from stm_experiments.app.construct import construct
from stm_experiments.app.settings import resolve
from stm_experiments.core.config_files import config_dir
from stm_experiments.data.sources.simulated import choose_lattices
from stm_experiments.simulator import CUT_LATTICES, LATTICES, NOISES

CONF = config_dir()
FILES = sorted(CONF.rglob("*.yaml"))
GROUPS = [
    (group, path.stem)
    for group in ("lattice", "noise", "data", "model", "trainer", "logger", "experiment")
    for path in sorted((CONF / group).glob("*.yaml"))
]


def documented(path):
    """(key path, line) of every leaf of a config file, without Hydra's own section."""
    levels, leaves = [], []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        match = re.match(r"( *)([A-Za-z_][\w/]*):( .*|)$", line)
        if not match:
            continue
        depth = len(match[1])
        levels = [level for level in levels if level[0] < depth] + [(depth, match[2])]
        following = lines[number + 1] if number + 1 < len(lines) else ""
        has_children = len(following) - len(following.lstrip(" ")) > depth and following.strip()
        if levels[0][1] not in ("hydra", "defaults") and not has_children:
            leaves.append((".".join(key for _, key in levels), line))
    return leaves


OURS = [path for path in FILES if path.relative_to(CONF).parts[0] != "hydra"]


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(CONF)))
def test_every_key_is_explained(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# "), "a config says in its first line what it is"
    base = [
        key
        for item in (yaml.safe_load(text) or {}).get("defaults", [])
        if isinstance(item, str) and (path.parent / f"{item}.yaml").exists()
        for key, _ in documented(path.parent / f"{item}.yaml")
    ]
    for key, line in documented(path):
        own = key.rpartition(".")[2]
        refers = line.partition(": ")[2].startswith("${")
        if not own.startswith("_") and not refers and key not in base:
            assert " # " in line, f"{key} has no comment"


def test_the_reader_of_comments_reads():
    keys = [key for key, _ in documented(CONF / "model" / "cae_a.yaml")]
    assert {"target", "net.latent", "optimizer.lr", "net._target_"} <= set(keys)
    assert "net" not in keys
    assert "seed" in [key for key, _ in documented(CONF / "train.yaml")]


@pytest.mark.parametrize(("group", "name"), GROUPS, ids=map("=".join, GROUPS))
def test_every_choice_composes(group, name, compose_config):
    settings = resolve(compose_config(f"{group}={name}"))
    assert {"seed", "lattice", "noise", "data", "model", "trainer", "logger"} <= set(settings)
    check = {
        "lattice": check_lattice, "noise": check_noise, "model": check_schedule,
        "experiment": check_schedule,
    }  # fmt: skip
    check.get(group, lambda *_: None)(settings, name)


def check_lattice(settings, name):
    """The lattices are the registry's, without a copy of it."""
    chosen = settings["lattice"]
    assert list(chosen) == (list(CUT_LATTICES) if name == "all" else [name])
    assert settings["data"]["lattices"] == chosen
    assert all(set(own.values()) == {None} for own in chosen.values())
    assert choose_lattices(chosen) == tuple(LATTICES[key] for key in chosen)


def check_noise(settings, name):
    assert construct(settings["noise"]) == NOISES[name]


def check_schedule(settings, name):
    """The optimiser and the schedule take their settings."""
    module = build.build_model(settings)
    if module.optimizer is None:
        assert hasattr(module.net, "fit")
        return
    optimizer = module.optimizer(module.parameters())
    if module.scheduler is not None:
        steps = {"total_steps": 100} if module.scheduler.func is OneCycleLR else {}
        assert module.scheduler(optimizer, **steps).get_last_lr()[0] > 0


@pytest.mark.parametrize("name", sorted(p.stem for p in CONF.glob("*.yaml") if p.stem != "train"))
def test_every_entry_point_composes(name, compose_config):
    text = (CONF / f"{name}.yaml").read_text(encoding="utf-8")
    needed = re.findall(r"^(\w+): \?\?\?", text, re.MULTILINE)
    resolve(compose_config(*(f"{key}=x" for key in needed), name=name))


def test_settings_of_lattices_are_overridden_one_by_one(compose_config):
    overrides = ("lattice=[sc,tas2]", "lattice.sc.azimuth_max=90", "lattice.tas2.wave=[.1,.2]")
    settings = resolve(compose_config(*overrides))["lattice"]
    sc, tas2 = choose_lattices(settings)
    assert sc == replace(LATTICES["sc"], azimuth_max=90)
    assert tas2 == replace(LATTICES["tas2"], wave=(0.1, 0.2))
    with pytest.raises(ConfigCompositionException):
        compose_config("lattice.fcc.azimut_max=90")
    unknown = resolve(compose_config("+lattice.fcc.azimut_max=90"))["lattice"]
    with pytest.raises(ValueError, match=r"lattice\.fcc\.azimut_max is not known; there are"):
        choose_lattices(unknown)


OPTION_LISTS = [
    (path, *match)
    for path in sorted(CONF.glob("*.yaml"))
    for match in re.findall(r"^  - (\w+): \w+ +# ([\w ]+)", path.read_text(), re.MULTILINE)
    if match[0] != "experiment"  # too many for a comment
]


@pytest.mark.parametrize(("path", "group", "names"), OPTION_LISTS)
def test_options_listed_in_comments_are_the_groups_files(path, group, names):
    files = {file.stem for file in (CONF / group).glob("*.yaml")}
    assert set(names.split()) <= files
    if path.stem == "train":
        assert set(names.split()) == files


def test_every_lattice_and_every_noise_has_a_file():
    assert {path.stem for path in (CONF / "lattice").glob("*.yaml")} == {*LATTICES, "all"}
    assert {path.stem for path in (CONF / "noise").glob("*.yaml")} <= set(NOISES)


def test_mixtures_and_exclusions_compose(compose_config):
    assert list(resolve(compose_config("lattice=[fcc,sc]"))["lattice"]) == ["fcc", "sc"]


def test_numbers_in_conf_are_numbers():
    """YAML reads 1e-3 as text: every value that looks like a number must be one."""

    def walk(value):
        if isinstance(value, dict):
            for inner in value.values():
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)
        else:
            yield value

    for path in FILES:
        for value in walk(yaml.safe_load(path.read_text(encoding="utf-8"))):
            if isinstance(value, float):
                assert math.isfinite(value)
            assert not (isinstance(value, str) and re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", value))


def test_the_documentation_lists_every_choice():
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE)
    for group in ("lattice", "noise", "data", "model", "trainer", "logger", "experiment"):
        listed = re.findall(r"`(\w+)`", dict(rows)[group])
        assert sorted(listed) == sorted(name for kind, name in GROUPS if kind == group), group
