"""Configs and whole training runs inside the test process, at sizes that take a second."""

import copy
import gc
import logging
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from hydra._internal.config_repository import ConfigRepository

from stm_experiments.core.config_files import config_dir

# Together these make a run of two epochs in about a second.
TINY = (
    "data.size=64",
    "data.images_per_epoch=4",
    "data.validation_images=2",
    "data.test_images=3",
    "data.patches_per_image=16",
    "data.batch_size=24",
    "data.num_workers=0",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "baselines=[4]",
)


def pytest_collection():
    """Collect no garbage while the tests are imported; see ``app.launching.imported``."""
    gc.disable()


def pytest_collection_finish():
    """Leave what was imported out of all later collections."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def files_of_configs_are_parsed_once():
    """Let Hydra parse each of the package's config files once, and not for each config."""
    parse, parsed = ConfigRepository.load_config, {}

    def load(repository, config_path):
        places = [source.full_path() for source in repository.get_sources()]
        if {place for place in places if place.startswith("file:")} != {f"file://{config_dir()}"}:
            return parse(repository, config_path)
        if parsed.get(config_path) is None:
            parsed[config_path] = parse(repository, config_path)
        return copy.deepcopy(parsed[config_path])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigRepository, "load_config", load)
        yield


@pytest.fixture(autouse=True)
def keep_the_process(monkeypatch):
    """Equal draws in every test; undo that a run seeds, sets variables and logs to its folder."""
    for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, "1")
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def shared():
    """The papers' published data, which users do not have."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the published data in {folder}")
    return folder


@pytest.fixture(scope="session")
def tiny():
    """Overrides of the smallest sensible run on simulated images."""
    return TINY


@pytest.fixture
def compose_config():
    """Return a function: compose a config, with Hydra's own part set up for ``output_dir``."""
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf, open_dict

    from stm_experiments.app import job  # noqa: F401 - registers the resolvers

    def composed(*overrides, name="train", output_dir="outputs"):
        with initialize_config_dir(str(config_dir()), version_base="1.3", job_name=name):
            config = compose(name, overrides=list(overrides), return_hydra_config=True)
        with open_dict(config):
            config.hydra.runtime.output_dir = str(output_dir)
            HydraConfig.instance().set_config(config)
            OmegaConf.set_readonly(config.hydra, None)
            del config["hydra"]
        return config

    yield composed
    HydraConfig.instance().cfg = None


@pytest.fixture
def train_in(compose_config):
    """Return a function: a tiny run in a folder, as ``python train.py`` would do it."""
    from stm_experiments.recipes.train import train

    def run(folder, *overrides):
        folder.mkdir(parents=True, exist_ok=True)
        return train(compose_config(*TINY, *overrides, output_dir=folder))

    return run


@pytest.fixture
def no_figures(monkeypatch):
    """Leave the drawing out of runs whose numbers are compared: it is half of their time."""
    from stm_experiments.evaluation import assess

    monkeypatch.setattr(assess, "run_figures", lambda *_: {})
    monkeypatch.setattr(assess, "montage", lambda *_: None)
    monkeypatch.setattr(assess, "save_figure", lambda *_: None)


@pytest.fixture
def svg_words():
    """Return a function: the texts of an SVG picture, line breaks as spaces."""

    def read(path):
        texts = ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
        return " ".join(" ".join("".join(text.itertext()) for text in texts).split())

    return read


@pytest.fixture
def command(monkeypatch, capfd):
    """Return a function: what a command line does in this process: exit code, output, errors."""

    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code
        return code, *capfd.readouterr()

    return run
