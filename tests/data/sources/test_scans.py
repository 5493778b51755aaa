"""A folder of scans as training data: sizes, gaps, bad files, what is held out, a whole run."""

import json
import logging
from dataclasses import fields

import numpy as np
import pytest
import tifffile
import torch

from stm_experiments import load
from stm_experiments.data import PatchSettings, ScanData, lattice_names
from stm_experiments.data.module import PatchData
from stm_experiments.data.sources.scans import GAP, cut_tiles, longest_run, measured_block
from stm_experiments.io import Scan

RANDOM = np.random.default_rng(0)
PATCHES = {"window": 17, "batch_size": 32, "patches_per_image": 8, "num_workers": 0}
ALL_PATCHES = {field.name for field in fields(PatchSettings)}


def data(root, **settings):
    patches = {name: settings.pop(name) for name in ALL_PATCHES & settings.keys()}
    source = ScanData(root=None if root is None else str(root), **settings)
    return PatchData(source, PatchSettings(**{**PATCHES, **patches}))


def pixels(height=64, width=64):
    """A scan in metres."""
    return 1e-10 * RANDOM.normal(5, 3, size=(height, width))


def put(folder, name, array=None):
    array = pixels() if array is None else array
    folder.mkdir(exist_ok=True)
    if name.endswith(".npy"):
        np.save(folder / name, array)
    elif name.endswith(".tiff"):
        tifffile.imwrite(folder / name, array.astype(np.float32))
    else:
        scan = Scan(array, np.isfinite(array), "m", (0.1, 0.1), "Z")
        scan.save(folder / name)
    return array


def all_tiles(source):
    return source(0, 0, source.count).noisy


def rows_of(source):
    """All rows of pixels, of which no two of noise are alike."""
    return {tuple(row) for row in all_tiles(source).flatten(0, 2).tolist()}


def test_files_of_any_format_and_size_and_a_bad_one(tmp_path, caplog):
    put(tmp_path, "a.npy")
    put(tmp_path, "b.tiff", pixels(70, 90))
    put(tmp_path, "c.npy", pixels(150, 64))
    put(tmp_path, "small.npy", pixels(16, 200))
    put(tmp_path, "flat.npy", np.ones((64, 64)))
    (tmp_path / "d.sxm").write_bytes(b"not a scan")
    (tmp_path / "notes.md").write_text("ignored")
    with caplog.at_level(logging.INFO):
        scans = data(tmp_path)
    left_out = [message for message in caplog.messages if message.startswith("left out")]
    assert len(left_out) == 3
    for name, message in zip(("d.sxm", "flat.npy", "small.npy"), left_out, strict=True):
        assert name in message
    assert "16 x 200 px were measured, at least 17 x 17 px" in left_out[2]
    assert set(scans.sources) == {"train", "validation"}  # three files: rows are held out
    assert scans.test_split == "validation"
    # The smallest scan gives the size: its upper 64 - 17 - GAP rows, its lowest 17 rows.
    assert all_tiles(scans.sources["train"]).shape[-2:] == (64 - 17 - GAP, 64)
    assert all_tiles(scans.sources["validation"]).shape[-2:] == (17, 64)
    batch = next(iter(scans.loader("train")))
    assert batch.noisy.shape == (32, 1, 17, 17)
    assert batch.clean is None
    assert batch.orientation.isnan().all()
    assert {lattice_names()[label] for label in batch.lattice} == {"unknown lattice"}


def test_a_scan_is_levelled_and_scaled_as_a_whole(tmp_path):
    rows, columns = np.mgrid[:64, :64]
    put(tmp_path, "a.npy", pixels() + 1e-9 * rows - 3e-9 * columns)
    plane = all_tiles(data(tmp_path).sources["train"])
    assert plane.abs().max() < 3  # the tilt alone spans 250 nm, the noise 2 nm
    assert plane.dtype == torch.float32
    paper = all_tiles(data(tmp_path, normalisation="minmax").sources["train"])
    assert paper.amin() >= -1
    assert paper[0, 0, :, 0].mean() > paper[0, 0, :, -1].mean() + 1  # the tilt is still there


def test_rows_are_held_out_of_few_scans(tmp_path):
    for name in "abcd":
        put(tmp_path, f"{name}.npy", pixels(100, 40))
    scans = data(tmp_path)
    train, held_out = (rows_of(scans.sources[split]) for split in ("train", "validation"))
    assert not train & held_out
    assert len(held_out) == 4 * 20
    assert len(train) == 4 * (80 - GAP)
    put(tmp_path, "low.npy", pixels(41, 40))
    with pytest.raises(ValueError, match="none of them is 42 px high"):
        data(tmp_path / "low.npy")


