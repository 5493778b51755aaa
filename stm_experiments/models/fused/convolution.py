"""The convolutions of the encoder, 3x3 px, and their gradients."""

from stm_experiments.models.fused.lanes import (
    Array,
    Lanes,
    Row,
    add_at,
    compiled,
    constant,
    fill_row,
    load,
    spread,
    store,
    store_row,
    where_equal,
    where_greater,
)
from stm_experiments.models.fused.layout import (
    DEEP_MAPS,
    DOWN_PATCH,
    DOWN_WIDE,
    MAPS,
    PLANE_WIDE,
    WIDE,
)


@compiled
def add_three(start: Lanes, u: Lanes, v: Lanes, w: Lanes, x: Array, at: int) -> Lanes:
    """Add the products of three weights with three neighbours in a row."""
    return start + u * load(x, at) + v * load(x, at + 1) + w * load(x, at + 2)


@compiled
def add_convolved(row: Row, x: Array, at: int, weights: Array, k: int) -> Row:
    """Add to eight px the products of three weights with eight px and their neighbours."""
    u, v, w = spread(weights, k), spread(weights, k + 1), spread(weights, k + 2)
    return (
        add_three(row[0], u, v, w, x, at - 1),
        add_three(row[1], u, v, w, x, at),
        add_three(row[2], u, v, w, x, at + 1),
        add_three(row[3], u, v, w, x, at + 2),
        add_three(row[4], u, v, w, x, at + 3),
        add_three(row[5], u, v, w, x, at + 4),
        add_three(row[6], u, v, w, x, at + 5),
        add_three(row[7], u, v, w, x, at + 6),
    )


@compiled
def convolve(x: Array, weights: Array, bias: Array, y: Array, inputs: int, outputs: int) -> None:
    """Convolve planes of 8x8 px.

    Args:
        x: Planes [inputs].
        weights: [outputs, inputs, 3, 3].
        bias: [outputs].
        y: Planes [outputs]; receives the result.
        inputs: Channels of ``x``.
        outputs: Channels of ``y``.
    """
    for output in range(outputs):
        for row_number in range(1, WIDE + 1):
            at = row_number * DOWN_WIDE + 1
            row = fill_row(spread(bias, output))
            k = output * inputs * 9
            for channel in range(inputs):
                for i in range(-1, 2):
                    above = channel * PLANE_WIDE + at + i * DOWN_WIDE
                    row = add_convolved(row, x, above, weights, k)
                    k += 3
            store_row(y, output * PLANE_WIDE + at, row)


@compiled
def add_weight_gradients(x: Array, g: Array, sums: Array) -> None:
    """Add the gradients of the weights of the second convolution.

    Args:
        x: Its inputs, planes of 8x8 px, [16].
        g: Gradients of its outputs, planes, [9].
        sums: [9, 16, 3, 3]; receives the gradients.
    """
    for output in range(0, DEEP_MAPS, 3):
        for channel in range(MAPS):
            for i in range(3):
                k = (output * MAPS + channel) * 9 + 3 * i
                add_nine_sums(x, channel * PLANE_WIDE + i * DOWN_WIDE, g, output, sums, k)


@compiled
def add_nine_sums(x: Array, at: int, g: Array, output: int, sums: Array, k: int) -> None:
    """Add the sums over an image of the products of three channels with three neighbours."""
    a0, a1, a2 = constant(0.0), constant(0.0), constant(0.0)
    b0, b1, b2 = a0, a1, a2
    c0, c1, c2 = a0, a1, a2
    for row in range(WIDE):
        t = at + row * DOWN_WIDE
        s = output * PLANE_WIDE + (row + 1) * DOWN_WIDE + 1
        for column in range(WIDE):
            x0, x1, x2 = load(x, t + column), load(x, t + column + 1), load(x, t + column + 2)
            ga = load(g, s + column)
            gb = load(g, s + column + PLANE_WIDE)
            gc = load(g, s + column + 2 * PLANE_WIDE)
            a0, a1, a2 = a0 + ga * x0, a1 + ga * x1, a2 + ga * x2
            b0, b1, b2 = b0 + gb * x0, b1 + gb * x1, b2 + gb * x2
            c0, c1, c2 = c0 + gc * x0, c1 + gc * x1, c2 + gc * x2
    add_three_at(sums, k, a0, a1, a2)
    add_three_at(sums, k + 9 * MAPS, b0, b1, b2)
    add_three_at(sums, k + 18 * MAPS, c0, c1, c2)


@compiled
def add_three_at(sums: Array, k: int, a: Lanes, b: Lanes, c: Lanes) -> None:
    """Add three lanes to three neighbours of an array."""
    add_at(sums, k, a)
    add_at(sums, k + 1, b)
    add_at(sums, k + 2, c)


