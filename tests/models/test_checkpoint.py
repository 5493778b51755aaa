"""Model files: safe on files from strangers, whole at every moment."""

import io
import os
import pickle
import random
import zipfile
from pathlib import Path

import pytest
import torch

from stm_experiments import load, models
from stm_experiments.models import CAEA, PCA, Denoiser, checkpoint
from stm_experiments.models.checkpoint import Card, CheckpointError


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.ckpt"
    card = Card("CAEA", {"latent": 4}, 17, lattice=["fcc"], scores={"a": 1.0}, config={"b": [2]})
    checkpoint.save(CAEA(4), card, path)
    return path


def changed(good, name, **changes):
    """A copy of a good file with other content."""
    content = torch.load(good, weights_only=True)
    card = {**content["card"], **changes.pop("card", {})}
    path = good.with_name(name)
    torch.save({**content, "card": card, **changes}, path)
    return path


def refused(path, *parts):
    with pytest.raises(CheckpointError) as info:
        load(path)
    message = str(info.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 120
    for part in parts:
        assert part in message


def test_what_was_saved_is_loaded(good):
    net = load(str(good))
    assert isinstance(net, CAEA)
    assert not net.training
    assert net.card.network == "CAEA"
    assert net.card.scores == {"a": 1.0}
    assert net.card.config == {"b": [2]}
    assert net.encode(torch.zeros(1, 1, 17, 17)).shape == (1, 4)


def test_scores_are_added_without_touching_the_weights(good):
    folder = good.parent
    for name in ("best.ckpt", "last.ckpt"):
        good.with_name(name).write_bytes(good.read_bytes())
    before = load(good).state_dict()
    checkpoint.add_scores(folder, {"test/mse_noisy": 0.5})
    for name in ("best.ckpt", "last.ckpt"):
        net = load(folder / name)
        assert net.card.scores == {"test/mse_noisy": 0.5}
        assert all(torch.equal(net.state_dict()[key], value) for key, value in before.items())
    assert not (folder / "previous.ckpt").exists()


def test_missing_and_damaged_files_are_refused(good, tmp_path):
    refused(tmp_path / "nowhere.ckpt", "no such checkpoint file")
    refused(tmp_path, "a folder; a run's model is in its checkpoints/best.ckpt")
    whole = good.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        cut = tmp_path / f"cut_{length}.ckpt"
        cut.write_bytes(whole[:length])
        refused(cut, "not a readable checkpoint")
    text = tmp_path / "text.ckpt"
    text.write_text("This is not a model.\n")
    refused(text, "not a readable checkpoint")


def test_every_flipped_bit_is_noticed_or_changes_nothing(good):
    whole, path = good.read_bytes(), good.with_name("flipped.ckpt")
    state = load(good).state_dict()
    draw, identical = random.Random(0), 0
    # The archive's own tables are at its end.
    places = [draw.randrange(len(whole)) for _ in range(60)]
    places += [draw.randrange(len(whole) - 4000, len(whole)) for _ in range(60)]
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        try:
            other = load(path).state_dict()
        except CheckpointError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
        else:
            identical += 1
            assert all(torch.equal(other[key], value) for key, value in state.items())
    assert identical < 100


def test_what_is_not_a_regular_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.ckpt")
    refused(tmp_path / "pipe.ckpt", "not a regular file")
    (tmp_path / "zero.ckpt").symlink_to("/dev/zero")
    refused(tmp_path / "zero.ckpt", "not a regular file")
    (tmp_path / "loop.ckpt").symlink_to(tmp_path / "loop.ckpt")
    refused(tmp_path / "loop.ckpt", "cannot be opened")


class Bomb:
    def __reduce__(self):
        return bytearray, (2**45,)


def test_a_description_takes_little_memory(good):
    refused(changed(good, "bomb.ckpt", more=Bomb()), "holding more than tensors")


def test_compressed_files_are_refused(good):
    path = good.with_name("deflated.ckpt")
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    refused(path, "not a readable checkpoint")


def test_a_small_file_takes_little_memory(good, monkeypatch):
    """Neither large arguments nor weights that repeat one number make a network of GiB."""
    zeros = torch.zeros(1)
    with torch.device("meta"):
        shapes = {f"net.{key}": x.shape for key, x in Denoiser(width=2000).state_dict().items()}
    cards = [
        {"network": "Denoiser", "arguments": {"width": 2000}},
        {"network": "StackedAutoencoder", "arguments": {"widths": [16000, 16000]}},
        {"network": "MLP", "arguments": {"window": 100_000}},
    ]
    draw = monkeypatch.setattr
    for init in ("kaiming_uniform_", "uniform_"):
        draw(torch.nn.init, init, lambda x, *_, **__: pytest.fail("built") if not x.is_meta else x)
    for number, card in enumerate(cards):
        refused(changed(good, f"{number}.ckpt", card=card), "do not fit")
    state = {key: zeros.expand(shape) for key, shape in shapes.items()}
    repeated = changed(good, "repeated.ckpt", card=cards[0], state_dict=state)
    assert repeated.stat().st_size < 20_000
    refused(repeated, "do not fit")


@pytest.mark.parametrize("name", sorted(set(models.__all__) - {"BM3D"}))
def test_every_network_is_compared_before_it_is_built(name, tmp_path):
    net = getattr(models, name)()
    checkpoint.save(net, Card(name, {}, None), tmp_path / "a.ckpt")
    loaded = load(tmp_path / "a.ckpt").state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in net.state_dict().items())


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "was here")