def test_files_are_held_out_of_many(tmp_path):
    for number in range(10):
        put(tmp_path, f"{number}.gwy", pixels(32, 40))
    scans = data(tmp_path)
    assert {split: source.count for split, source in scans.sources.items()} == {
        "train": 6,
        "validation": 2,
        "test": 2,
    }
    parts = [rows_of(source) for source in scans.sources.values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 10 * 32
    again, other = data(tmp_path), data(tmp_path, seed=1)
    for split, source in scans.sources.items():
        assert torch.equal(all_tiles(source), all_tiles(again.sources[split]))
    assert rows_of(other.sources["test"]) != rows_of(scans.sources["test"])
    for split in ("train", "validation", "test"):
        assert data(tmp_path, fraction=0.5).sources[split].count == scans.sources[split].count // 2


@pytest.mark.parametrize("workers", [0, 2])
def test_the_patches_do_not_depend_on_the_batches(tmp_path, workers):
    for number in range(5):
        put(tmp_path, f"{number}.npy", pixels(32 + number, 40))
    whole = next(iter(data(tmp_path, batch_size=1000).loader("train")))
    batches = list(data(tmp_path, batch_size=7, num_workers=workers).loader("train"))
    assert torch.equal(torch.cat([batch.noisy for batch in batches]), whole.noisy)
    assert torch.equal(torch.cat([batch.position for batch in batches]), whole.position)


def test_unfinished_scans_are_used_as_far_as_they_go(tmp_path):
    unfinished = pixels(80, 40)
    unfinished[50, 7:] = unfinished[51:] = np.nan
    put(tmp_path, "rows.npy", unfinished)
    sideways = pixels(50, 80)
    sideways[:, 60:] = np.nan
    put(tmp_path, "columns.npy", sideways)
    scans = data(tmp_path)
    for source in scans.sources.values():
        assert all_tiles(source).isfinite().all()
    rows = all_tiles(data(tmp_path / "rows.npy").sources["train"])
    assert rows.shape == (1, 1, 50 - 17 - GAP, 40)
    columns = all_tiles(data(tmp_path / "columns.npy").sources["train"])
    assert columns.shape == (1, 1, 50 - 17 - GAP, 60)


def test_the_longest_run():
    for flags, wanted in (
        ("0110111010", (4, 7)),
        ("111", (0, 3)),
        ("000", (0, 0)),
        ("0101", (1, 2)),
    ):
        found = longest_run(np.array([flag == "1" for flag in flags]))
        assert (found.start or 0, found.stop) == wanted


def test_an_unfinished_row_ends_the_scan_and_a_missing_pixel_does_not():
    mask = np.ones((6, 60), bool)
    mask[2, 3:] = False
    mask[4, 5] = False
    scan = Scan(np.arange(360.0).reshape(6, 60), mask, "m", None, "Z")
    known = measured_block(scan)
    assert known.shape == (3, 60)
    np.testing.assert_array_equal(known[mask[3:]], scan.data[3:][mask[3:]])
    assert known[1, 5] in scan.data[3:, 4:7]


def test_forward_and_backward_stay_together(tmp_path):
    gwy = pytest.importorskip("gwyfile.objects")
    forward = {}
    for number in range(5):
        fields = {}
        for index, title in enumerate(("Z (Forward)", "Z (Backward)")):
            array = pixels(32, 32)
            forward.setdefault(number, array)
            field = gwy.GwyDataField(array, xreal=1e-8, yreal=1e-8, si_unit_z=gwy.GwySIUnit("m"))
            fields |= {f"/{index}/data": field, f"/{index}/data/title": title}
        gwy.GwyObject("GwyContainer", fields).tofile(str(tmp_path / f"{number}.gwy"))
    one, both = data(tmp_path), data(tmp_path, direction="both")
    for split, source in one.sources.items():
        tiles = all_tiles(both.sources[split])
        assert len(tiles) == 2 * source.count
        assert torch.equal(tiles[::2], all_tiles(source))
    for split in one.sources:
        backward = all_tiles(data(tmp_path, direction="backward").sources[split])
        assert torch.equal(all_tiles(both.sources[split])[1::2], backward)


def test_a_file_of_one_direction_counts_once(tmp_path):
    for number in range(5):
        put(tmp_path, f"{number}.npy")
    assert data(tmp_path, direction="both").sources["train"].count == 3


@pytest.mark.parametrize("tile", [None, 20, 40])
@pytest.mark.parametrize("window", [9, 17])
def test_tiles_cover_every_pixel_and_every_patch(tile, window):
    shapes = [(40, 61), (73, 40), (101, 90)]
    ends = np.cumsum([0] + [np.prod(shape) for shape in shapes])
    images = [
        np.arange(first, last, dtype=np.float32).reshape(shape)
        for first, last, shape in zip(ends, ends[1:], shapes, strict=False)
    ]
    tiles = cut_tiles(images, tile, window)
    side = tile or 40
    assert tiles.shape[1:] == (1, side, side)
    assert set(tiles.flatten().tolist()) == set(np.arange(ends[-1], dtype=np.float32).tolist())
    if side - window + 1 >= side // 2:
        corners = tiles[:, 0, : side - window + 1, : side - window + 1]
        every = [image[: -window + 1, : -window + 1].ravel().tolist() for image in images]
        assert set(corners.flatten().tolist()) == {one for image in every for one in image}


def refused(root, *parts, **settings):
    with pytest.raises(ValueError, match=r"\w") as info:
        data(root, **settings)
    message = str(info.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


def test_what_cannot_be_used_is_refused(tmp_path):
    refused(None, "data.root=<folder>")
    refused(tmp_path / "nowhere", "nowhere: no such file")
    refused(tmp_path, "no scan in this folder")
    put(tmp_path, "bad.npy", np.full((64, 64), np.nan))
    (tmp_path / "worse.tiff").write_bytes(b"II*")
    refused(tmp_path, "none of the 2 files can be used", "bad.npy")
    put(tmp_path, "good.npy")
    refused(tmp_path / "good.npy", "64 x 64 px were measured, at least 65 x 65 px", tile=65)
    refused(tmp_path, "data.tile", tile=16)
    refused(tmp_path, "data.direction is forward, backward, both", direction="up")
    refused(tmp_path, "data.normalisation is plane or minmax", normalisation="robust")
    refused(tmp_path, "data.held_out", held_out=0)
    refused(tmp_path, "no channel 'Q'", channel="Q")
    refused(tmp_path, "denoiser_rowblind", need_clean=True)


RUN = ("data=scans", "data.patch=24", "data.patches_per_image=8", "data.batch_size=16")
TINY = (*RUN, "trainer=cpu", "trainer.max_epochs=1")


@pytest.fixture
def train_on(compose_config):
    """Return a function: a tiny run on a folder of scans."""
    from stm_experiments.recipes.train import train

    def run(folder, root, *overrides):
        folder.mkdir()
        train(compose_config(*TINY, f"data.root={root}", *overrides, output_dir=folder))
        return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))

    return run


