"""The tables of benchmarks.context, from runs that are made up."""

import json
import sys

import pytest
import torch

from stm_experiments.benchmarks.context import __main__ as context
from stm_experiments.benchmarks.context import descriptions, noises, seeds
from stm_experiments.models import ContextCode
from stm_experiments.simulator import NOISES


def test_every_network_has_a_row_with_an_interval(monkeypatch, tmp_path, capsys):
    commands = []

    def pretend(module, *overrides):
        commands.append(overrides)
        folder = tmp_path / overrides[-1].partition("=")[2]
        folder.mkdir(parents=True)
        seed = int(folder.name[-1])
        heads = ("test/latent", "PCA-10/test/latent", "untrained/test/latent")
        numbers = {f"{head}/probe": 0.9 + 0.01 * seed - 0.2 * i for i, head in enumerate(heads)}
        (folder / "metrics.json").write_text(
            json.dumps({**{key.replace("probe", "knn"): 0.5 for key in numbers}, **numbers})
        )

    monkeypatch.setattr(seeds, "run_command", pretend)
    arguments = ["context", "table", "--seeds", "2", "--alike", "--folder", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", arguments)
    context.main()
    printed = capsys.readouterr().out
    assert "0.905 ± 0.064" in printed  # of each network
    assert "0.705 ± 0.064" in printed  # of PCA-10
    assert len(commands) == 2 * len(seeds.NETWORKS)
    assert all("data.zoom=[0.69,1.46]" in command for command in commands)
    described = [c for c in commands if "model.net.description=autocorrelation" in c]
    assert len(described) == 2  # of context_code alone
    context.main()
    assert len(commands) == 2 * len(seeds.NETWORKS)  # finished runs are not made again


def test_settings_of_the_rows_compose(compose_config, tmp_path):
    from stm_experiments.app import build
    from stm_experiments.app.settings import resolve

    for network, settings in seeds.NETWORKS.items():
        for study in (seeds.Study(None), seeds.Study(None, images=tmp_path)):
            overrides = (*study.settings, f"model={network}", *settings)
            config = resolve(compose_config(*overrides))
            model = build.build_model(config)
            if study.images:  # the settings are those of the source: it looks for its images
                with pytest.raises(ValueError, match=r"no folder for|none of the folders"):
                    build.build_data(config, 17)
            assert model.net.encode(torch.zeros(2, 1, 17, 17)).shape == (2, 10)


def test_a_scaled_noise_and_its_codes(monkeypatch):
    monkeypatch.setattr(noises, "IMAGES", 5)
    monkeypatch.setattr(noises, "PER_IMAGE", 4)
    twice = noises.scaled(NOISES["paper"], 2)
    assert twice.detector.gaussian == 2 * NOISES["paper"].detector.gaussian
    codes = noises.codes_of(ContextCode(width=16).eval(), twice, "physical", 0)
    assert codes.codes.shape == (20, 10)
    assert codes.lattice.unique().numel() == 5


def test_descriptions_tell_lattices_that_an_image_shows(monkeypatch):
    monkeypatch.setattr(descriptions, "IMAGES", {"train": 12, "test": 6})
    known, label = descriptions.described("train", alike=False)
    asked, truth = descriptions.described("test", alike=False)
    for name in known:
        assert descriptions.probe(known[name], label, asked[name], truth) > 0.7
    alike, _ = descriptions.described("test", alike=True)
    assert not torch.equal(alike["radial_spectrum"], asked["radial_spectrum"])


def test_a_wrong_word_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["context", "colours"])
    with pytest.raises(SystemExit):
        context.main()
