"""The published data and weights: one number checks reading, scaling, resizing and cutting."""

import pytest
import torch

from stm_experiments.data import ImageData, PatchSettings
from stm_experiments.data.module import PatchData
from stm_experiments.models import CAEA


@pytest.mark.parametrize(
    ("lattice", "expected"), [("sc", 0.0290), ("bcc", 0.0235), ("fcc", 0.0232)]
)
def test_published_weights_give_their_published_error(shared, lattice, expected):
    source = ImageData(
        root=str(shared / "data" / "binev"),
        lattices={lattice: {"spread": 10.0, "azimuth_max": 45.0, "tilt_max": 45.0}},
        resize=256,
    )
    settings = PatchSettings(window=CAEA.window, batch_size=4096, sampling="grid", augment=True)
    data = PatchData(source, settings)
    net = CAEA()
    weights = shared / "data" / "binev" / "weights" / f"cae_a_{lattice}.pth"
    net.load_state_dict(torch.load(weights, "cpu", weights_only=True), strict=True)
    total, count, clean = 0.0, 0, 0.0
    with torch.inference_mode():
        for batch in data.loader("validation"):
            total += float((net(batch.noisy) - batch.noisy).square().sum())
            clean += float((batch.clean - batch.noisy).square().sum())
            count += batch.noisy.numel()
    assert count == data.sources["validation"].count * 60**2 * 17**2
    assert total / count == pytest.approx(expected, rel=0.02)
    # Fitted to the noisy images, their partners differ from them by the noise alone.
    assert 0.003 < clean / count < 0.008
