"""The examples of docs/python.md, one after the other."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning import Trainer

import stm_experiments as stm
from stm_experiments.models import CAEA
from stm_experiments.training import Reconstruction

GUIDE = Path(stm.__file__).parents[1] / "docs" / "python.md"


def test_the_examples_of_the_guide_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("scan.npy", stm.simulate(["fcc"], [0], "paper", size=64).noisy[0, 0].numpy())
    examples = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 8
    names = {}
    for example in examples:
        assert len([line for line in example.splitlines() if line.strip()]) <= 10
        exec(example, names)
    (scores,) = names["scores"]
    assert 0 < scores["test/mse_clean"] < 1
    with torch.inference_mode():
        outputs = [names["net"](batch.noisy) for batch in names["data"].loader("test")]
    assert torch.allclose(torch.cat(outputs), torch.cat(names["reconstructions"]), atol=1e-5)
    table = names["table"]
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns)[:2] == ["lattice", "image"]
    assert np.array_equal(table.filter(like="code").to_numpy(), names["array"])
    assert names["array"].shape[1] == 8
    assert Path("denoised.npy").is_file()


def test_lightnings_own_checkpoint_and_loaders_of_ones_own(tmp_path):
    data = stm.PatchData(
        stm.SimulatedData(["sc", "fcc"], size=64, images_per_epoch=4, validation_images=2)
    )
    model = Reconstruction(CAEA(), partial(torch.optim.Adam, lr=0.01))
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, default_root_dir=tmp_path,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, data.loader("train"), data.loader("validation"))
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    again = Reconstruction.load_from_checkpoint(path, net=CAEA())
    patches = torch.rand(3, 1, 17, 17)
    assert torch.equal(again.net.cpu()(patches), model.net.cpu()(patches))


def test_a_network_that_could_not_be_loaded_is_not_described():
    with pytest.raises(ValueError, match="could not be loaded from a file"):
        stm.card_of(CAEA(latent=8))
