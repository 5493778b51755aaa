"""Simulated images as training data: their scale, their labels, what is refused."""

from dataclasses import fields

import pytest
import torch

from stm_experiments.core.seeds import seed_of
from stm_experiments.data import PatchSettings, SimulatedData
from stm_experiments.data.module import PatchData
from stm_experiments.simulator import (
    LATTICES,
    NOISES,
    PRESETS,
    DetectorNoise,
    Noise,
    SampleNoise,
    simulate,
)

LIMITS = {
    name: {"spread": x.spread, "azimuth_max": x.azimuth_max, "tilt_max": x.tilt_max}
    for name, x in LATTICES.items()
}
ALL_PATCHES = {field.name for field in fields(PatchSettings)}
IMAGES = {"size": 64, "images_per_epoch": 6, "validation_images": 2, "test_images": 2}
PATCHES = {"window": 17, "batch_size": 32, "patches_per_image": 8, "num_workers": 0}


def data(lattices=("fcc",), noise=NOISES["paper"], limits=LIMITS, **settings):
    patches = {name: settings.pop(name) for name in ALL_PATCHES & settings.keys()}
    chosen = {name: limits[name] for name in lattices}
    source = SimulatedData(lattices=chosen, noise=noise, **{**IMAGES, **settings})
    return PatchData(source, PatchSettings(**{**PATCHES, **patches}))


def test_noisy_images_span_minus_one_to_one():
    for split, source in data(["sc", "hex1"]).sources.items():
        noisy = source(0, 0, 2).noisy
        assert noisy.dtype == torch.float32
        assert torch.allclose(noisy.amin((1, 2, 3)), torch.tensor(-1.0), atol=1e-6), split
        assert torch.allclose(noisy.amax((1, 2, 3)), torch.tensor(1.0), atol=1e-6), split


def test_clean_images_are_in_the_noisy_ones_scale():
    noise = Noise(sample=SampleNoise(0.2 / 15, 0.045), detector=DetectorNoise(0.3, 3.5))
    images = data(noise=noise, size=128).sources["train"](2, 0, 6)
    raw = simulate(
        [LATTICES["fcc"]] * 6,
        [seed_of(0, "train", 2, index, "image") for index in range(6)],
        noise,
        PRESETS["physical"],
        128,
    )
    scale = 2 / (raw.noisy.amax((1, 2, 3)) - raw.noisy.amin((1, 2, 3)))
    gaussian = (0.3 / 8 * raw.clean.amax((1, 2, 3))) ** 2
    shot = (0.025 * 3.5) ** 2 * raw.clean.mean((1, 2, 3))
    expected = scale**2 * (gaussian + shot)
    difference = images.noisy - images.clean
    # The error of a variance of 128^2 pixels is 1 %, that of their mean 1/128 of the deviation.
    torch.testing.assert_close(difference.var((1, 2, 3)), expected, rtol=0.05, atol=0)
    assert (difference.mean((1, 2, 3)).abs() < 5 / 128 * expected.sqrt()).all()
    for noisy, clean in zip(images.noisy, images.clean, strict=True):
        covariance = torch.cov(torch.stack([clean.flatten(), noisy.flatten()]))
        assert covariance[0, 1] / covariance[0, 0] == pytest.approx(1, abs=0.02)


def test_without_noise_noisy_is_clean():
    images = data(noise=NOISES["none"]).sources["train"](0, 0, 6)
    assert torch.equal(images.noisy, images.clean)


def test_mixtures_take_the_lattices_in_turn():
    mixture = data(["fcc", "sc", "hex2"])
    names = list(LATTICES)
    images = mixture.sources["train"](0, 0, 6)
    assert [names[label] for label in images.lattice] == ["fcc", "sc", "hex2"] * 2
    for batch in mixture.loader("train"):
        assert torch.equal(batch.lattice, images.lattice[batch.image])


def test_an_image_shows_the_lattice_that_its_label_names():
    images = data(["sc", "fcc"], NOISES["none"], size=128).sources["train"](0, 0, 2)
    for number, name in enumerate(["sc", "fcc"]):
        alone = simulate(
            [LATTICES[name]],
            [seed_of(0, "train", 0, number, "image")],
            NOISES["none"],
            PRESETS["physical"],
            128,
        )
        clean = alone.clean[0, 0].flatten(), images.clean[number, 0].flatten()
        assert torch.corrcoef(torch.stack(clean))[0, 1] > 0.9999


def test_a_spread_from_the_config_is_used():
    wide = data(["sc"], NOISES["none"], limits={"sc": {**LIMITS["sc"], "spread": 20.0}})
    assert wide.sources["train"].lattices[0].spread == 20.0
    assert not torch.equal(
        wide.sources["train"](0, 0, 1).clean,
        data(["sc"], NOISES["none"]).sources["train"](0, 0, 1).clean,
    )


def test_two_domains_are_simulated():
    one, two = (data(domains=domains, size=128).sources["train"](0, 0, 2) for domains in (1, 2))
    assert not torch.equal(one.clean, two.clean)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 16}, "data.size=16 px is smaller than the network's 17 px patch"),
        ({"size": -5}, "data.size must be a whole number of at least 1, got -5"),
        ({"images_per_epoch": 0}, "data.images_per_epoch must be"),
        ({"validation_images": 0}, "data.validation_images must be"),
        ({"test_images": 1.5}, "data.test_images must be"),
        ({"patches_per_image": 0}, "data.patches_per_image must be"),
        ({"batch_size": -1}, "data.batch_size must be"),
        ({"batch_size": True}, "data.batch_size must be"),
        ({"stride": 0}, "data.stride must be"),
        ({"num_workers": -1}, "data.num_workers must be a whole number of at least 0"),
        ({"sampling": "hexagonal"}, "data.sampling is 'random' or 'grid', not 'hexagonal'"),
        ({"preset": "metaphysical"}, "data.preset is one of physical, published, released"),
        ({"domains": 3}, "data.domains is 1 or 2, not 3"),
        ({"lattices": ()}, "choose at least one lattice"),
    ],
)
def test_what_makes_no_sense_is_refused_by_the_name_of_its_key(settings, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        data(**settings)


def test_an_unknown_lattice_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'bct' is not known; there are sc, bcc"):
        data(["bct"], limits={"bct": LIMITS["sc"]})


def test_the_published_counts_replace_those_that_are_null():
    counts = {"images_per_epoch": None, "validation_images": None, "test_images": None}
    sources = data(["fcc", "hex1"], fraction=0.5, **counts).sources
    assert {split: source.count for split, source in sources.items()} == {
        "train": 34 + 26, "validation": 4 + 3, "test": 4 + 4,
    }  # fmt: skip
    names = [lattice.name for lattice in sources["train"].lattices]
    assert names == ["fcc"] * 34 + ["hex1"] * 26
