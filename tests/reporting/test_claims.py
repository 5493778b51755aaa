import math
from pathlib import Path

import pytest

from stm_experiments.reporting.averages import group_by_seed
from stm_experiments.reporting.paper import published
from stm_experiments.reporting.paper.claims import HELD, NOT_HELD, OPEN, paper_claims
from stm_experiments.reporting.paper.comparisons import (
    Experiments,
    Loss,
    curve_roughness,
    epochs_to,
    is_below,
)
from stm_experiments.reporting.runs import Run


def make_run(lattice, name, loss, seed=0, curve=None, scale=1.0, **metrics):
    settings = published.CONFIGURATIONS[name]
    config = {
        "lattice": {lattice: {}},
        "model": {
            "net": {"_target_": "stm_experiments.models.CAEA"},
            "optimizer": {"lr": settings.rate},
        },
        "trainer": {"max_epochs": max(1, round(settings.epochs * scale))},
        "seed": seed,
        "data": {"seed": seed},
        "scale": scale,
    }
    scores = {
        "val/loss": loss,
        "val/best_loss": loss,
        "train/loss": loss / 1.05,
        "test/mse_noisy": loss,
        "test/mse_noisy_ci95": 0.0002,
        **{f"test/{key}": value for key, value in metrics.items()},
    }
    curve = curve or [(e, loss * (1 + 2 / e)) for e in range(1, settings.epochs + 1)]
    about = {"status": "finished", "overrides": [f"experiment=paper_{name}"]}
    curves = {"val/loss": curve, "train/loss": curve}
    return Run(Path(f"{lattice}_{name}_{seed}"), about, scores, config, curves, {}, {})


def published_runs(**changes):
    """The paper's own validation losses, as if they were ours."""
    return [
        make_run(lattice, name, changes.get(f"{lattice}_{name}", row.val_loss))
        for (lattice, name), row in published.PUBLISHED.items()
    ]


def find(runs, words):
    (claim,) = (claim for claim in paper_claims(runs) if words in claim.statement.text)
    return claim


def test_the_papers_own_losses_bear_out_what_they_can():
    runs = published_runs()
    worse = find(runs, "1e-4 ends worse")
    assert worse.verdict == HELD
    assert "baseline 0.0208, lower_lr 0.0238: -12.6 %" in worse.evidence
    assert find(runs, "Small batches (256) end").verdict == HELD
    # Their gains by longer training, 5.3 to 8.0 %, are near what another seed does.
    longer = find(runs, "Training for 200 epochs")
    assert longer.verdict == OPEN
    assert "-5.3 %, where seeds alone change 5.5 %" in longer.evidence
    # Their fcc baseline is below bcc's, but not beyond their own uncertainty of two times .0002.
    complexity = find(runs, "Loss follows complexity")
    assert complexity.verdict == NOT_HELD
    assert "bcc 0.0237 ± 0.0002, fcc 0.0234 ± 0.0002" in complexity.evidence


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"fcc_lower_lr": 0.0230}, OPEN),  # closer than seeds move
        ({"fcc_lower_lr": 0.0180}, NOT_HELD),
    ],
)
def test_one_lattice_is_enough_to_refute_or_to_leave_open(changes, verdict):
    assert find(published_runs(**changes), "1e-4 ends worse").verdict == verdict


def test_missing_lattices_and_no_runs_leave_a_claim_open():
    runs = [run for run in published_runs() if run.lattice != "bcc"]
    claim = find(runs, "1e-4 ends worse")
    assert claim.verdict == OPEN
    assert "no runs on bcc" in claim.evidence
    assert {claim.verdict for claim in paper_claims([])} == {OPEN}
    assert find([], "1e-4 ends worse").evidence == "No runs of baseline and lower_lr."


def test_miniatures_decide_nothing():
    runs = [
        make_run(lattice, name, row.val_loss, scale=0.1)
        for (lattice, name), row in published.PUBLISHED.items()
    ]
    for claim in paper_claims(runs):
        assert claim.verdict == OPEN
        if "No runs" not in claim.evidence:
            assert claim.evidence.startswith("Not decidable at this scale (scale 0.1)")


def test_a_run_that_was_cut_short_is_a_miniature():
    run = make_run("sc", "baseline", 0.02)
    run.config["trainer"]["max_epochs"] = 3
    assert run.miniature == "3 of 100 epochs"


