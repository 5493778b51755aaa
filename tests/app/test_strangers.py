"""Run folders, config files and model files from strangers: nothing runs, no secret leaves."""

import json

import pytest
import torch
import yaml

from stm_experiments.app.allow import refuse_unknown_targets
from stm_experiments.app.construct import construct

SECRET = "the-secret-of-the-environment"
NAME = "STM_TEST_SECRET"
RUNSTRING = "numpy.testing._private.utils.runstring"
PLACES = (
    "model", "model.net", "model.net.latent", "model.optimizer", "model.optimizer.lr",
    "model.scheduler", "trainer", "trainer.plugins", "trainer.callbacks", "trainer.devices", "data",
    "data.noise.tip", "logger", "logger.settings", "seed", "extra", "extra.deep.in.it",
)  # fmt: skip


def node(target, *arguments):
    return {"_target_": target, "_args_": list(arguments)}


def payloads(marker):
    """Return nodes that would run code, and texts that would become such nodes or a secret."""
    code, touch = f"open({str(marker)!r}, 'w')", f"touch {marker}"
    return {
        "system": node("os.system", touch),
        "exec": node("builtins.exec", code),
        "open": node("builtins.open", str(marker), "w"),
        "runstring": node(RUNSTRING, code, {}),
        "call": node("hydra.utils.call", node("os.system", touch)),
        "instantiate": node("hydra.utils.instantiate", node("os.system", touch)),
        "load": {"_target_": "torch.load", "f": str(marker), "weights_only": False},
        "alias path": node("stm_experiments.app.build.os.system", touch),
        "partial": {**node("os.system", touch), "_partial_": True},
        "positional": node("stm_experiments.models.CAEA", node("os.system", touch)),
        "list as target": {"_target_": ["os", "system"], "_args_": [touch]},
        "our class that writes": {
            "_target_": "stm_experiments.training.run_folder.RunFolder", "path": str(marker),
            "config": {}, "about": {},
        },
        "our launcher": {"_target_": "hydra_plugins.stm_launchers.LocalLauncher"},
        "text": "${oc.create:${oc.decode:${payload}}}",
        "escaped": "\\${oc.create:\\${oc.decode:\\${payload}}}",
        "escaped twice": "\\\\${oc.create:\\\\${oc.decode:\\\\${payload}}}",
        "escaped three times": "\\\\\\${oc.create:\\\\\\${oc.decode:\\\\\\${payload}}}",
        "interpolation": "${node}",
        "escaped interpolation": "\\${node}",
        "environment": f"${{oc.env:{NAME}}}",
        "escaped environment": f"\\${{oc.env:{NAME}}}",
        "target by name": {"_target_": "${target}", "_args_": [touch]},
        "in a list": [[node("os.system", touch)]],
        "in a key": {f"${{oc.env:{NAME}}}": node("os.system", touch)},
    }  # fmt: skip


NAMES = tuple(payloads(""))


def put(config, place, value):
    *keys, last = place.split(".")
    for key in keys:
        if not isinstance(config.get(key), dict):
            config[key] = {}
        config = config[key]
    config[last] = value


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """Return the path that a stranger's code would write; look for it and the secret after."""
    monkeypatch.setenv(NAME, SECRET)
    monkeypatch.chdir(tmp_path)
    marker = tmp_path / "marker"
    yield marker
    assert not marker.exists()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.fixture
def saved(compose_config, tiny):
    """Return the config of a tiny run as plain data."""
    from stm_experiments.app import build

    return build.resolve(compose_config(*tiny))


def stranger_folder(tmp_path, config):
    folder = tmp_path / "stranger"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_plain_data_builds_nothing_of_a_stranger(marker, name):
    payload = payloads(marker)[name]
    if isinstance(payload, str):
        refuse_unknown_targets({"model": payload})
        assert construct({"model": {"net": payload}}) == {"model": {"net": payload}}  # text stays
        return
    for config in ({"x": payload}, [payload], {"a": [{"b": payload}]}):
        with pytest.raises(PermissionError, match="not allowed"):
            refuse_unknown_targets(config)
        with pytest.raises(PermissionError, match="not allowed"):
            construct(config)


CASES = [(name, PLACES[5 * number % len(PLACES)]) for number, name in enumerate(NAMES)]


@pytest.mark.parametrize(("name", "place"), CASES)
def test_a_strangers_run_folder_is_data(marker, saved, command, tmp_path, name, place):
    from stm_experiments.train import main

    payload = payloads(marker)[name]
    if isinstance(payload, str) and place.startswith("extra"):
        place = "trainer.max_epochs"  # as text in a key that nothing reads, it would stay text
    put(saved, place, payload)
    saved |= {"payload": "{_target_: os.system, _args_: [touch marker]}", "target": "os.system"}
    saved["node"] = "os.system"
    code, _, errors = command(main, f"resume={stranger_folder(tmp_path, saved)}")
    assert code == 1
    assert errors.startswith("error: ")
    assert SECRET not in errors


