"""The configs themselves, and the way from a command line to them: paths, errors, sentences."""

import math
import re

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import InstantiationException
from omegaconf import OmegaConf
from torch.optim.lr_scheduler import OneCycleLR

from stm_experiments.app import build, config
from stm_experiments.data.sources.simulated import chosen_lattices
from stm_experiments.simulator import CUT_LATTICES, LATTICES, NOISES
from stm_experiments.train import main

CONF = config.config_dir()
FILES = sorted(CONF.rglob("*.yaml"))
GROUPS = [
    (group, path.stem)
    for group in ("lattice", "noise", "data", "model", "trainer", "logger", "experiment")
    for path in sorted((CONF / group).glob("*.yaml"))
]
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
    settings = build.plain(compose_config(f"{group}={name}"))
    assert {"seed", "lattice", "noise", "data", "model", "trainer", "logger"} <= set(settings)
    if group == "lattice":
        assert list(settings["lattice"]) == (list(CUT_LATTICES) if name == "all" else [name])
        assert settings["data"]["lattices"] == settings["lattice"]


TRAINED = [(group, name) for group, name in GROUPS if group in ("model", "experiment")]


@pytest.mark.parametrize(("group", "name"), TRAINED, ids=map("=".join, TRAINED))
def test_every_optimiser_and_schedule_takes_its_settings(group, name, compose_config):
    module = build.build_model(build.plain(compose_config(f"{group}={name}")))
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
    build.plain(compose_config(*(f"{key}=x" for key in needed), name=name))


def test_lattices_are_the_simulators(compose_config):
    settings = build.plain(compose_config("lattice=all"))["lattice"]
    for given in settings.values():
        assert set(given.pop("images")) == {"train", "validation", "test"}
    assert settings == {
        name: {"spread": x.spread, "azimuth_max": x.azimuth_max, "tilt_max": x.tilt_max}
        for name, x in CUT_LATTICES.items()
    }


@pytest.mark.parametrize("name", [name for name in LATTICES if name not in CUT_LATTICES])
def test_flat_lattices_are_the_simulators(name, compose_config):
    settings = build.plain(compose_config(f"lattice={name}"))["lattice"]
    assert chosen_lattices(settings) == (LATTICES[name],)


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "noise").glob("*.yaml")))
def test_noises_are_the_simulators(name, compose_config):
    assert name in NOISES
    assert build.build_noise(build.plain(compose_config(f"noise={name}"))) == NOISES[name]


def test_mixtures_and_exclusions_compose(compose_config):
    assert list(build.plain(compose_config("lattice=[fcc,sc]"))["lattice"]) == ["fcc", "sc"]


@pytest.mark.parametrize("value", ODD_PATHS)
@pytest.mark.parametrize("key", ["data.root", "resume", "+image"])
def test_paths_survive_hydra_unchanged(key, value):
    quoted = config.quote_path(f"{key}={value}")
    parsed = OverridesParser.create().parse_override(quoted)
    assert parsed.key_or_group == key.lstrip("+")
    made = OmegaConf.create({"path": parsed.value()})
    assert made.path == value


def test_only_paths_are_quoted_and_only_once():
    for argument in (
        "data.size=64", "lattice=[sc,fcc]", "model=cae_a", "-m", "data.root=null", "resume=",
        "data.root='already (quoted)'", 'image="already"', "data.rooted=a(b",
    ):  # fmt: skip
        assert config.quote_path(argument) == argument
    once = config.quote_path("data.root=a (b)")
    assert config.quote_path(once) == once


def test_resume_goes_into_its_own_folder(tmp_path):
    folder = tmp_path / "Si(111) 7x7, a=b"
    folder.mkdir()
    with pytest.raises(ValueError, match="no run in that folder"):
        config.arguments([f"resume={folder}"])
    (folder / "config.yaml").write_text("seed: 0\n")
    made = config.arguments([f"resume={folder}"])
    parsed = OverridesParser.create().parse_overrides(made)
    assert {o.key_or_group: o.value() for o in parsed} == {
        "resume": str(folder),
        "hydra.run.dir": str(folder),
    }
    assert config.arguments([f"resume='{folder}'"]) == made
    with pytest.raises(ValueError, match="leave out seed=1 model=pca"):
        config.arguments(["seed=1", f"resume={folder}", "model=pca"])
    assert config.arguments(["resume=null", "seed=1"]) == ["resume=null", "seed=1"]


