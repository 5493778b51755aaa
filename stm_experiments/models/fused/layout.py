"""Where the pixels of an image lie in memory.

A *plane* is an image of ``side`` x ``side`` px with a border of zeros of one px. The border on the
right of a row is also the border on the left of the next row, so that a step down is ``side + 1``.
"""

PATCH = 17  # px, side of a patch
WIDE = 8  # px, side after the first pooling
NARROW = 4  # px, side after the second pooling
MAPS = 16  # channels at WIDE
DEEP_MAPS = 9  # channels at NARROW


def step_down(side: int) -> int:
    """Return the distance between a pixel and the one below it, lanes."""
    return side + 1


def plane_size(side: int) -> int:
    """Return the size of a plane, lanes."""
    return (side + 2) * (side + 1) + 1


DOWN_PATCH, DOWN_WIDE, DOWN_NARROW = (step_down(side) for side in (PATCH, WIDE, NARROW))
PLANE_PATCH, PLANE_WIDE, PLANE_NARROW = (plane_size(side) for side in (PATCH, WIDE, NARROW))
