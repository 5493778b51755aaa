"""Two decoders: what a turn and a shift change in the code, what is learnt, and exact resuming."""

import json

import pytest
import torch

from stm_experiments.data.sources.centred import patch_phases
from stm_experiments.evaluation.centring import pose_errors
from stm_experiments.models import TwoDecoders
from stm_experiments.models.codes.dihedral import turned
from stm_experiments.models.interfaces import Pose
from stm_experiments.training import Centred

SMALL = (
    *("experiment=two_decoders", "model.net.width=32", "data.size=64", "trainer.max_epochs=3"),
    *("data.images_per_epoch=20", "data.validation_images=5", "data.test_images=20"),
    *("data.patches_per_image=8", "baselines=[10]"),
)


@pytest.fixture
def some_batch(compose_config):
    """Patches of all five lattices with their truth."""
    from stm_experiments.app import build
    from stm_experiments.app.settings import resolve

    config = resolve(compose_config(*SMALL, "data.batch_size=160"))
    return next(iter(build.build_data(config, 17).loader("test")))


def test_a_turn_changes_the_pose_and_not_the_content():
    net, patches = TwoDecoders(width=32), torch.randn(6, 1, 17, 17)
    content, pose = net.split(net.encode(patches))
    assert content.shape == (6, 4)
    assert pose.shape == (6, 6)
    for again in turned(patches)[1:]:
        turned_content, turned_pose = net.split(net.encode(again))
        torch.testing.assert_close(turned_content, content, rtol=0, atol=1e-5)
        assert (turned_pose - pose).abs().max() > 1e-3


def test_the_centred_patch_does_not_depend_on_the_pose():
    net = TwoDecoders(width=32)
    codes = net.encode(torch.randn(6, 1, 17, 17))
    moved = torch.cat([codes[:, :4], torch.randn(6, 6)], 1)
    assert torch.equal(net.centre(codes), net.centre(moved))
    assert not torch.equal(net.decode(codes), net.decode(moved))


def test_patches_of_one_image_share_the_centred_patch_and_differ_in_their_phases(some_batch):
    batch = some_batch
    first = batch.image == batch.image[0]
    centred = batch.truth["centred"][first]
    assert torch.equal(centred, centred[:1].expand_as(centred))
    phases = patch_phases(batch)[0]
    assert phases[first].std(0).min() > 0.5
    # The pose of a patch whose first pixel lies two rows down and a column to the left.
    moved = batch._replace(position=batch.position + torch.tensor([2, -1]))
    pose = Pose(torch.pi * batch.orientation[:, 2].float(), patch_phases(moved)[0])
    errors = pose_errors(pose, batch)
    torch.testing.assert_close(
        errors.shift, torch.full_like(errors.shift, 5**0.5), atol=0.01, rtol=0
    )
    assert errors.rotation.max() < 1e-5
    # Half a turn, and whole periods of the crystal, make no difference.
    same = Pose(pose.rotation + torch.pi, phases + 2 * torch.pi * torch.tensor([1.0, -2.0, 3.0]))
    errors = pose_errors(same, batch)
    assert errors.shift.max() < 0.01
    assert errors.rotation.max() < 1e-5


def test_the_loss_weighs_both_decoders(some_batch):
    net = TwoDecoders(width=32)
    net.targets.fit(torch.randn(40, 384))
    codes = net.encode(some_batch.noisy)
    denoised = (net.decode(codes) - some_batch.clean).square().mean()
    centred, description = some_batch.truth["centred"], some_batch.truth["description"]
    drawn = (net.centre(codes).flatten(1) - centred).square().mean()
    told = (net.coordinates(codes[:, :4]) - net.targets(description)).square().mean()
    module = Centred(net, centred_weight=0.5, linear_weight=0.2)
    expected = denoised + 0.5 * (drawn + 0.2 * told)
    torch.testing.assert_close(module.loss(some_batch), expected)


def test_a_run_is_resumed_exactly_and_measures_content_and_pose(train_in, check_resume):
    few = ("lattice=[sc,fcc]", "data.test_images=8")
    whole = check_resume(Centred, 4, lambda folder: train_in(folder, *SMALL, *few))

    metrics = json.loads((whole / "metrics.json").read_text())
    assert 0 <= metrics["test/content/probe"] <= 1
    assert metrics["PCA-4/test/centred/mse"] < metrics["mean/test/centred/mse"]
    assert metrics["test/centred/mse"] > 0
    assert 0 < metrics["test/pose/shift_px"] < 10
    assert 0 < metrics["guess/test/pose/rotation_deg"] <= 90
    assert (whole / "figures" / "centred.png").is_file()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lattice=mos2", "mos2 is flat"),
        ("data.domains=2", "data.domains must be 1 for centred patches"),
        ("data.augment=true", "data.augment must be False for centred patches"),
        ("model.centred_weight=-1", "model.centred_weight is a number from 0 on"),
    ],
)
def test_what_has_no_centred_patch_is_refused(command, tmp_path, override, message):
    from stm_experiments.train import main

    code, _, errors = command(
        main, *SMALL, "trainer=cpu", override, f"hydra.run.dir={tmp_path}/run"
    )
    assert code == 1
    assert message in errors
