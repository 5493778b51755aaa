"""What a config may build: everything but classes of the package and a short list is refused."""

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from stm_experiments.app import build
from stm_experiments.app.allow import FOREIGN, is_allowed, refuse_unknown_targets
from stm_experiments.app.settings import resolve
from stm_experiments.core.config_files import config_dir

REFUSED = [
    "os.system",
    "subprocess.Popen",
    "builtins.open",
    "builtins.eval",
    "numpy.testing._private.utils.runstring",
    "numpy.load",
    "torch.load",
    "torch.hub.load",
    "torch.utils.cpp_extension.load_inline",
    "multiprocessing.Process",
    "hydra.utils.call",
    # Alias paths: things that our modules merely import, and our own functions.
    "stm_experiments.app.build.os.system",
    "stm_experiments.app.build.os",
    "stm_experiments.app.launching.hydra.utils.call",
    "stm_experiments.app.build.construct",
    "stm_experiments.app.build.Trainer",
    "stm_experiments.models.checkpoint.torch.load",
    "stm_experiments.models.checkpoint.load",
    "stm_experiments.models.checkpoint.nn.Module",
    "stm_experiments.training.run_folder.subprocess.run",
    "stm_experiments.training.reconstruction.LightningModule",
    "stm_experiments.models.CAEA.load_state_dict",
    # Names that are no names.
    "stm_experiments.models.NoSuchNet",
    "stm_experiments.no_such_module.Net",
    "stm_experiments_other.models.CAEA",
    "stm_experiments",
    "stm_experiments.",
    "stm_experiments..models",
    ".stm_experiments.models.CAEA",
    "",
    None,
    7,
    ["os.system"],
]


@pytest.mark.parametrize("target", REFUSED, ids=str)
def test_everything_else_is_refused(target):
    assert not is_allowed(target)
    with pytest.raises(PermissionError, match="is not allowed"):
        refuse_unknown_targets({"_target_": target})


@pytest.mark.parametrize("target", sorted(FOREIGN))
def test_listed_names_exist(target):
    module, _, name = target.rpartition(".")
    assert is_allowed(target)
    assert isinstance(getattr(__import__(module, fromlist=[name]), name), type)


def test_the_message_names_the_key():
    for config, key in [
        ({"model": {"net": {"_target_": "os.system"}}}, "model.net._target_='os.system'"),
        ({"a": [{"b": 1}, {"_target_": "os.system"}]}, r"a[1]._target_='os.system'"),
        ({"model": {"_target_": "stm_experiments.models.CAEA", "x": {"_target_": "f"}}}, "model.x"),
    ]:
        with pytest.raises(PermissionError) as info:
            refuse_unknown_targets(config)
        assert key in str(info.value)


def test_a_config_is_refused_before_anything_of_it_is_built(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"first": {"_target_": "stm_experiments.models.CAEA"}, "x": {"y": "${z}"}, "z": {}}
    assert resolve(OmegaConf.create(config))["x"]["y"] == {}
    # Also where the name only appears once the config is resolved.
    config["z"] = {"_target_": "${name}", "args": ["touch run"]}
    config["name"] = "os.system"
    with pytest.raises(PermissionError, match=r"x\.y\._target_='os\.system' is not allowed"):
        resolve(OmegaConf.create(config))
    assert not list(tmp_path.iterdir())


def targets(config):
    if isinstance(config, dict):
        for key, value in config.items():
            if key == "_target_":
                yield value
            yield from targets(value)
    elif isinstance(config, list):
        for value in config:
            yield from targets(value)


def test_everything_in_conf_is_allowed():
    found = {
        (path.name, target)
        for path in config_dir().rglob("*.yaml")
        if path.parent.name not in ("launcher", "sweeper")  # Hydra builds them before a task
        for target in targets(yaml.safe_load(path.read_text(encoding="utf-8")))
    }
    found.remove(("train.yaml", "stm_experiments.app.launching.SweepStart"))
    assert {"cae_a.yaml", "default.yaml", "wandb.yaml", "none.yaml"} <= {name for name, _ in found}
    assert [(name, target) for name, target in sorted(found) if not is_allowed(target)] == []


def test_building_from_a_config_gives_what_it_names():
    model = build.build_model(
        {
            "model": {
                "_target_": "stm_experiments.training.Reconstruction",
                "net": {"_target_": "stm_experiments.models.CAEA", "latent": 3},
                "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.5},
            }
        }
    )
    optimizer = model.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert model.net.encode(torch.zeros(1, 1, 17, 17)).shape == (1, 3)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "numpy.testing._private.utils.runstring",
        "torch.load",
        "torch.utils.cpp_extension.load_inline",
        "builtins.open",
        "stm_experiments.models.checkpoint.torch.load",
    ],
)
def test_the_command_line_builds_nothing_else(command, tmp_path, monkeypatch, target):
    from stm_experiments.train import main

    monkeypatch.chdir(tmp_path)
    code, _, errors = command(main, f"model.net._target_={target}", "hydra.run.dir=run")
    assert code == 1
    assert f"model.net._target_='{target}' is not allowed" in errors
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["train.log"]
