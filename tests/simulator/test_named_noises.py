"""Named noises: read from conf/noise, usable by their names."""

from dataclasses import fields

import pytest
import torch
import yaml

from stm_experiments.core.config_files import config_dir
from stm_experiments.simulator import LATTICES, NOISES, PRESETS, Noise, simulate
from stm_experiments.simulator.noise import read_noise

FOLDER = config_dir() / "noise"


def test_all_files_of_the_folder_are_noises():
    assert set(NOISES) == {path.stem for path in FOLDER.glob("*.yaml")}
    assert NOISES["none"] == Noise()


def test_the_file_of_no_noise_lists_every_strength_in_order():
    sections = yaml.safe_load((FOLDER / "none.yaml").read_text(encoding="utf-8"))
    names = [name for name in sections if not name.startswith("_")]
    assert names == [field.name for field in fields(Noise)]
    for name in names:
        strengths = [key for key in sections[name] if not key.startswith("_")]
        assert strengths == [field.name for field in fields(getattr(NOISES["none"], name))]


def test_a_file_changes_the_strengths_of_those_before_it(tmp_path):
    (tmp_path / "first.yaml").write_text("scan: {hum: 0.1, tilt: 2.0}\ntip: {blur: [0.0, 1.0]}\n")
    (tmp_path / "second.yaml").write_text("defaults: [first]\nscan: {hum: 0.3}\n")
    noise = read_noise(tmp_path / "second.yaml")
    assert (noise.scan.hum, noise.scan.tilt, noise.tip.blur) == (0.3, 2.0, (0.0, 1.0))
    (tmp_path / "wrong.yaml").write_text("scan: {humm: 0.3}\n")
    with pytest.raises(TypeError, match="humm"):
        read_noise(tmp_path / "wrong.yaml")


def test_names_stand_for_lattices_noises_and_presets():
    named = simulate(["sc", "hex1"], [1, 2], "paper", "published", 64)
    chosen = simulate([LATTICES["sc"], LATTICES["hex1"]], [1, 2], NOISES["paper"],
                      PRESETS["published"], 64)  # fmt: skip
    assert torch.equal(named.noisy, chosen.noisy)
    for arguments, message in (
        ((["nacl"], [1]), "unknown lattice 'nacl': choose one of sc, bcc"),
        ((["sc"], [1], "loud"), "unknown noise 'loud': choose one of .*paper"),
        ((["sc"], [1], "paper", "old"), "unknown preset 'old': choose one of physical"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate(*arguments)


def test_effects_that_are_off_draw_nothing():
    topographs = simulate(["sc"], [1], size=64, backward=True)
    assert set(topographs.truth) == {"corrugation"}
    assert torch.equal(topographs.noisy, topographs.clean)
    assert torch.equal(topographs.backward, topographs.clean)