@pytest.mark.parametrize("flag", ["-m", "--multirun"])
def test_resume_is_not_for_sweeps(tmp_path, flag):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(ValueError, match=f"leave out {flag}"):
        config.arguments([flag, f"resume={tmp_path}"])


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
    assert config.run_name(overrides.split()) == expected


def test_long_folder_names_stay_apart():
    names = [config.run_name(["x=" + "y" * 300 + end]) for end in ("1", "2")]
    assert names[0] != names[1]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name) for name in names)


MISTAKES = [
    (["lattice=fccc"], ["fccc", "lattice"]),
    (["latice=fcc"], ["latice"]),
    (["data.sise=64"], ["sise"]),
    (["+data.sise=64"], [" has no setting named 'sise'"]),
    (["model.net.latents=4"], ["latents"]),
    (["data.size=abc"], ["data.size is a number, not 'abc'"]),
    (["data.augment=maybe"], ["data.augment is true or false, not 'maybe'"]),
    (["seed=one"], ["seed is a number"]),
    (["data.size=-5"], ["data.size must be a whole number of at least 1, got -5"]),
    (["data.batch_size=0"], ["data.batch_size must be a whole number of at least 1, got 0"]),
    (["data.test_images=0"], ["data.test_images must be"]),
    (["data.num_workers=-1"], ["data.num_workers must be"]),
    (["trainer.max_epochs=0"], ["trainer.max_epochs is a whole number of at least 1, not 0"]),
    (["trainer.max_epochs=-1"], ["trainer.max_epochs"]),
    (["data.sampling=all"], ["data.sampling is 'random' or 'grid', not 'all'"]),
    (["data.preset=real"], ["data.preset is one of physical, published, released"]),
    (["model.target=dirty"], ["model.target is 'noisy' or 'clean', not 'dirty'"]),
    (["model.net.latent=0"], ["latent"]),
    (["model=pca", "model.net.components=500"], ["takes 1 to 289 components, got 500"]),
    (["baselines=[0]"], ["components"]),
    (["data=images"], ["say where the images are: data.root=<folder>"]),
    (["data=images", "data.root=no/such (folder), x=y"], ["no folder no/such (folder), x=y"]),
    (["model.net._target_=os.system"], ["model.net._target_='os.system' is not allowed"]),
    (["trainer._target_=subprocess.Popen"], ["is not allowed"]),
    (["data.size=[64"], ["[64"]),
    (["lattice.fcc.spread=-1"], ["spread"]),
    (["resume=no/such/run"], ["there is no run in that folder"]),
]


@pytest.mark.parametrize(("overrides", "parts"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_a_mistake_gives_one_sentence_and_exit_code_one(
    overrides, parts, command, tiny, tmp_path, monkeypatch, no_figures
):
    monkeypatch.chdir(tmp_path)
    keys = {override.partition("=")[0] for override in overrides}
    rest = [key for key in tiny if key.partition("=")[0] not in keys]
    if "data=images" in overrides:
        rest = [key for key in rest if "image" not in key and "size=64" not in key]
    resumes = any(key.startswith("resume") for key in overrides)
    code, _, errors = command(main, *([] if resumes else rest), *overrides)
    assert code == 1
    lines = [line for line in errors.splitlines() if line.strip()]
    assert len(lines) == 1, errors
    assert lines[0].startswith("error: ")
    assert len(lines[0]) < 300
    assert "unexpected" not in lines[0]
    assert "hydra.cc" not in lines[0]
    for part in parts:
        assert part in lines[0]
    logs = list(tmp_path.glob("outputs/*/train.log"))
    if logs:  # Hydra got as far as starting the job
        assert "Traceback" in logs[0].read_text()


def test_an_unforeseen_error_says_that_it_is_one():
    assert config.one_sentence(ZeroDivisionError("x\n  y.")) == "unexpected ZeroDivisionError: x y"
    assert config.one_sentence(ValueError("a\n b.")) == "a b"
    wrapped = InstantiationException("Error in call to target 'x': ...")
    wrapped.__cause__ = ValueError("the cause.")
    assert config.one_sentence(wrapped) == "the cause"


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
