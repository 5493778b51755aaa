"""The names of numbers.

A number of ``metrics.json`` is ``<network>/<split>/<part>/<measure>``:

- the split is ``train``, ``val`` or ``test``;
- a run's own network has no name here, so that the names are equal in all runs: ``test/mse_noisy``
  beside ``PCA-10/test/mse_noisy``. The numbers of ``evaluate``, where no network is the own one,
  name every network;
- a part is a lattice (``test/fcc/mse_noisy``) or what is examined, such as the latent codes
  (``test/latent/probe``); most numbers have none;
- half the 95 % interval of a mean has its name with ``_ci95`` at the end.

The columns of ``metrics.csv`` and the charts of loggers have the same names (``val/loss``).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

SPLITS = {"train": "train", "validation": "val", "test": "test"}  # of the data; in names
INTERVAL = "_ci95"  # end of the name of half an interval
FLOOR = "floor"  # stands for a network: the least error that the noise allows

_NAME = re.compile(r"(?:(.+)/)?(train|val|test)/(?:(.+)/)?([^/]+)")
# Of earlier versions: parts without a split, and baselines/<network>/ before a name.
_OLD_BASELINE = re.compile(r"baselines/([^/]+)/(.+)")
_OLD_PART = re.compile(r"(?:latent|content|centred|pose|sites)/.+")


class Name(NamedTuple):
    """The parts of a number's name; empty texts for those that it lacks."""

    network: str
    split: str
    part: str
    measure: str


def metric_name(measure: str, split: str, *, network: str = "", part: str = "") -> str:
    """Return the name of a number.

    Args:
        measure: Such as ``mse_noisy``.
        split: Of the data, or as in names.
        network: Empty for a run's own.
        part: Lattice, or what is examined.
    """
    return "/".join(filter(None, (network, SPLITS.get(split, split), part, measure)))


def read_name(text: str) -> Name | None:
    """Return the parts of a name; None if it has no split."""
    match = _NAME.fullmatch(text)
    return None if match is None else Name(*(part or "" for part in match.groups()))


def networks_named(numbers: Mapping[str, float]) -> list[str]:
    """Return the networks that names of numbers mention, in their order, without the own one."""
    names = (read_name(text) for text in numbers)
    found = dict.fromkeys(name.network for name in names if name and name.network)
    return [network for network in found if network != FLOOR]


def split_of(numbers: Mapping[str, float]) -> str:
    """Return the split of the data on which the networks were scored."""
    is_test = any((name := read_name(text)) and name.split == "test" for text in numbers)
    return "test" if is_test else "validation"


def with_current_names(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return numbers by their names of today; those of earlier versions are renamed."""
    split = split_of(numbers)
    return {current_name(text, split): value for text, value in numbers.items()}


def current_name(text: str, split: str = "test") -> str:
    """Return the name of today of a number.

    Args:
        text: Its name, maybe of an earlier version.
        split: Of the data, where the name lacks it.
    """
    if match := _OLD_BASELINE.fullmatch(text):
        return metric_name(match[2], split, network=match[1])
    if text.startswith("validation/"):
        return f"val/{text.partition('/')[2]}"
    if text == f"{FLOOR}/mse_clean":
        return metric_name("mse_clean", split, network=FLOOR)
    return metric_name(text, split) if _OLD_PART.fullmatch(text) else text
