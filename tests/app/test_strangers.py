"""Run folders, config files and model files from strangers: nothing runs, no secret leaves."""

import http.server
import json
import shutil
import threading
from importlib import import_module

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf, open_dict

from stm_experiments.app.allow import refuse_unknown_targets
from stm_experiments.app.command_line.foreign_files import refuse_foreign_hydra_nodes
from stm_experiments.app.construct import construct
from stm_experiments.app.messages import EXPECTED, one_sentence
from stm_experiments.app.settings import resolve

SECRET = "the-secret-of-the-environment"
NAME = "STM_TEST_SECRET"
KEY = "0123456789" * 4  # of a W&B account
RUNSTRING = "numpy.testing._private.utils.runstring"
PLACES = (
    "model", "model.net", "model.net.latent", "model.optimizer", "model.optimizer.lr",
    "model.scheduler", "trainer", "trainer.plugins", "trainer.callbacks", "trainer.devices", "data",
    "data.noise.tip", "logger", "logger.settings", "seed", "extra", "extra.deep.in.it",
)  # fmt: skip
TEXT_PLACES = ("model", "model.net", "model.net.latent", "seed", "data", "trainer", "logger")
# What the texts below refer to.
REFERRED = {
    "payload": "{_target_: os.system, _args_: [touch marker]}",
    "command": "touch marker",
    "target": "os.system",
    "node": "os.system",
}


def node(target, *arguments):
    return {"_target_": target, "_args_": list(arguments)}


def nodes(marker):
    """Return nodes that would run code."""
    code, touch = f"open({str(marker)!r}, 'w')", f"touch {marker}"
    system = node("os.system", touch)
    adam = {"_target_": "torch.optim.Adam", "_partial_": True}
    targets = {
        "system": system,
        "exec": node("builtins.exec", code),
        "eval": node("builtins.eval", code),
        "open": node("builtins.open", str(marker), "w"),
        "popen": node("subprocess.Popen", touch),
        "import": node("importlib.import_module", "antigravity"),
        "runstring": node(RUNSTRING, code, {}),
        "compile": node("torch.compile", system),
        "pickle": node("pickle.loads", code),
        "load": {"_target_": "torch.load", "f": str(marker), "weights_only": False},
        "save": {"_target_": "torch.save", "obj": 0, "f": str(marker)},
        "call": node("hydra.utils.call", system),
        "instantiate": node("hydra.utils.instantiate", system),
        "class by name": node("hydra.utils.get_class", "os.system"),
        "command line": node("stm_experiments.train.main"),
        "alias path": node("stm_experiments.app.build.os.system", touch),
        "module": node("stm_experiments.models"),
        "function of ours": node("stm_experiments.models.checkpoint.read", str(marker)),
        "attribute of a class": node("stm_experiments.models.CAEA.load_state_dict", system),
        "private": node("stm_experiments.models.__loader__"),
        "dots": node("stm_experiments.models..CAEA"),
        "spaces": node("stm_experiments.models.CAEA "),
        "our class that writes": {
            "_target_": "stm_experiments.training.run_folder.RunFolder",
            "path": str(marker), "config": {}, "about": {},
        },
        "our launcher": {"_target_": "hydra_plugins.stm_launchers.LocalLauncher"},
        "our callback": {"_target_": "stm_experiments.app.launching.SweepStart", "dry_run": True},
        "checkpoint of Lightning": {
            "_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "dirpath": str(marker),
        },
        "list as target": {"_target_": ["os", "system"], "_args_": [touch]},
        "mapping as target": {"_target_": system},
        "number as target": {"_target_": 0},
        "no target": {"_target_": None, "_args_": [touch]},
        "target by name": {"_target_": "${target}", "_args_": [touch]},
        "target by escaped name": {"_target_": "\\${target}", "_args_": [touch]},
    }  # fmt: skip
    places = {
        "partial": {**system, "_partial_": True},
        "recursive": {**system, "_recursive_": False},
        "converted": {**system, "_convert_": "all"},
        "in a list": [[system]],
        "in a mapping of a list": [{"a": [{"b": system}]}],
        "in a key": {f"${{oc.env:{NAME}}}": system},
        "in a keyword": {"_target_": "stm_experiments.models.CAEA", "latent": system},
        "in a keyword of another package": {**adam, "lr": [system]},
        "positional": node("stm_experiments.models.CAEA", system),
        "positional, of another package": {**adam, "_args_": [system]},
        "not recursive": {"_target_": "stm_experiments.models.CAEA", "_recursive_": False},
        "unlisted keyword": {"_target_": "lightning.Trainer", "plugins": system},
        "unlisted keyword of a logger": {
            "_target_": "lightning.pytorch.loggers.WandbLogger",
            "settings": {"base_url": "http://127.0.0.1:1"},
        },
    }
    return targets | places