def test_three_seeds_replace_the_assumed_spread():
    runs = [
        make_run("sc", "baseline", loss, seed) for seed, loss in enumerate([0.02, 0.021, 0.022])
    ]
    assert len(group_by_seed(runs)) == 1
    loss = Experiments(runs).loss("sc", "baseline")
    assert loss.mean == pytest.approx(0.021)
    # Student's t for two degrees of freedom: 4.303.
    assert loss.error == pytest.approx(4.303 * 0.001 / math.sqrt(3), rel=1e-3)
    assert Experiments(runs[:1]).loss("sc", "baseline").error == pytest.approx(0.04 * 0.02)


def test_slower_counts_epochs_to_the_same_loss():
    slow = [(e, 0.1 / e) for e in range(1, 101)]
    fast = [(e, 0.05 / e) for e in range(1, 101)]
    runs = [
        make_run(x, name, 0.001, curve=curve)
        for x in published.LATTICES
        for name, curve in (("lower_lr", slow), ("baseline", fast))
    ]
    claim = find(runs, "converges")
    assert claim.verdict == HELD
    assert "lower_lr needs 100 epochs to 0.0010, baseline 50" in claim.evidence
    swapped = [run._replace(about={**run.about, "overrides": []}) for run in runs]
    assert {run.configuration for run in swapped} == {None}


def test_overfitting_is_seen_in_the_gap_and_in_the_rise():
    def tracking(**metrics):
        runs = [make_run(x, "baseline", 0.02) for x in published.LATTICES]
        runs[1].metrics.update(metrics)
        return find(runs, "stay close").verdict

    assert tracking() == HELD
    assert tracking(**{"train/loss": 0.015}) == NOT_HELD
    assert tracking(**{"val/best_loss": 0.018}) == NOT_HELD


def test_smoothing_grows_only_beyond_the_intervals():
    def verdict(values, half=0.0005):
        runs = [
            make_run(x, "more_patches", 0.02, mse_clean=value, mse_clean_ci95=half)
            for x, value in zip(published.LATTICES, values, strict=True)
        ]
        return find(runs, "Over-smoothing").verdict

    assert verdict([0.01, 0.02, 0.03]) == HELD
    assert verdict([0.0304, 0.0211, 0.0230]) == NOT_HELD
    assert verdict([0.01, 0.02, 0.0203]) == OPEN
    assert verdict([0.01, 0.02, 0.03], half=0.02) == OPEN


def test_more_patches_need_one_clear_gain_and_no_loss():
    assert find(published_runs(sc_more_patches=0.018), "4900").verdict == HELD
    both = published_runs(sc_more_patches=0.018, fcc_more_patches=0.03)
    assert find(both, "4900").verdict == NOT_HELD
    assert find(published_runs(), "4900").verdict == OPEN


def test_the_winners_must_be_clear():
    clear = {"sc_more_patches": 0.015, "bcc_extended_training": 0.015}
    clear["fcc_extended_training"] = 0.015
    assert find(published_runs(**clear), "Best by MSE").verdict == HELD
    assert find(published_runs(), "Best by MSE").verdict == OPEN
    assert find(published_runs(sc_baseline=0.01), "Best by MSE").verdict == NOT_HELD


def test_roughness_is_the_scatter_about_a_line_and_ignores_the_slope():
    straight = [(e, math.exp(-0.01 * e)) for e in range(100)]
    assert curve_roughness(straight) == pytest.approx(0, abs=1e-12)
    zigzag = [(e, math.exp(-0.01 * e + 0.1 * (-1) ** e)) for e in range(100)]
    # Second differences of +-.1 are +-.4; over sqrt 6.
    assert curve_roughness(zigzag) == pytest.approx(0.4 / math.sqrt(6))
    assert curve_roughness(straight[:3]) is None


def test_order_and_epochs():
    assert is_below(Loss(1, 0.1), Loss(2, 0.1)) is True
    assert is_below(Loss(2, 0.1), Loss(1, 0.1)) is False
    assert is_below(Loss(1, 1), Loss(2, 1)) is None
    assert is_below(Loss(math.nan, 1), Loss(2, 1)) is None
    assert epochs_to([(1, 3.0), (2, 1.0)], 1.0) == 2
    assert epochs_to([(1, 3.0)], 1.0) is None