@compiled
def convolve_and_pool(x: Array, weights: Array, bias: Array, y: Array, winners: Array) -> None:
    """Convolve the patch, keep the largest of four px, and cut off what is negative.

    Args:
        x: Plane of 17x17 px.
        weights: [16, 1, 3, 3].
        bias: [16].
        y: Planes of 8x8 px, [16]; receives the result.
        winners: [16, 8, 8]; receives which of four px is the largest (the first of equals), or -1
            where the result is 0.
    """
    zero, one, two, three, none = (
        constant(0.0),
        constant(1.0),
        constant(2.0),
        constant(3.0),
        constant(-1.0),
    )
    for channel in range(MAPS):
        start = spread(bias, channel)
        for row in range(WIDE):
            for column in range(WIDE):
                at = 2 * row * DOWN_PATCH + 2 * column
                best, winner = convolve_px(x, at, weights, 9 * channel, start), zero
                other = convolve_px(x, at + 1, weights, 9 * channel, start)
                winner = where_greater(other, best, one, winner)
                best = where_greater(other, best, other, best)
                other = convolve_px(x, at + DOWN_PATCH, weights, 9 * channel, start)
                winner = where_greater(other, best, two, winner)
                best = where_greater(other, best, other, best)
                other = convolve_px(x, at + DOWN_PATCH + 1, weights, 9 * channel, start)
                winner = where_greater(other, best, three, winner)
                best = where_greater(other, best, other, best)
                t = channel * PLANE_WIDE + (row + 1) * DOWN_WIDE + column + 1
                store(y, t, where_greater(zero, best, zero, best))
                k = (channel * WIDE + row) * WIDE + column
                store(winners, k, where_greater(best, zero, winner, none))


@compiled
def convolve_px(x: Array, at: int, weights: Array, k: int, start: Lanes) -> Lanes:
    """Return one px of a convolution of the patch whose window starts at ``at``."""
    for i in range(3):
        u, v, w = spread(weights, k), spread(weights, k + 1), spread(weights, k + 2)
        start = add_three(start, u, v, w, x, at + i * DOWN_PATCH)
        k += 3
    return start


@compiled
def add_first_gradients(x: Array, g: Array, winners: Array, sums: Array, bias: Array) -> None:
    """Add the gradients of the weights and the bias of the first convolution.

    Args:
        x: Plane of 17x17 px.
        g: Gradients of the pooled px, planes of 8x8 px, [16].
        winners: [16, 8, 8], from ``convolve_and_pool``.
        sums: [16, 1, 3, 3]; receives the gradients.
        bias: [16]; receives the gradients.
    """
    zero, one, two, three, none = (
        constant(0.0),
        constant(1.0),
        constant(2.0),
        constant(3.0),
        constant(-1.0),
    )
    for channel in range(MAPS):
        row0, row1, row2 = (zero, zero, zero), (zero, zero, zero), (zero, zero, zero)
        total = zero
        for row in range(WIDE):
            for column in range(WIDE):
                winner = load(winners, (channel * WIDE + row) * WIDE + column)
                gradient = load(g, channel * PLANE_WIDE + (row + 1) * DOWN_WIDE + column + 1)
                total += where_equal(winner, none, zero, gradient)
                at = 2 * row * DOWN_PATCH + 2 * column
                upper = (
                    where_equal(winner, zero, gradient, zero),
                    where_equal(winner, one, gradient, zero),
                )
                lower = (
                    where_equal(winner, two, gradient, zero),
                    where_equal(winner, three, gradient, zero),
                )
                row0 = add_pair(row0, upper, x, at)
                row1 = add_pair(row1, upper, x, at + DOWN_PATCH)
                row0 = add_pair(row0, lower, x, at + DOWN_PATCH)
                row2 = add_pair(row2, upper, x, at + 2 * DOWN_PATCH)
                row1 = add_pair(row1, lower, x, at + 2 * DOWN_PATCH)
                row2 = add_pair(row2, lower, x, at + 3 * DOWN_PATCH)
        add_three_at(sums, 9 * channel, row0[0], row0[1], row0[2])
        add_three_at(sums, 9 * channel + 3, row1[0], row1[1], row1[2])
        add_three_at(sums, 9 * channel + 6, row2[0], row2[1], row2[2])
        add_at(bias, channel, total)


@compiled
def add_pair(
    sums: tuple[Lanes, Lanes, Lanes], g: tuple[Lanes, Lanes], x: Array, at: int
) -> tuple[Lanes, Lanes, Lanes]:
    """Add the products of the gradients of two neighbouring px with the px under three weights."""
    x0, x1, x2, x3 = load(x, at), load(x, at + 1), load(x, at + 2), load(x, at + 3)
    return (
        sums[0] + g[0] * x0 + g[1] * x1,
        sums[1] + g[0] * x1 + g[1] * x2,
        sums[2] + g[0] * x2 + g[1] * x3,
    )


@compiled
def turn_over(weights: Array, turned: Array) -> None:
    """Turn the weights of the second convolution around, for the gradients of its inputs.

    Args:
        weights: [9, 16, 3, 3].
        turned: [16, 9, 3, 3]; receives them, each kernel by half a turn.
    """
    for output in range(DEEP_MAPS):
        for channel in range(MAPS):
            for k in range(9):
                turned[(channel * DEEP_MAPS + output) * 9 + 8 - k] = weights[
                    (output * MAPS + channel) * 9 + k
                ]
