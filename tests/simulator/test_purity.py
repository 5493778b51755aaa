"""An image depends on its own seed and on nothing else of the batch."""

import pytest
import torch

from stm_experiments.simulator import CUT_LATTICES, NOISES, PRESETS, simulate

LIST = list(CUT_LATTICES.values())


@pytest.mark.parametrize("domains", [1, 2])
@pytest.mark.parametrize("noise", ["none", "paper"])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_image_does_not_depend_on_the_batch(preset, noise, domains):
    def images(numbers):
        return simulate(
            [LIST[i % 5] for i in numbers], [100 + i for i in numbers], NOISES[noise],
            PRESETS[preset], size=97, domains=domains,
        )  # fmt: skip

    everything = images(range(32))
    for numbers in ([7], [31, 2, 7, 12, 0, 1, 22], [17, 12]):
        part = images(numbers)
        for field in ("noisy", "clean", "lattice", "orientation", "offset", "domain"):
            ours, whole = getattr(part, field), getattr(everything, field)
            assert (ours is None and whole is None) or torch.equal(ours, whole[numbers]), field
        longest = part.atoms.u.shape[1]
        for ours, whole in zip(part.atoms, everything.atoms, strict=True):
            assert torch.equal(ours, whole[numbers][:, :longest])
    assert not torch.equal(everything.noisy[0], everything.noisy[5])


def test_full_size_image_does_not_depend_on_the_batch():
    sc, fcc = CUT_LATTICES["sc"], CUT_LATTICES["fcc"]
    for preset in (PRESETS["physical"], PRESETS["published"]):
        many = simulate([sc] * 5 + [fcc] * 5, range(10), NOISES["paper"], preset)
        for i, lattice in ((3, sc), (8, fcc)):
            alone = simulate([lattice], [i], NOISES["paper"], preset)
            assert torch.equal(alone.noisy[0], many.noisy[i])
            assert torch.equal(alone.clean[0], many.clean[i])


def test_options_do_not_change_what_is_drawn():
    """The same seed gives the same orientation, offset and atoms whatever is switched on."""
    sc, physical = CUT_LATTICES["sc"], PRESETS["physical"]
    plain = simulate([sc], [5], NOISES["none"], physical, size=64)
    noisy = simulate([sc], [5], NOISES["paper"], physical, size=64)
    given = simulate(
        [sc], [5], NOISES["none"], physical, size=64, orientation=plain.orientation.clone()
    )
    assert torch.equal(plain.orientation, noisy.orientation)
    assert torch.equal(plain.offset, noisy.offset)
    assert torch.equal(plain.clean, given.clean)
    assert torch.equal(plain.noisy, plain.clean)


def test_global_random_state_is_neither_used_nor_changed():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = simulate([LIST[0]], [3], NOISES["paper"], PRESETS["physical"], size=32)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = simulate([LIST[0]], [3], NOISES["paper"], PRESETS["physical"], size=32)
    assert torch.equal(first.noisy, second.noisy)


def test_orientations_of_consecutive_seeds_are_uniform_and_independent():
    batch = simulate([LIST[0]] * 512, range(512), NOISES["none"], PRESETS["physical"], size=16)
    draws = torch.cat((batch.orientation, batch.offset), 1)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert ((draws.mean(0) - 0.5).abs() < 5 * (1 / 12 / 512) ** 0.5).all()
    correlation = torch.corrcoef(torch.cat((draws[:-1].T, draws[1:].T)))
    assert (correlation - torch.eye(12)).abs().max() < 5 / 512**0.5


def test_one_lattice_stands_for_all_images():
    one, each = simulate("fcc", [0, 1], size=32), simulate(["fcc", "fcc"], [0, 1], size=32)
    assert torch.equal(one.noisy, each.noisy)
    with pytest.raises(ValueError, match="unknown lattice 'fc': choose"):
        simulate("fc", [0], size=32)