def texts():
    """Return texts that would become nodes or a secret, if they were resolved."""
    found = {
        "inline node": "{_target_: os.system, _args_: [touch marker]}",
        "shell": "$(touch marker)",
        "template": "{{ cycler.__init__.__globals__.os.system('touch marker') }}",
        "python": "!!python/object/apply:os.system ['touch marker']",
        "percent": f"%({NAME})s ${NAME} ${{{NAME}}}",
        "nested names": f"${{oc.env:${{oc.decode:{NAME}}}}}",
        "default": f"${{oc.env:NONE,${{oc.env:{NAME}}}}}",
        "values": "${oc.dict.values:node}",
    }
    kinds = {
        "created": "${oc.create:${oc.decode:${payload}}}",
        "decoded": "${oc.decode:${payload}}",
        "interpolation": "${node}",
        "environment": f"${{oc.env:{NAME}}}",
    }
    for name, text in kinds.items():
        found[name] = text
        for backslashes, how in ((1, "escaped"), (2, "escaped twice"), (3, "escaped three times")):
            found[f"{name}, {how}"] = text.replace("${", "\\" * backslashes + "${")
    return found


def payloads(marker):
    return nodes(marker) | texts()


NAMES = tuple(payloads(""))
assert len(NAMES) > 60


def put(config, place, value):
    *keys, last = place.split(".")
    for key in keys:
        if not isinstance(config.get(key), dict):
            config[key] = {}
        config = config[key]
    config[last] = value


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """Return the path that a stranger's code would write; look for it and for secrets after."""
    monkeypatch.setenv(NAME, SECRET)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.chdir(tmp_path)
    marker = tmp_path / "marker"
    yield marker
    assert not marker.exists()
    for path in tmp_path.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert SECRET.encode() not in content, path
        assert KEY.encode() not in content, path


@pytest.fixture(scope="module")
def tiny_config(tiny):
    """The config of a tiny run as Hydra composes it, with Hydra's own part."""
    from hydra import compose, initialize_config_dir

    from stm_experiments.core.config_files import config_dir

    with initialize_config_dir(str(config_dir()), version_base="1.3", job_name="train"):
        return compose("train", overrides=list(tiny), return_hydra_config=True)


@pytest.fixture
def saved(tiny_config):
    """Return the config of a tiny run as plain data."""
    config = OmegaConf.masked_copy(tiny_config, [key for key in tiny_config if key != "hydra"])
    return resolve(config)


@pytest.fixture
def resume(tiny_config):
    """Return a function: what ``train.py resume=<folder>`` does with the folder."""
    from hydra.core.hydra_config import HydraConfig

    from stm_experiments.recipes.train import train

    def run(folder):
        config = tiny_config.copy()
        with open_dict(config):
            config.hydra.runtime.output_dir = str(folder)
            HydraConfig.instance().set_config(config)
            del config["hydra"]
            config.resume = str(folder)
        return train(config)

    yield run
    HydraConfig.instance().cfg = None


def stranger_folder(tmp_path, config):
    folder = tmp_path / "stranger"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
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