def test_aliases_and_large_files_are_refused(command, tmp_path, monkeypatch):
    from stm_experiments.report import main as report
    from stm_experiments.train import main

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    for text, reason in (
        ("\n".join(lines), "aliases are not allowed"),
        ("x: " + "y" * 2**21, "larger than"),
        ("[" * 100_000, "cannot be read"),
        ("!!python/object/apply:os.system ['touch marker']", "cannot be read"),
        ("just text", "not the config of a run"),
    ):
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        code, _, errors = command(main, f"resume={folder}")
        assert code == 1
        assert reason in errors
        assert str(folder / "config.yaml") in errors
        (folder / "run.json").write_text('{"status": "finished"}', encoding="utf-8")
        code, _, errors = command(report, f"runs={folder}", f"hydra.run.dir={tmp_path / 'page'}")
        assert code in (0, 1)  # skipped or refused, in bounded time
    assert not (tmp_path / "marker").exists()


HYDRAS_NODES = {
    "callback": "hydra:\n  callbacks:\n    x: {_target_: os.system, command: touch marker}\n",
    "callback of Hydra": "hydra:\n  callbacks:\n    x: {_target_: hydra.utils.call}\n",
    "job logging": "hydra:\n  job_logging:\n    handlers:\n      x: {(): os.system, command: ls}\n",
    "hydra logging": "hydra:\n  hydra_logging:\n    filters: {x: {(): os.system}}\n",
    "log file": "hydra:\n  job_logging: {handlers: {file: {filename: /tmp/stranger.log}}}\n",
    "launcher": "hydra:\n  launcher: {_target_: os.system}\n",
    "sweeper": "hydra:\n  sweeper: {_target_: os.system}\n",
    "setting of the sweeper": "hydra:\n  sweeper: {max_batch_size: 1}\n",
    "environment": "hydra:\n  job: {env_set: {LD_PRELOAD: ./evil.so}}\n",
    "launcher by name": "defaults:\n  - override /hydra/launcher: local_gpus\n",
    "shell lines of a launcher": (
        "defaults:\n  - override /hydra/launcher: slurm\n"
        "hydra:\n  launcher: {setup: [touch marker]}\n"
    ),
    "verbose": "hydra:\n  verbose: true\n",
}


@pytest.mark.parametrize("swept", [False, True], ids=["run", "sweep"])
@pytest.mark.parametrize("name", HYDRAS_NODES)
def test_files_of_other_folders_leave_hydras_nodes_alone(marker, command, tmp_path, name, swept):
    from stm_experiments.train import main

    folder = tmp_path / "their conf" / "experiment"
    folder.mkdir(parents=True)
    text = f"# @package _global_\n{HYDRAS_NODES[name]}"
    (folder / "theirs.yaml").write_text(text, encoding="utf-8")
    choice = ["-m", "experiment=paper_baseline,theirs"] if swept else ["experiment=theirs"]
    code, _, errors = command(main, "--config-dir", folder.parent, *choice)
    assert code == 1
    assert "is set by a config file of another folder" in errors
    code, _, errors = command(main, f"hydra.searchpath=['file://{folder.parent}']", *choice)
    assert code == 1
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("name", [*NAMES[:12], "environment", "text"])
def test_experiments_of_other_folders_build_nothing(marker, command, tmp_path, name):
    from stm_experiments.train import main

    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    content = {"model": {"net": payloads(marker)[name]}}
    text = f"# @package _global_\n{yaml.safe_dump(content)}"
    (folder / "theirs.yaml").write_text(text, encoding="utf-8")
    code, _, errors = command(main, f"--config-dir={folder.parent}", "experiment=theirs")
    assert code == 1
    assert SECRET not in errors


def test_an_experiment_of_ones_own_works_from_another_folder(command, tmp_path, tiny, monkeypatch):
    from stm_experiments.train import main

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("# @package _global_\nseed: 7\n", encoding="utf-8")
    code, _, errors = command(
        main, "--config-dir", folder.parent, "experiment=mine", *tiny, "hydra.run.dir=run"
    )
    assert (code, errors) == (0, "")
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["seed"] == 7


@pytest.mark.parametrize(
    "flag",
    ["--config-path=x", "-cp", "--config-name=other", "-cn", "--experimental-rerun=x"],
)
def test_flags_that_bring_a_whole_config_are_refused(command, tmp_path, monkeypatch, flag):
    from stm_experiments.train import main

    monkeypatch.chdir(tmp_path)
    code, _, errors = command(main, flag)
    assert code == 1
    assert "--config-dir adds files of your own" in errors


@pytest.mark.parametrize(
    "override",
    [
        "+trainer.plugins=[x]", "+trainer.callbacks=[x]", "+trainer.profiler=simple",
        "+logger.settings.base_url=http://127.0.0.1:1", "+logger.dir=/tmp",
    ],
)  # fmt: skip
def test_foreign_classes_take_listed_keywords_only(command, tmp_path, monkeypatch, override):
    from stm_experiments.train import main

    monkeypatch.chdir(tmp_path)
    code, _, errors = command(main, "logger=wandb", override, "hydra.run.dir=run")
    assert code == 1
    assert "is not allowed" in errors


@pytest.mark.parametrize("name", NAMES)
def test_model_files_of_strangers_are_data(marker, command, tmp_path, name):
    from stm_experiments.evaluate import main as evaluate
    from stm_experiments.models import CAEA, checkpoint

    path = tmp_path / "stranger.ckpt"
    card = checkpoint.Card("CAEA", {}, 17)
    checkpoint.save(CAEA(), card, path)
    content = torch.load(path, weights_only=True)
    content["card"]["arguments"] = {"latent": payloads(marker)[name]}
    torch.save(content, path)
    code, _, errors = command(evaluate, f"checkpoint={path}", "hydra.run.dir=out")
    assert code == 1
    assert str(path) in errors
    assert json.dumps(errors)
