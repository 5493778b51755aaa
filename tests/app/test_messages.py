"""Mistakes of users: one sentence and exit code 1."""

import importlib

import pytest
from hydra.errors import InstantiationException
from test_imports import DOORS

from stm_experiments.app.messages import one_sentence
from stm_experiments.train import main

MISTAKES = [
    (["lattice=fccc"], ["fccc", "lattice", "did you mean 'fcc'?", "choose from all, bcc"]),
    (["latice=fcc"], ["there is no key 'latice' (did you mean 'lattice'?)"]),
    (["xperiment=denoise"], ["there is no key 'xperiment' (did you mean 'experiment'?)"]),
    (["data.sise=64"], ["there is no key 'data.sise' (did you mean 'data.size'?)"]),
    (["+data.sise=64"], [" has no setting named 'sise'"]),
    (["model.net.latents=4"], ["did you mean 'model.net.latent'?"]),
    (["xyz=4"], ["there is no key 'xyz': --help lists all"]),
    (["seed"], ["'seed' sets nothing: write key=value, without blanks around ="]),
    (["/a/b/scan.sxm"], ["'/a/b/scan.sxm' sets nothing: write key=value; --help lists the keys"]),
    (["a b"], ["a b is not understood: put a value with special characters in quotes"]),
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
    (
        ["data=images", "data.root=no/such (folder), x=y"],
        ["data.root: there is no folder", "no/such (folder), x=y"],
    ),
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
    assert one_sentence(ZeroDivisionError("x\n  y.")) == "unexpected ZeroDivisionError: x y"
    assert one_sentence(ValueError("a\n b.")) == "a b"
    wrapped = InstantiationException("Error in call to target 'x': ...")
    wrapped.__cause__ = ValueError("the cause.")
    assert one_sentence(wrapped) == "the cause"


@pytest.mark.parametrize(
    "door", [name for name in DOORS if name not in ("report", "about", "view")]
)
def test_a_misspelt_key_is_recognised_at_every_door(door, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main = importlib.import_module(f"stm_experiments.{door}").main
    keys = {"train": "sead", "simulate": "sead", "evaluate": "checkpoind", "export": "checkpoind"}
    key = keys.get(door, "imge")
    code, _, errors = command(main, f"{key}=a.npy")
    assert code == 1
    assert f"there is no key '{key}' (did you mean '" in errors
    assert errors.count("\n") == 1
