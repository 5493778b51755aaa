"""The second pooling and its gradient."""

from stm_experiments.models.fused.lanes import (
    Array,
    add_at,
    compiled,
    constant,
    load,
    store,
    where_equal,
    where_greater,
)
from stm_experiments.models.fused.layout import DEEP_MAPS, DOWN_WIDE, NARROW, PLANE_WIDE


@compiled
def pool(x: Array, y: Array, winners: Array) -> None:
    """Keep the largest of four px and cut off what is negative.

    Args:
        x: Planes of 8x8 px, [9].
        y: [9, 4, 4]; receives the result.
        winners: [9, 4, 4]; receives which of four px is the largest (the first of equals), or -1
            where the result is 0.
    """
    zero, none = constant(0.0), constant(-1.0)
    k = 0
    for channel in range(DEEP_MAPS):
        for row in range(NARROW):
            for column in range(NARROW):
                at = channel * PLANE_WIDE + (2 * row + 1) * DOWN_WIDE + 2 * column + 1
                best, winner = load(x, at), zero
                for number in range(1, 4):
                    other = load(x, at + (number // 2) * DOWN_WIDE + number % 2)
                    winner = where_greater(other, best, constant(float(number)), winner)
                    best = where_greater(other, best, other, best)
                store(y, k, where_greater(zero, best, zero, best))
                store(winners, k, where_greater(best, zero, winner, none))
                k += 1


@compiled
def unpool(g: Array, winners: Array, gx: Array, bias: Array) -> None:
    """Return gradients to the px that were kept.

    Args:
        g: Gradients of the pooled px, [9, 4, 4].
        winners: [9, 4, 4], from ``pool``.
        gx: Planes of 8x8 px, [9]; receives the gradients.
        bias: [9]; receives their sums.
    """
    zero, none = constant(0.0), constant(-1.0)
    k = 0
    for channel in range(DEEP_MAPS):
        total = zero
        for row in range(NARROW):
            for column in range(NARROW):
                at = channel * PLANE_WIDE + (2 * row + 1) * DOWN_WIDE + 2 * column + 1
                winner, gradient = load(winners, k), load(g, k)
                total += where_equal(winner, none, zero, gradient)
                for number in range(4):
                    t = at + (number // 2) * DOWN_WIDE + number % 2
                    store(gx, t, where_equal(winner, constant(float(number)), gradient, zero))
                k += 1
        add_at(bias, channel, total)
