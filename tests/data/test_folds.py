"""Folds of files: every file is tested once, and never trained on in the same fold."""

from collections import Counter

import numpy as np
import pytest
import tifffile

from stm_experiments.data import ImageData, PatchSettings, ScanData
from stm_experiments.data.folds import fold_shares


@pytest.mark.parametrize(("count", "folds"), [(5, 5), (13, 4), (7, 3)])
def test_every_file_is_tested_and_validated_once(count, folds):
    tested, validated = Counter(), Counter()
    for fold in range(folds):
        shares = fold_shares(count, folds, fold, seed=3)
        assert sorted(number for share in shares.values() for number in share) == list(range(count))
        tested.update(shares["test"])
        validated.update(shares["validation"])
    assert tested == validated == Counter(range(count))


@pytest.mark.parametrize(
    ("count", "folds", "fold", "message"),
    [
        (9, 2, 0, "data.folds must be a whole number of at least 3"),
        (9, 3, 3, "data.fold is from 0 to 2 with data.folds=3, not 3"),
        (2, 3, 0, "data.folds=3 needs as many files, and there are 2: add files"),
        (4, 5, 0, "needs as many files, and there are 4: set data.folds=4"),
    ],
)
def test_senseless_folds_are_refused(count, folds, fold, message):
    with pytest.raises(ValueError, match=message):
        fold_shares(count, folds, fold, 0)


def test_images_and_scans_are_divided_by_file(tmp_path):
    levels = np.random.default_rng(0).normal(size=(6, 24, 24)).astype(np.float32)
    for number, image in enumerate(levels):
        folder = tmp_path / "images" / ("train" if number < 4 else "validation")
        folder.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / f"{number}.tif", image)
        (tmp_path / "scans").mkdir(exist_ok=True)
        np.save(tmp_path / "scans" / f"{number}.npy", image)
    settings = PatchSettings(window=17)
    for source in (
        lambda fold: ImageData(str(tmp_path / "images"), {"fcc": {}}, folds=3, fold=fold),
        lambda fold: ScanData(str(tmp_path / "scans"), folds=3, fold=fold),
    ):
        splits = [source(fold).splits(settings) for fold in range(3)]
        for split in splits:
            assert [split[name].count for name in ("train", "validation", "test")] == [2, 2, 2]
        tested = np.concatenate([split["test"](0, 0, 2).noisy.numpy() for split in splits])
        assert len({image.tobytes() for image in tested}) == 6
