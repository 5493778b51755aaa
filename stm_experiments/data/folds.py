"""Files divided into folds, each of which is tested once."""

import torch

from stm_experiments.core.seeds import generator
from stm_experiments.data.settings import SPLITS, check_whole_numbers


def fold_shares(count: int, folds: int, fold: int, seed: int) -> dict[str, list[int]]:
    """Return the numbers of the files of each split, in order.

    The files are dealt into folds at random, the same for every fold. Fold ``fold`` is the test,
    the next one the validation, and all others are trained on.

    Args:
        count: Number of files.
        folds: Number of folds, at least 3.
        fold: Number of the fold that is tested, from 0.
        seed: Seed of the division.

    Raises:
        ValueError: If there are too few files or folds, or there is no such fold.
    """
    check_whole_numbers(least=3, folds=folds)
    check_whole_numbers(least=0, fold=fold)
    if fold >= folds:
        raise ValueError(f"data.fold is from 0 to {folds - 1} with data.folds={folds}, not {fold}")
    if count < folds:
        remedy = f"set data.folds={count}" if count >= 3 else "add files, or leave out data.folds"
        raise ValueError(f"data.folds={folds} needs as many files, and there are {count}: {remedy}")
    order = torch.randperm(count, generator=generator(seed, "folds")).tolist()
    parts = [sorted(order[number::folds]) for number in range(folds)]
    test, validation = parts[fold], parts[(fold + 1) % folds]
    train = sorted(set(order) - {*test, *validation})
    return dict(zip(SPLITS, (train, validation, test), strict=True))
