"""The stripe remover as users meet it: shipped weights, command line, benchmark."""

import csv
import math
import sys

import numpy as np
import pytest
import torch

from stm_experiments import load, reconstruct
from stm_experiments.benchmarks.destripe import __main__ as destripe
from stm_experiments.benchmarks.destripe import images as striped
from stm_experiments.models import checkpoint
from stm_experiments.restoration.denoise import denoise
from stm_experiments.restoration.whole_network import whole_image_network


def image_of(kind="clean", lattice="hex2", width=4, size=129):
    return striped.striped_image(lattice, 0, striped.KINDS[kind].noise(width), size)


@pytest.mark.parametrize("lattice", ["hex2", "tise2"])
def test_shipped_weights_find_lost_lines_and_leave_the_rest(lattice):
    image = image_of(lattice=lattice)
    net = whole_image_network(load("destripe"))
    with torch.inference_mode():
        repair = net.repair(image.noisy[None, None])
    found = repair.repaired[0, 0] | repair.unrepaired[0, 0]
    assert found[image.stripes].float().mean() > 0.99
    assert found[~image.stripes].float().mean() < 0.02
    output = repair.output[0, 0]
    assert torch.equal(output[~found], image.noisy[~found])
    gain = striped.psnr_within(output, image.clean) - striped.psnr_within(image.noisy, image.clean)
    assert gain > 10


def test_a_clean_image_stays_as_it_is():
    clean = image_of().clean
    after = whole_image_network(load("destripe"))(clean[None, None])[0, 0]
    assert (after != clean).float().mean() < 0.01


def test_severe_damage_is_left_and_flagged():
    torch.manual_seed(0)
    image = image_of().clean.clone()
    image[40:100] = 2 * torch.rand(60, 129) - 1
    scan = denoise(1e-9 * image.numpy(), "destripe", uncertainty=True)
    middle = slice(45, 95)
    np.testing.assert_allclose(scan.data[middle], 1e-9 * image[middle].numpy(), atol=1e-14)
    rest = np.r_[0:38, 102:129]
    assert np.median(scan.uncertainty[rest]) == 0
    assert np.median(scan.uncertainty[middle]) > 0.3e-9
    assert any("uncertainty by the network" in line for line in scan.history)


def test_reconstruct_on_the_command_line(tmp_path, monkeypatch, capsys):
    image = image_of()
    np.save(tmp_path / "striped.npy", image.noisy.numpy())
    folder = tmp_path / "out"
    monkeypatch.setattr(
        sys, "argv",
        ["reconstruct", "checkpoint=destripe", f"image={tmp_path / 'striped.npy'}",
         "uncertainty=true", f"hydra.run.dir={folder}"],
    )  # fmt: skip
    reconstruct.main()
    after = np.load(folder / "striped_reconstructed.npy")
    assert after.shape == image.noisy.shape
    before, after = (torch.from_numpy(np.asarray(x)).float() for x in (image.noisy, after))
    assert striped.psnr_within(after, image.clean) > 10 + striped.psnr_within(before, image.clean)
    assert (folder / "striped_reconstructed.png").is_file()
    assert np.load(folder / "striped_reconstructed_uncertainty.npy").max() > 0


def test_the_images_are_what_they_say():
    image = image_of("clean", width=8)
    assert torch.equal(image.noisy[~image.stripes], image.clean[~image.stripes])
    assert torch.equal(image.stripes.any(1), image.stripes.all(1))
    assert (image.clean.min(), image.clean.max()) == (-1, 1)
    noisy = image_of("lost", lattice="fcc", width=2)
    assert not noisy.stripes.all(1).any()
    low, high = np.quantile(noisy.clean, (0.05, 0.95))
    white = (noisy.noisy - noisy.clean)[~noisy.stripes].std()
    assert white == pytest.approx(0.05 * (high - low), rel=0.15)
    waves = image_of("lost", lattice="zrte3").waves
    assert waves.shape == (1, 2)
    assert 1 / waves.norm() > 50  # px: 14 lattice constants


def test_decibels_and_waves():
    image = image_of("lost", lattice="tise2")
    assert striped.psnr_within(image.clean, image.clean) == 100
    assert striped.psnr_within(image.clean + 0.2, image.clean) == pytest.approx(20, abs=1e-3)
    assert striped.satellite_fidelity(image.clean, image) == pytest.approx(1)
    assert striped.satellite_fidelity(0.9 * image.clean, image) == pytest.approx(0.9)


def test_benchmark_writes_its_tables_and_pictures(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "out"
    torch.manual_seed(0)
    from stm_experiments.models import Destripe

    card = checkpoint.Card("Destripe", {"width": 4, "finder_width": 4}, None, "plane", ["fcc"])
    checkpoint.save(Destripe(4, 4), card, tmp_path / "tiny.ckpt")
    # The shipped denoiser alone, without the filters that are mixed with it.
    monkeypatch.setattr(striped, "whole_image_network", lambda net: net)
    monkeypatch.setattr(striped, "WIDTHS", (2,))
    monkeypatch.setattr(destripe, "WIDTHS", (2,))
    monkeypatch.setattr("stm_experiments.benchmarks.destripe.figures.WIDTHS", (2,))
    monkeypatch.setattr("stm_experiments.benchmarks.destripe.unstriped.SURFACES", ("islands",))
    monkeypatch.setattr("stm_experiments.benchmarks.destripe.unstriped.NOISES", ("rows",))
    monkeypatch.setattr(
        sys, "argv",
        ["destripe", "--models", str(tmp_path / "tiny.ckpt"), "--lattices", "fcc", "hex2",
         "--size", "96", "--out", str(folder)],
    )  # fmt: skip
    destripe.main()
    printed = capsys.readouterr().out
    assert "trained on: fcc; never seen: hex2" in printed
    with (folder / "lost.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 5  # groups, with and without the denoiser, methods
    assert all(math.isfinite(float(row["2 px"])) for row in rows)
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.{ending}" for name in ("lost", "lifted", "clean") for ending in ("csv", "png")),
        "waves.csv", "unstriped.csv", "severity.csv", "examples.png",
    }  # fmt: skip


def test_benchmark_refuses_nonsense_in_a_sentence(monkeypatch, capsys):
    for wrong, sentence in (
        (["--lattices", "gold"], "gold"),
        (["--images", "0"], "at least 1"),
        (["--models", "nothing"], "nothing"),
    ):
        monkeypatch.setattr(sys, "argv", ["destripe", *wrong])
        with pytest.raises(SystemExit):
            destripe.main()
        assert sentence in capsys.readouterr().err
