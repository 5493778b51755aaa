import json

import numpy as np
import pytest
import torch

from stm_experiments.latent.codes_csv import COLUMNS, read_latent_csv, write_latent_csv
from stm_experiments.reporting.paper import published
from stm_experiments.reporting.runs import find_runs, read_curves


def test_the_papers_numbers_are_those_of_its_log(shared):
    log = json.loads((shared / "data/binev/performance_metrics.json").read_text())
    for lattice, name in (("sc", "Cubic"), ("bcc", "BCC"), ("fcc", "FCC")):
        for configuration, row in log[name].items():
            ours = published.PUBLISHED[lattice, configuration]
            assert ours.mse == pytest.approx(row["final_mse"], abs=6e-5)
            assert ours.ssim == pytest.approx(row["final_ssim"], abs=6e-5)
            assert ours.val_loss == pytest.approx(row["final_val_loss"], abs=6e-5)
            assert ours.seconds == pytest.approx(row["training_time"], abs=0.06)
    assert len(published.PUBLISHED) == 18


def test_a_configuration_is_known_by_its_override_or_its_settings(compose_config):
    from omegaconf import OmegaConf

    for name in published.CONFIGURATIONS:
        config = compose_config(f"experiment=paper_{name}", "lattice=sc")
        plain = OmegaConf.to_container(config, resolve=True)
        assert published.configuration_of(plain, ["resume=somewhere"]) == name
        assert published.configuration_of({}, [f"experiment=paper_{name}"]) == name
    plain = OmegaConf.to_container(compose_config("lattice=sc"), resolve=True)
    assert published.configuration_of(plain, []) is None
    assert published.configuration_of(plain, ["experiment=other"]) is None


def test_speed_is_patches_over_seconds():
    assert published.published_speed("sc", "baseline") == pytest.approx(52 * 3000 * 100 / 148.3)
    assert published.published_speed("sc", "lr_decay") is None
    assert published.published_speed("hex1", "baseline") is None


def test_latent_points_come_back_on_their_principal_axes(tmp_path):
    torch.manual_seed(0)
    codes = torch.randn(4000, 5) * torch.tensor([1.0, 5.0, 0.1, 2.0, 0.01]) + 3
    orientation = torch.full((4000, 3), torch.nan)
    orientation[:, 0] = 0.5
    path = tmp_path / "latent.csv"
    write_latent_csv(path, codes, ["sc", "fcc"] * 2000, torch.arange(4000) // 100, orientation)
    columns = read_latent_csv(path)
    assert tuple(columns) == (*COLUMNS, *(f"code{number}" for number in range(1, 6)))
    assert columns["code2"][0] == pytest.approx(float(codes[0, 1]), rel=1e-5)
    assert len(columns["pc1"]) == 1500
    for name, spread in (("pc1", 5), ("pc2", 2), ("pc3", 1)):
        assert np.std(columns[name]) == pytest.approx(spread, rel=0.1)
        assert np.mean(columns[name]) == pytest.approx(0, abs=0.3)
    assert set(columns["lattice"]) == {"sc", "fcc"}
    assert columns["image"][-1] == 39
    assert columns["azimuth"][0] == 0.5
    assert np.isnan(columns["tilt"]).all()


def test_few_dimensions_are_filled_with_zeros_and_bad_codes_are_refused(tmp_path):
    path = tmp_path / "latent.csv"
    rest = (["sc"] * 4, torch.zeros(4), torch.zeros(4, 3))
    write_latent_csv(path, torch.randn(4, 2), *rest)
    assert read_latent_csv(path)["pc3"] == [0.0] * 4
    with pytest.raises(ValueError, match="finite"):
        write_latent_csv(path, torch.full((4, 2), torch.nan), *rest)
    with pytest.raises(ValueError, match="equally many"):
        write_latent_csv(path, torch.randn(5, 2), *rest)
    path.write_text("pc1,pc2\n1,2\n")
    with pytest.raises(ValueError, match="pc3"):
        read_latent_csv(path)


def test_run_folders_that_are_damaged_are_named_and_do_not_stop_the_others(tmp_path):
    for name, text in (("0_good", '{"status": "finished"}'), ("1_torn", '{"status": ')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    good, torn = find_runs(tmp_path)
    assert not good.finished  # no metrics
    assert torn.status.startswith("unreadable: ")
    assert "1_torn/run.json" in torn.status
    with pytest.raises(ValueError, match="no such folder"):
        find_runs(tmp_path / "typo")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no run in that folder"):
        find_runs(tmp_path / "empty")


def test_curves_skip_epochs_without_validation(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train/loss,val/loss,lr\n1,5,.3,,.1\n2,10,.2,.25,.1\n")
    assert read_curves(path) == {"train/loss": [(1, 0.3), (2, 0.2)], "val/loss": [(2, 0.25)]}
    assert read_curves(tmp_path / "none.csv") == {}
