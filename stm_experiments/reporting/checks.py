"""Checks of the records of a run folder before they are reported."""

from collections.abc import Mapping
from typing import Any

from stm_experiments.core.results.measures import Measure

# Numbers of run.json; a run that ended early lacks some.
_ABOUT_NUMBERS = ("job", "seconds", "train_seconds", "patches_per_second", "parameters")
_CONFIG_MAPPINGS = (
    ("lattice",),
    ("data",),
    ("model",),
    ("model", "net"),
    ("model", "optimizer"),
    ("model", "scheduler"),
    ("trainer",),
)
_CONFIG_NUMBERS = (("scale",), ("seed",), ("data", "fraction"), ("trainer", "max_epochs"))
_LARGEST = 1e20  # a seed has 64 bits
_DEEPEST = 50  # levels of a config


def check_about(about: Mapping[str, Any]) -> None:
    """Check the content of run.json.

    Raises:
        ValueError: If a value is of a type that no run writes.
    """
    for key in _ABOUT_NUMBERS:
        _check_number(about.get(key), f"{key} in run.json", bounded=True)
    overrides = about.get("overrides", [])
    if not isinstance(overrides, list) or not all(isinstance(text, str) for text in overrides):
        raise ValueError("overrides in run.json is not a list of texts")
    choices = about.get("choices") or {}
    if not isinstance(choices, dict) or not all(
        isinstance(c, str | None) for c in choices.values()
    ):
        raise ValueError("choices in run.json is not a mapping of texts")
    if not isinstance(about.get("loss"), str | None):
        raise ValueError("loss in run.json is no text")
    check_measures(about.get("measures") or {})
    versions = about.get("versions", {})
    if not isinstance(versions, dict) or not all(isinstance(v, str) for v in versions.values()):
        raise ValueError("versions in run.json is not a mapping of texts")


def check_measures(measures: object) -> None:
    """Check what run.json says of the measures of an objective.

    Raises:
        ValueError: If it is of a type that no run writes.
    """
    kinds = Measure.__annotations__
    mappings = measures.values() if isinstance(measures, dict) else [None]
    for each in mappings:
        if not isinstance(each, dict) or any(
            key not in kinds or not isinstance(value, kinds[key]) for key, value in each.items()
        ):
            raise ValueError("measures in run.json does not describe measures")


def check_numbers(numbers: Mapping[str, Any], source: str) -> dict[str, float]:
    """Return the numbers of a mapping; those that are null are left out.

    Args:
        numbers: Content of a file.
        source: The file, for the error message.

    Raises:
        ValueError: If a value is neither a number nor null.
    """
    for key, value in numbers.items():
        _check_number(value, f"{key} in {source}")
    return {key: value for key, value in numbers.items() if value is not None}


def check_tables(tables: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return a mapping of mappings of numbers, without those that are null.

    Raises:
        ValueError: If it is another thing.
    """
    for key, numbers in tables.items():
        if not isinstance(numbers, dict):
            raise ValueError(f"{key} in {source} holds no mapping")
    return {key: check_numbers(numbers, source) for key, numbers in tables.items()}


def check_statistic(tables: dict[str, Any]) -> None:
    """Check the content of three_patches.json.

    Raises:
        ValueError: If a statistic lacks its mean or an end of its range.
    """
    for name in ("mse", "ssim"):
        if name in tables and not {"mean", "p05", "p95"} <= tables[name].keys():
            raise ValueError(f"{name} in three_patches.json lacks its mean, p05 or p95")


def check_config(config: Mapping[str, Any]) -> None:
    """Check the parts of config.yaml that a report reads.

    Raises:
        ValueError: If one is of another type, or a key is no text.
    """
    _check_keys(config)
    for path in _CONFIG_MAPPINGS:
        value = _value_at(config, path)
        if value is not None and not isinstance(value, dict):
            raise ValueError(f"{'.'.join(path)} in config.yaml holds no mapping")
    if not isinstance(config.get("optimized_metric"), str | None):
        raise ValueError("optimized_metric in config.yaml is no text")
    for path in _CONFIG_NUMBERS:
        _check_number(_value_at(config, path), f"{'.'.join(path)} in config.yaml", bounded=True)


def _value_at(config: Any, path: tuple[str, ...]) -> Any:
    """Return a value deep in a config; None if there is none."""
    for key in path:
        config = config.get(key) if isinstance(config, dict) else None
    return config


def _check_keys(config: object, depth: int = 0) -> None:
    """Check that all keys are texts, and that no mapping lies too deep.

    Raises:
        ValueError: If one is not.
    """
    if depth > _DEEPEST:
        raise ValueError(f"config.yaml is deeper than {_DEEPEST} levels")
    if isinstance(config, dict):
        for key in config:
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} in config.yaml is no text")
    for value in config.values() if isinstance(config, dict) else ():
        _check_keys(value, depth + 1)
    for value in config if isinstance(config, list) else ():
        _check_keys(value, depth + 1)


def _check_number(value: object, name: str, *, bounded: bool = False) -> None:
    """Check that a value is a number or None.

    Raises:
        ValueError: If it is not, or cannot be a float.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {type(value).__name__}, expected a number")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} is beyond the range of floats") from None
    if bounded and not abs(number) <= _LARGEST:
        raise ValueError(f"{name} is {number}, expected a number of at most {_LARGEST:g}")