@pytest.mark.parametrize("form", ["torch", "old torch", "pickle"])
def test_code_in_a_file_does_not_run(tmp_path, form):
    trace, path = tmp_path / "trace", tmp_path / "attack.ckpt"
    content = {"state_dict": {}, "card": {}, "more": Attack(trace)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch")
    refused(path, "holding more than tensors")
    assert not trace.exists()
    # The file is a real attack: unpickled without care, it writes.
    torch.load(path, weights_only=False) if form != "pickle" else pickle.loads(path.read_bytes())
    assert trace.read_text() == "was here"


def test_other_content_is_refused(good):
    path = good.with_name("other.ckpt")
    for content in ([1, 2], torch.zeros(3), {}, CAEA().state_dict(), {"state_dict": {}}):
        torch.save(content, path)
        refused(path, "not a checkpoint of stm_experiments")
    for card in (None, 5, "CAEA", {}, {"network": "CAEA", "arguments": {}, "window": 17, "x": 1}):
        torch.save({"state_dict": {}, "card": card}, path)
        refused(path, "not a checkpoint of stm_experiments")


@pytest.mark.parametrize(
    "network",
    ["ResNet", "cae_a", "CAEA.__init__", "nn", "__all__", "os.system", "", None, ["CAEA"]],
)
def test_only_networks_of_the_package_are_built(good, network):
    refused(changed(good, "other.ckpt", card={"network": network}), "models does not have")


def test_weights_that_do_not_fit_are_refused(good):
    state = torch.load(good, weights_only=True)["state_dict"]
    reason = "do not fit the network"
    refused(changed(good, "a.ckpt", card={"network": "CAEB"}), reason, "CAEB")
    refused(changed(good, "b.ckpt", card={"arguments": {"latent": 5}}), reason)
    refused(changed(good, "c.ckpt", card={"arguments": {"depth": 5}}), reason)
    refused(changed(good, "d.ckpt", card={"arguments": {"latent": "many"}}), reason)
    refused(changed(good, "e.ckpt", card={"arguments": None}), reason)
    refused(changed(good, "f.ckpt", state_dict={}), reason)
    refused(changed(good, "g.ckpt", state_dict=dict(list(state.items())[1:])), reason)
    refused(changed(good, "h.ckpt", state_dict={**state, "net.more": torch.zeros(1)}), reason)
    refused(changed(good, "i.ckpt", state_dict=[1]), reason)
    refused(changed(good, "j.ckpt", state_dict=dict.fromkeys(state, 1)), reason)


class Interrupted(BaseException):
    pass


def test_a_write_that_fails_leaves_the_old_file(good, monkeypatch):
    before = good.read_bytes()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        checkpoint.write_checkpoint({"a": torch.zeros(10**6), "b": lambda: 0}, good)

    def interrupt(*_):
        raise Interrupted

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, interrupt)
            with pytest.raises(Interrupted):
                checkpoint.write_checkpoint({"a": torch.zeros(3)}, good)
    assert good.read_bytes() == before
    assert [path.name for path in good.parent.iterdir()] == ["good.ckpt"]


def test_others_may_read_the_file_as_any_other(good):
    plain = good.with_name("plain")
    plain.write_text("")
    assert good.stat().st_mode == plain.stat().st_mode


def test_write_makes_the_folder(tmp_path):
    path = tmp_path / "a" / "b" / "c.ckpt"
    checkpoint.write_checkpoint({"x": torch.ones(2)}, path)
    assert torch.equal(checkpoint.read(path)["x"], torch.ones(2))


def test_a_fitted_pca_keeps_its_components(tmp_path):
    pca = PCA(3, 5)
    pca.fit([torch.randn(50, 1, 5, 5)])
    buffer = io.BytesIO()
    torch.save(pca.state_dict(), buffer)
    card = Card("PCA", {"components": 3, "window": 5}, 5)
    checkpoint.save(pca, card, tmp_path / "pca.ckpt")
    loaded = load(tmp_path / "pca.ckpt")
    assert torch.equal(loaded.components, pca.components)
    assert torch.equal(loaded.mean, pca.mean)