@pytest.mark.parametrize("name", NAMES)
def test_a_strangers_run_folder_is_data(marker, saved, resume, tmp_path, name):
    """Each payload in a place of the config: a node is refused, and text breaks what it is in."""
    payload = payloads(marker)[name]
    places = TEXT_PLACES if isinstance(payload, str) else PLACES
    put(saved, places[5 * NAMES.index(name) % len(places)], payload)
    kind = (*EXPECTED, TypeError, AttributeError) if isinstance(payload, str) else PermissionError
    with pytest.raises(kind) as refusal:
        resume(stranger_folder(tmp_path, saved | REFERRED))
    assert SECRET not in one_sentence(refusal.value)


def test_texts_of_a_stranger_stay_text_to_the_end_of_a_run(
    marker, saved, resume, tmp_path, no_figures
):
    put(saved, "extra", {"texts": [*texts().values()], **dict.fromkeys(texts().values(), 1)})
    put(saved, "logger", {"_target_": "lightning.pytorch.loggers.TensorBoardLogger",
                          "save_dir": None, "name": "${oc.env:" + NAME + "}"})  # fmt: skip
    folder = stranger_folder(tmp_path, saved | REFERRED)
    resume(folder)
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    assert any("oc.env" in path.name for path in folder.iterdir())
    card = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["card"]
    assert card["config"]["extra"]["texts"] == [*texts().values()]


@pytest.mark.parametrize("name", ["runstring", "created, escaped"])
def test_the_command_refuses_a_strangers_run_folder(marker, saved, command, tmp_path, name):
    from stm_experiments.train import main

    put(saved, "model.net.latent", payloads(marker)[name])
    code, _, errors = command(main, f"resume={stranger_folder(tmp_path, saved | REFERRED)}")
    assert code == 1
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert SECRET not in errors


BOMB = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
BOMB += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n".join(BOMB), "aliases are not allowed"),
        ("x: " + "y" * 2**21, "larger than"),
        ("[" * 10_000, "cannot be read"),
        ("!!python/object/apply:os.system ['touch marker']", "cannot be read"),
        ("just text", "not the config of a run"),
    ],
    ids=["aliases", "large", "deep", "code", "text"],
)
def test_configs_that_are_no_plain_data_are_refused(marker, resume, tmp_path, text, reason):
    from stm_experiments.reporting.runs import read_runs

    folder = tmp_path / "runs" / "run"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=reason) as refusal:
        resume(folder)
    assert str(folder / "config.yaml") in str(refusal.value)
    (folder / "run.json").write_text('{"status": "finished"}', encoding="utf-8")
    assert len(read_runs(folder.parent)) <= 1  # in bounded time


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
SWEEP = ("-m", "experiment=paper_baseline,theirs")


def their_experiment(tmp_path, text):
    """Write ``experiment=theirs`` into a config folder of a stranger and return the folder."""
    folder = tmp_path / "their conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "theirs.yaml").write_text(f"# @package _global_\n{text}", encoding="utf-8")
    return folder.parent


@pytest.mark.parametrize("name", HYDRAS_NODES)
def test_files_of_other_folders_leave_hydras_nodes_alone(marker, tmp_path, name):
    folder = their_experiment(tmp_path, HYDRAS_NODES[name])
    choice = SWEEP if name in ("callback", "launcher by name") else ("experiment=theirs",)
    with pytest.raises(PermissionError, match=r"hydra\..* is set by a config file of another"):
        refuse_foreign_hydra_nodes(["--config-dir", str(folder), *choice], "train")


