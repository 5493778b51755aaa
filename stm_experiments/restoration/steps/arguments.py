"""The arguments of steps, as a command line or a program gives them."""

import math
from collections.abc import Sequence
from typing import Any

REGION = "a region [top, left, height, width] in px"


def numbers(argument: Any, count: int, step: str, meaning: str) -> list[float]:
    """Return an argument that is a list of so many finite numbers.

    Raises:
        ValueError: If it is anything else; the message says what it means.
    """
    given = list(argument) if isinstance(argument, Sequence) else [argument]
    valid = [x for x in given if isinstance(x, int | float) and not isinstance(x, bool)]
    if len(given) != count or len(valid) != count or not all(map(math.isfinite, valid)):
        raise ValueError(f"prepare: {step} takes {meaning}, not {argument!r}")
    return [float(x) for x in valid]


def whole_numbers(argument: Any, count: int, step: str, meaning: str) -> list[int]:
    """Return an argument that is a list of so many whole numbers.

    Raises:
        ValueError: If it is anything else.
    """
    found = numbers(argument, count, step, meaning)
    if any(x != int(x) for x in found):
        raise ValueError(f"prepare: {step} takes {meaning}, not {argument!r}")
    return [int(x) for x in found]


def pairs(argument: Any, step: str, meaning: str) -> list[list[float]]:
    """Return an argument that is a pair of numbers or a list of such pairs.

    Raises:
        ValueError: If it is anything else.
    """
    one = isinstance(argument, Sequence) and not any(isinstance(x, Sequence) for x in argument)
    many = [argument] if one else argument
    if not isinstance(many, Sequence) or isinstance(many, str) or not many:
        raise ValueError(f"prepare: {step} takes {meaning}, not {argument!r}")
    return [numbers(pair, 2, step, meaning) for pair in many]


def region(argument: Any, step: str) -> list[int]:
    """Return a region [top, left, height, width], px.

    Raises:
        ValueError: If the argument is none.
    """
    found = whole_numbers(argument, 4, step, REGION)
    if min(found) < 0 or min(found[2:]) < 1:
        raise ValueError(f"prepare: {step} takes {REGION}, not {argument!r}")
    return found
