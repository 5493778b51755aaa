import pytest

from stm_experiments.app import build
from stm_experiments.app.settings import resolve, scale_down
from stm_experiments.data.settings import part_of


def test_scale_shrinks_epochs_images_and_schedules_but_not_patches(compose_config):
    config = resolve(compose_config("experiment=paper_lr_decay", "scale=0.1", "patience=20"))
    scaled = scale_down(config)
    assert scaled["trainer"]["max_epochs"] == 10
    assert scaled["model"]["scheduler"]["step_size"] == 3
    assert scaled["patience"] == 2
    assert scaled["data"]["fraction"] == pytest.approx(0.1)
    assert scaled["data"]["patches_per_image"] == config["data"]["patches_per_image"] == 3000
    assert config["trainer"]["max_epochs"] == 100  # the given config is left alone
    data = build.build_data(scaled, 17)
    assert [data.sources[split].count for split in data.sources] == [7, 1, 1]  # of 67, 7, 7


def test_the_twin_of_the_published_data_has_its_counts(compose_config):
    config = resolve(compose_config("data=simulated_published", "lattice=[sc,fcc]"))
    train = build.build_data(config, 17).sources["train"]
    assert [lattice.name for lattice in train.lattices] == ["sc"] * 52 + ["fcc"] * 67


@pytest.mark.parametrize("scale", [0, -1, 2, "big"])
def test_a_senseless_scale_is_refused(compose_config, scale):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        scale_down({**resolve(compose_config()), "scale": scale})
    if isinstance(scale, int):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            part_of(10, scale)


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("lower_lr", {("model", "optimizer", "lr"): 1e-4}),
        ("small_batch", {("data", "batch_size"): 256}),
        ("large_batch", {("data", "batch_size"): 2048, ("model", "optimizer", "lr"): 2e-3}),
        ("more_patches", {("data", "patches_per_image"): 4900}),
        ("extended_training", {("trainer", "max_epochs"): 200}),
    ],
)
def test_a_paper_configuration_is_the_baseline_but_for_its_name(compose_config, name, differs):
    def flat(node, keys=()):
        if isinstance(node, dict):
            return {k: v for key in node for k, v in flat(node[key], (*keys, key)).items()}
        return {keys: node}

    baseline, other = (
        flat(resolve(compose_config(f"experiment=paper_{which}"))) for which in ("baseline", name)
    )
    assert {key: value for key, value in other.items() if baseline.get(key) != value} == differs
    assert baseline[("model", "optimizer", "lr")] == 1e-3
    assert baseline[("model", "scheduler")] is None