def test_row_blind_training_and_going_on(train_on, tmp_path):
    for number in range(3):
        put(tmp_path / "scans", f"{number}.npy", pixels(80, 64 + number))
    small = ("model=denoiser_rowblind", "model.net.width=4", "baselines=[]")
    metrics = train_on(tmp_path / "first", tmp_path / "scans", *small)
    assert metrics["val/loss"] > 0
    assert "val/mse_noisy" in metrics
    best = tmp_path / "first" / "checkpoints" / "last.ckpt"
    card = load(best).card
    assert (card.lattice, card.normalisation, card.window) == ([], "plane", None)
    assert (tmp_path / "first" / "figures" / "reconstructions.png").is_file()
    train_on(
        tmp_path / "second", tmp_path / "scans", *small, f"init={best}", "model.optimizer.lr=1e-12"
    )
    again = load(tmp_path / "second" / "checkpoints" / "last.ckpt").state_dict()
    for key, value in load(best).state_dict().items():
        torch.testing.assert_close(again[key], value, atol=1e-8, rtol=0)


def test_the_papers_autoencoder_on_real_scans(train_on, tmp_path, shared):
    root = shared / "data" / "scans" / "stm"
    metrics = train_on(tmp_path / "run", root, "model=cae_a", "baselines=[4]")
    assert 0 < metrics["val/mse_noisy"] < 4
    assert "PCA-4/val/mse_noisy" in metrics
    assert load(tmp_path / "run" / "checkpoints" / "last.ckpt").card.lattice == []