@pytest.mark.parametrize("choice", [SWEEP, ("experiment=theirs",)], ids=["sweep", "run"])
def test_commands_refuse_hydras_nodes_of_other_folders(marker, command, tmp_path, choice):
    from stm_experiments.train import main

    folder = their_experiment(tmp_path, HYDRAS_NODES["callback"])
    code, _, errors = command(main, "--config-dir", folder, *choice)
    assert code == 1
    assert "is set by a config file of another folder" in errors
    code, _, errors = command(main, f"hydra.searchpath=['file://{folder}']", *choice)
    assert code == 1
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("name", NAMES)
def test_experiments_of_other_folders_build_nothing(marker, tiny_config, name):
    """A file is merged as Hydra does it, and resolved as the command line's config is."""
    own = OmegaConf.masked_copy(tiny_config, [key for key in tiny_config if key != "hydra"])
    OmegaConf.set_struct(own, False)
    payload = payloads(marker)[name]
    for place in ("model.net", "trainer.devices", "extra"):
        theirs = dict(REFERRED)
        put(theirs, place, payload)
        try:
            resolved = resolve(OmegaConf.merge(own, OmegaConf.create(yaml.safe_dump(theirs))))
        except EXPECTED as error:
            result = one_sentence(error)
        else:
            assert isinstance(payload, str)
            result = str(resolved)
        assert SECRET not in result


@pytest.mark.parametrize("name", ["in a keyword", "environment"])
def test_commands_refuse_experiments_of_other_folders(marker, command, tmp_path, name):
    from stm_experiments.train import main

    text = yaml.safe_dump({"model": {"net": payloads(marker)[name]}})
    folder = their_experiment(tmp_path, text)
    code, _, errors = command(main, f"--config-dir={folder}", "experiment=theirs")
    assert code == 1
    assert SECRET not in errors


def test_an_experiment_of_ones_own_works_from_another_folder(
    command, tmp_path, tiny, monkeypatch, no_figures
):
    from stm_experiments.train import main

    monkeypatch.chdir(tmp_path)
    folder = their_experiment(tmp_path, "seed: 7\n")
    code, _, errors = command(
        main, "--config-dir", folder, "experiment=theirs", *tiny, "hydra.run.dir=run"
    )
    assert (code, errors.partition(":")[0]) == (0, "epoch 2 of 2")
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
        "+trainer.plugins=[x]", "+trainer.callbacks=[x]", "+trainer.fast_dev_run=true",
        "+logger.wandb.settings.base_url=http://127.0.0.1:1", "+logger.wandb.dir=/tmp",
    ],
)  # fmt: skip
def test_foreign_classes_take_listed_keywords_only(compose_config, override):
    with pytest.raises(PermissionError, match="is not allowed"):
        resolve(compose_config("logger=wandb", override))


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server on loopback that notes what it receives: its address, and the requests."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append((self.path, dict(self.headers)))
            self.send_error(500)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    server.server_close()


WANDB = {"_target_": "lightning.pytorch.loggers.WandbLogger", "save_dir": None, "project": "x"}


@pytest.mark.parametrize("offline", [None, False])
@pytest.mark.parametrize(
    "lines",
    [
        {"settings": {"base_url": "URL"}}, {"base_url": "URL"}, {"host": "URL"},
        {"settings": [{"base_url": "URL"}]}, {"experiment": {"base_url": "URL"}},
        {"settings": {"_target_": "wandb.Settings", "base_url": "URL"}},
        {"_args_": [{"base_url": "URL"}]}, {"dir": "URL"}, {"anonymous": "must"},
    ],
)  # fmt: skip
def test_no_key_leaves_by_a_strangers_logger(
    marker, saved, resume, server, tmp_path, offline, lines
):
    address, requests = server
    settings = json.loads(json.dumps(lines).replace("URL", address))
    saved["logger"] = WANDB | {"offline": offline} | settings
    with pytest.raises(PermissionError, match=r"logger\.\w+ is not allowed"):
        resume(stranger_folder(tmp_path, saved))
    assert requests == []


@pytest.mark.parametrize("folder", ["wandb", ".wandb"])
def test_no_key_leaves_by_wandbs_own_settings_in_a_strangers_folder(
    marker, saved, resume, server, monkeypatch, tmp_path, folder
):
    """W&B reads ``wandb/settings`` of the current folder, which names the server of the key."""
    address, requests = server
    saved["logger"] = WANDB | {"offline": False}
    run = stranger_folder(tmp_path, saved)
    (run / folder).mkdir()
    (run / folder / "settings").write_text(f"[default]\nproject = x\nbase_url = {address}\n")
    monkeypatch.chdir(run)
    with pytest.raises(PermissionError, match=f"{folder}/settings would set base_url of W&B"):
        resume(run)
    assert requests == []


