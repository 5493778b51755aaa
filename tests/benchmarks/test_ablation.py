"""The ablation of the rules around the shipped networks, at a size that takes seconds."""

from dataclasses import asdict

import pytest
import torch

from stm_experiments import load
from stm_experiments.benchmarks import ablation
from stm_experiments.benchmarks.ablation import (
    AS_IT_IS,
    RememberedDestripe,
    difference_table,
    variants,
)
from stm_experiments.restoration.stripe_repair import StripeRepair, StripeRules
from stm_experiments.restoration.waves.wave_report import ReportRules


@pytest.mark.parametrize("rules", [StripeRules(), ReportRules()])
def test_each_variant_changes_one_constant(rules):
    everything = variants(rules)
    assert everything.pop(AS_IT_IS) == rules
    assert len(everything) >= 2 * len(asdict(rules))
    for name, variant in everything.items():
        changed = [key for key, value in asdict(variant).items() if value != asdict(rules)[key]]
        assert changed == [name.split()[0]]


def test_remembering_changes_nothing():
    torch.manual_seed(0)
    image = torch.rand(1, 1, 96, 96)
    image[:, :, 40:44] = 3 * torch.rand(4, 96)
    net = load("destripe")
    remembered = RememberedDestripe(net)
    with torch.inference_mode():
        for _ in range(2):
            assert torch.equal(StripeRepair(remembered)(image), StripeRepair(net)(image))


def test_differences_are_paired():
    scores = {
        AS_IT_IS: [{"PSNR": 20.0}, {"PSNR": 30.0}, {"other": 1.0}],
        "a off": [{"PSNR": 19.0}, {"PSNR": 29.1}, {"other": 1.0}],
    }
    table = difference_table("title", scores)
    columns = [list(column.cells) for column in table.columns]
    assert columns[0] == [AS_IT_IS, "a off"]
    assert columns[1] == ["25 (n = 2)", "-0.95 ± 0.64*"]
    assert columns[2][1] == "0"


def test_one_command_prints_the_tables(command, monkeypatch):
    monkeypatch.setattr(ablation, "MATERIALS", ("fcc",))
    monkeypatch.setattr(ablation, "WIDTHS", (4,))
    monkeypatch.setattr(ablation, "STRIPE_SIZE", 64)
    monkeypatch.setattr(ablation, "WAVE_SIZE", 128)
    monkeypatch.setattr(ablation, "MIXED_SIZE", 64)
    monkeypatch.setattr(ablation, "MIXED", ablation.MIXED[:1] + ablation.MIXED[-1:])
    monkeypatch.setattr(ablation, "CUT_LATTICES", ("fcc",))
    monkeypatch.setattr(ablation.waves, "MATERIALS", ["tise2"])
    few = (AS_IT_IS, "longest 24 -> 12", "periods off", "caution off")
    monkeypatch.setattr(
        ablation,
        "variants",
        lambda rules: {name: rule for name, rule in variants(rules).items() if name in few},
    )
    code, out, err = command(ablation.main, "--images", 1)
    assert code == 0, err
    for text in ("PSNR clean", "changed lost", "longest 24 -> 12", "second look off"):
        assert text in out
    for text in ("right striation", "right sample", "right none", "periods off"):
        assert text in out
    for text in ("gain lattice", "maxima", "caution off"):
        assert text in out
    code, _, err = command(ablation.main, "--images", 0)
    assert code == 1
    assert "at least 1" in err
