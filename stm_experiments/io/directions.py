"""The direction of a trace, as the names of channels state it in words."""

import re
from typing import NamedTuple

WORDS = {
    "forward": ("forward", "forwards", "forw", "fwd", "fw", "trace", "right"),
    "backward": ("backward", "backwards", "backw", "bwd", "bw", "back", "retrace", "left", "rev"),
}
DIRECTIONS = {word: direction for direction, words in WORDS.items() for word in words}
# The other words count as the first or last word of a name only: "Mask of left island" is no trace.
UNMISTAKABLE = ("forward", "forwards", "fwd", "trace", "backward", "backwards", "bwd", "retrace")
PASSES = ("up", "down")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")  # "RetraceUp" has two


class Named(NamedTuple):
    """A name without the words that tell a direction.

    Attributes:
        channel: The rest of the name, or all of it if there is no rest.
        direction: As in ``Scan``.
    """

    channel: str
    direction: str


def split_direction(name: str) -> Named:
    """Split a name such as "Z (Backward)", "HeightRetrace" or "45-1 Z RetraceDown".

    A name without such a word is that of a forward trace.
    """
    words = list(WORD.finditer(name))
    lower = [word[0].lower() for word in words]
    ends = {0, len(words) - 1 - (lower[-1:] in ([each] for each in PASSES))}
    places = [
        place
        for place, word in enumerate(lower)
        if word in UNMISTAKABLE or (word in DIRECTIONS and place in ends)
    ]
    if not places:
        return Named(name.strip(), "forward")
    place = places[-1]
    direction, end = DIRECTIONS[lower[place]], words[place].end()
    if lower[place + 1 : place + 2] in ([each] for each in PASSES):
        direction += "/down" if lower[place + 1] == "down" else ""
        end = words[place + 1].end()
    rest = name[: words[place].start()].rstrip("([{ _-.,:/") + " " + name[end:].lstrip(")]} _-.,:/")
    return Named(rest.strip(" _-.,:/") or name.strip(), direction)