@pytest.fixture
def scan(tmp_path):
    """A scan whose name is an interpolation, a command and markup."""
    rows, columns = np.mgrid[:64, :64]
    path = tmp_path / "scans" / f"${{oc.env:{NAME}}} $(touch marker) [red].npy"
    path.parent.mkdir()
    np.save(path, np.sin(rows) + np.sin(columns))
    return path


def model_file(tmp_path, **changes):
    """Write a model file that a stranger has changed: entries of its card."""
    from stm_experiments.models import CAEA, checkpoint
    from stm_experiments.models.interfaces import Card

    path = tmp_path / "stranger.ckpt"
    checkpoint.save(CAEA(), Card("CAEA", {}, 17), path)
    content = torch.load(path, weights_only=True)
    content["card"] |= changes
    torch.save(content, path)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_model_files_of_strangers_are_data(marker, tmp_path, name):
    from stm_experiments.models import checkpoint

    payload = payloads(marker)[name]
    for changes in ({"arguments": {"latent": payload}}, {"network": payload}, {"unknown": payload}):
        path = model_file(tmp_path, **changes)
        with pytest.raises(checkpoint.CheckpointError, match=r"stranger\.ckpt: "):
            checkpoint.load(path)
    changes = {"config": {"data": payload}, "lattice": [payload], "scores": {"x": payload}}
    assert checkpoint.load(model_file(tmp_path, **changes)).card.lattice == [payload]


@pytest.mark.parametrize("door", ["reconstruct", "find_lattice", "find_sites", "evaluate"])
def test_doors_take_a_strangers_model_and_names_as_data(
    marker, command, tmp_path, scan, door, monkeypatch
):
    recipe = import_module(f"stm_experiments.recipes.{door}")
    monkeypatch.setattr(recipe, "save_figure", lambda *_: [".png"])
    main = import_module(f"stm_experiments.{door}").main
    image = [] if door == "evaluate" else [f"image={scan}"]
    options = {"find_lattice": ["denoise=true"]}.get(door, [])
    bad = model_file(tmp_path, arguments={"latent": payloads(marker)["system"]})
    code, _, errors = command(main, f"checkpoint={bad}", *image, *options, "hydra.run.dir=bad")
    assert (code, errors.count("\n")) == (1, 1)
    assert str(bad) in errors
    everything = [*payloads(marker).values()]
    card = {"config": {"data": {"width": everything}, "x": everything}, "lattice": [*texts()]}
    data = ["data.size=64", "data.test_images=2", "baselines=[]"] if door == "evaluate" else []
    model = model_file(tmp_path, **card)
    code, out, errors = command(
        main, f"checkpoint={model}", *image, *options, *data, "hydra.run.dir=good"
    )
    assert SECRET not in out + errors
    assert code == (door == "find_sites"), errors  # which needs another kind of model
    if door == "reconstruct":
        assert (tmp_path / "good" / f"{scan.stem}_reconstructed.npy").is_file()


def test_a_report_shows_a_strangers_run_as_text(marker, saved, command, tmp_path):
    from stm_experiments.report import main

    everything = [*texts().values(), "<script>alert(1)</script>"]
    put(saved, "extra", payloads(marker))
    (tmp_path / "runs").mkdir()
    folder = stranger_folder(tmp_path / "runs", saved | REFERRED)
    about = {"status": "finished", "overrides": everything, "experiment": everything[0]}
    (folder / "run.json").write_text(json.dumps(about), encoding="utf-8")
    metrics = {"test/mse_noisy": 0.1, **dict.fromkeys(everything, 0.1)}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    code, _, errors = command(main, f"runs={folder.parent}")
    assert (code, SECRET in errors) == (0, False), errors
    page = (folder.parent / "report" / "index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
