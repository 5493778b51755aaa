import pytest
import torch
from torch import nn

from stm_experiments.core.batch import Batch
from stm_experiments.latent.codes import encode_all
from stm_experiments.latent.report import latent_report
from stm_experiments.models.interfaces import NetworkModule

NAMES = ["sc", "bcc", "fcc", "hex1", "hex2"]


class Coder(NetworkModule):
    def decode(self, codes):
        raise NotImplementedError


class Corner(Coder):
    """Its codes are the first pixels, the second of which tells the lattice."""

    def encode(self, patches):
        return patches.flatten(1)[:, :4]


class Sum(Coder):
    def encode(self, patches):
        return patches.sum((1, 2, 3))[:, None]


def batches(lattices=2, images=24, patches=20, known=True):
    random = torch.Generator().manual_seed(0)
    orientation = torch.rand(images, 3, generator=random) * (1 if known else torch.nan)
    for start in range(0, images, 6):
        image = torch.arange(start, start + 6).repeat_interleave(patches)
        noisy = torch.randn(len(image), 1, 9, 9, generator=random)
        lattice = image % lattices
        noisy[:, 0, 0, 1] += 10 * lattice
        noisy[:, 0, 0, 2] = 5 * orientation[image, 1] if known else 0
        position = torch.zeros(len(image), 2, dtype=torch.int64)
        yield Batch(noisy, None, lattice, orientation[image], image, position, truth={})


def test_a_row_per_network_from_one_pass():
    whole = torch.randn(3, 1, 40, 40, generator=torch.Generator().manual_seed(2))
    net = Corner().train()
    report = latent_report(
        {"net": net, "sum": Sum(), "filter": nn.Identity()}, batches(), whole, NAMES
    )
    assert net.training
    assert list(report) == ["net", "sum"]  # what has no codes has no row
    row = report["net"]
    lattice = {
        f"{kind}/{name}"
        for kind in ("single", "pooled")
        for name in ("probe", "knn", "ari", "silhouette")
    }
    factors = {
        f"{kind}/r2_{factor}{suffix}"
        for kind in ("single", "pooled")
        for factor in ("azimuth", "tilt", "rotation", "in_plane")
        for suffix in ("", "/sc", "/bcc")
    }
    rest = {"chance", "single/probe_3_images", "pooled_4/probe", "pooled_16/probe"}
    rest |= {f"variance/{name}" for name in ("lattice", "image", "patch")}
    rest |= {f"invariance/{name}" for name in ("shift_1", "shift_2", "shift_4", "turns", "flips")}
    assert set(row) == set(report["sum"]) == lattice | factors | rest
    assert all(type(value) is float for value in row.values())
    assert row["chance"] == 0.5
    assert row["single/probe"] == row["single/knn"] == row["pooled/probe"] == 1
    assert row["single/r2_tilt/sc"] > 0.99
    assert row["single/r2_rotation"] < 0.2
    assert report["sum"]["invariance/turns"] == pytest.approx(0, abs=1e-9)
    assert latent_report({"net": Corner()}, batches(), whole, NAMES)["net"] == row


def test_codes_that_are_known_are_not_computed_again():
    class Once(Corner):
        patches = 0

        def encode(self, patches):
            self.patches += len(patches)
            return super().encode(patches)

    net = Once()
    codes = encode_all(net, batches())
    assert net.patches == len(codes.codes)
    report = latent_report({"net": net}, batches(), None, NAMES, known={"net": codes})
    assert net.patches < 2 * len(codes.codes)  # turned and mirrored patches are new
    assert report == latent_report({"net": Corner()}, batches(), None, NAMES)
    assert codes.first(7).codes.equal(codes.codes[:7])


def test_a_single_lattice_has_no_lattice_type():
    row = latent_report({"net": Corner()}, batches(lattices=1), None, NAMES)["net"]
    expected = {
        f"{kind}/r2_{factor}"
        for kind in ("single", "pooled")
        for factor in ("azimuth", "tilt", "rotation", "in_plane")
    }
    assert set(row) == expected | {"invariance/turns", "invariance/flips"}


def test_unknown_orientations_are_left_out():
    row = latent_report({"net": Corner()}, batches(known=False), None, NAMES)["net"]
    assert not any("r2" in key for key in row)
    assert row["pooled/probe"] == 1


def test_networks_without_codes():
    assert latent_report({"filter": nn.Identity()}, batches(), None, NAMES) == {}
