"""The transposed convolutions of the decoder, which double the side of an image.

With a stride of 2, px x of the input and weight j meet in px 2 x - 1 + j of the output. An output
px sees every second weight: those with odd j in even columns, those with even j in odd columns.
"""

from stm_experiments.models.fused.convolution import add_three_at
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
    where_greater,
)
from stm_experiments.models.fused.layout import (
    DEEP_MAPS,
    DOWN_NARROW,
    DOWN_PATCH,
    DOWN_WIDE,
    MAPS,
    NARROW,
    PATCH,
    PLANE_NARROW,
    PLANE_WIDE,
    WIDE,
)

Five = tuple[Lanes, Lanes, Lanes, Lanes, Lanes]
Six = tuple[Lanes, Lanes, Lanes, Lanes, Lanes, Lanes]


@compiled
def place(x: Array, y: Array) -> None:
    """Put numbers [9, 4, 4] into planes of 4x4 px."""
    k = 0
    for channel in range(DEEP_MAPS):
        for row in range(1, NARROW + 1):
            for column in range(1, NARROW + 1):
                store(y, channel * PLANE_NARROW + row * DOWN_NARROW + column, load(x, k))
                k += 1


@compiled
def add_expanded(row: Row, x: Array, at: int, weights: Array, k: int) -> Row:
    """Add to eight px what four px give with three weights."""
    u, v, w = spread(weights, k), spread(weights, k + 1), spread(weights, k + 2)
    x0, x1, x2, x3 = load(x, at), load(x, at + 1), load(x, at + 2), load(x, at + 3)
    return (
        row[0] + v * x0,
        row[1] + w * x0 + u * x1,
        row[2] + v * x1,
        row[3] + w * x1 + u * x2,
        row[4] + v * x2,
        row[5] + w * x2 + u * x3,
        row[6] + v * x3,
        row[7] + w * x3,
    )


@compiled
def rectify(row: Row) -> Row:
    """Cut off what is negative."""
    zero = constant(0.0)
    return (
        where_greater(zero, row[0], zero, row[0]),
        where_greater(zero, row[1], zero, row[1]),
        where_greater(zero, row[2], zero, row[2]),
        where_greater(zero, row[3], zero, row[3]),
        where_greater(zero, row[4], zero, row[4]),
        where_greater(zero, row[5], zero, row[5]),
        where_greater(zero, row[6], zero, row[6]),
        where_greater(zero, row[7], zero, row[7]),
    )


@compiled
def expand(x: Array, weights: Array, bias: Array, y: Array) -> None:
    """Expand planes of 4x4 px to 8x8 px and cut off what is negative.

    Args:
        x: Planes [9].
        weights: [9, 16, 3, 3].
        bias: [16].
        y: Planes [16]; receives the result.
    """
    for output in range(MAPS):
        for row in range(NARROW):
            even, odd = fill_row(spread(bias, output)), fill_row(spread(bias, output))
            for channel in range(DEEP_MAPS):
                at = channel * PLANE_NARROW + (row + 1) * DOWN_NARROW + 1
                k = (channel * MAPS + output) * 9
                even = add_expanded(even, x, at, weights, k + 3)
            for channel in range(DEEP_MAPS):
                at = channel * PLANE_NARROW + (row + 1) * DOWN_NARROW + 1
                k = (channel * MAPS + output) * 9
                odd = add_expanded(odd, x, at, weights, k + 6)
                odd = add_expanded(odd, x, at + DOWN_NARROW, weights, k)
            t = output * PLANE_WIDE + (2 * row + 1) * DOWN_WIDE + 1
            store_row(y, t, rectify(even))
            store_row(y, t + DOWN_WIDE, rectify(odd))


@compiled
def add_expanded_six(row: Six, x: Array, at: int, weights: Array, k: int) -> Six:
    """Add to six px what five px give with five weights; the second px is the middle of two."""
    w0, w1, w2 = spread(weights, k), spread(weights, k + 1), spread(weights, k + 2)
    w3, w4 = spread(weights, k + 3), spread(weights, k + 4)
    x0, x1, x2 = load(x, at - 1), load(x, at), load(x, at + 1)
    x3, x4 = load(x, at + 2), load(x, at + 3)
    return (
        row[0] + w1 * x1 + w3 * x0,
        row[1] + w0 * x2 + w2 * x1 + w4 * x0,
        row[2] + w1 * x2 + w3 * x1,
        row[3] + w0 * x3 + w2 * x2 + w4 * x1,
        row[4] + w1 * x3 + w3 * x2,
        row[5] + w0 * x4 + w2 * x3 + w4 * x2,
    )


@compiled
def expand_and_compare(
    x: Array, weights: Array, bias: Array, target: Array, g: Array, used: Lanes
) -> Lanes:
    """Expand planes of 8x8 px to the patch and subtract the target.

    Args:
        x: Planes [16].
        weights: [16, 1, 5, 5].
        bias: [1].
        target: Plane of 17x17 px.
        g: Plane of 17x17 px; receives the patch without the target, half the gradient of the
            squared error.
        used: 1 in lanes with a patch, else 0.

    Returns:
        The squared error, summed over the patch.
    """
    error = constant(0.0)
    for row in range(WIDE + 1):
        for column in range(0, WIDE + 1, 3):
            even, odd = expand_cells(x, weights, spread(bias, 0), row, column)
            at = (2 * row + 1) * DOWN_PATCH + 2 * column + 1
            count = min(6, PATCH - 2 * column)
            error += compare(even, target, g, at, count, used)
            if row < WIDE:
                error += compare(odd, target, g, at + DOWN_PATCH, count, used)
    return error


@compiled
def expand_cells(x: Array, weights: Array, start: Lanes, row: int, column: int) -> tuple[Six, Six]:
    """Return six px of an even and of an odd row of the patch."""
    even = start, start, start, start, start, start
    odd = even
    for channel in range(MAPS):
        at = channel * PLANE_WIDE + (row + 1) * DOWN_WIDE + column + 1
        k = 25 * channel
        if row > 0:
            even = add_expanded_six(even, x, at - DOWN_WIDE, weights, k + 15)
            odd = add_expanded_six(odd, x, at - DOWN_WIDE, weights, k + 20)
        if row < WIDE:
            even = add_expanded_six(even, x, at, weights, k + 5)
            odd = add_expanded_six(odd, x, at, weights, k + 10)
        if row < WIDE - 1:
            odd = add_expanded_six(odd, x, at + DOWN_WIDE, weights, k)
    return even, odd


@compiled
def compare(row: Six, target: Array, g: Array, at: int, count: int, used: Lanes) -> Lanes:
    """Store the differences of the first px of a row to the target; return their squares' sum."""
    error = compare_px(row[0], target, g, at, used)
    error += compare_px(row[1], target, g, at + 1, used)
    error += compare_px(row[2], target, g, at + 2, used)
    error += compare_px(row[3], target, g, at + 3, used)
    error += compare_px(row[4], target, g, at + 4, used)
    if count == 6:
        error += compare_px(row[5], target, g, at + 5, used)
    return error


@compiled
def compare_px(value: Lanes, target: Array, g: Array, at: int, used: Lanes) -> Lanes:
    """Store the difference of a px to the target; return its square."""
    difference = (value - load(target, at)) * used
    store(g, at, difference)
    return difference * difference


@compiled
def add_patch_gradients(x: Array, g: Array, sums: Array, bias: Array) -> None:
    """Add the gradients of the weights and the bias of the last layer.

    Args:
        x: Its inputs, planes of 8x8 px, [16].
        g: Gradients of the patch, plane of 17x17 px.
        sums: [16, 1, 5, 5]; receives the gradients.
        bias: [1]; receives the gradient.
    """
    for channel in range(0, MAPS, 2):
        for i in range(5):
            add_ten_sums(x, channel * PLANE_WIDE, g, i * DOWN_PATCH, sums, 25 * channel + 5 * i)
    total = constant(0.0)
    for row in range(1, PATCH + 1):
        for column in range(1, PATCH + 1):
            total += load(g, row * DOWN_PATCH + column)
    add_at(bias, 0, total)


@compiled
def add_ten_sums(x: Array, at: int, g: Array, first: int, sums: Array, k: int) -> None:
    """Add the sums over an image of the products of two channels with five px of the patch."""
    zero = constant(0.0)
    a = b = zero, zero, zero, zero, zero
    for row in range(WIDE):
        s, t = at + (row + 1) * DOWN_WIDE + 1, first + 2 * row * DOWN_PATCH
        for column in range(WIDE):
            a = add_scaled(a, load(x, s + column), g, t + 2 * column)
            b = add_scaled(b, load(x, s + column + PLANE_WIDE), g, t + 2 * column)
    add_five_at(sums, k, a)
    add_five_at(sums, k + 25, b)


@compiled
def add_scaled(sums: Five, x: Lanes, g: Array, at: int) -> Five:
    """Add the products of a px with five neighbours in a row."""
    return (
        sums[0] + x * load(g, at),
        sums[1] + x * load(g, at + 1),
        sums[2] + x * load(g, at + 2),
        sums[3] + x * load(g, at + 3),
        sums[4] + x * load(g, at + 4),
    )


@compiled
def add_five_at(sums: Array, k: int, values: Five) -> None:
    """Add five lanes to five neighbours of an array."""
    add_three_at(sums, k, values[0], values[1], values[2])
    add_at(sums, k + 3, values[3])
    add_at(sums, k + 4, values[4])


@compiled
def add_five(start: Lanes, w: Five, g: Array, at: int) -> Lanes:
    """Add the products of five weights with five neighbours in a row."""
    return (
        start
        + w[0] * load(g, at)
        + w[1] * load(g, at + 1)
        + w[2] * load(g, at + 2)
        + w[3] * load(g, at + 3)
        + w[4] * load(g, at + 4)
    )


@compiled
def shrink_patch(g: Array, weights: Array, x: Array, gx: Array, bias: Array) -> None:
    """Compute the gradients of the inputs of the last layer, before they were rectified.

    Args:
        g: Gradients of the patch, plane of 17x17 px.
        weights: [16, 1, 5, 5].
        x: The inputs, planes of 8x8 px, [16].
        gx: Planes [16]; receives the gradients.
        bias: [16]; receives their sums.
    """
    for channel in range(MAPS):
        total = constant(0.0)
        for row_number in range(WIDE):
            row = fill_row(constant(0.0))
            for i in range(5):
                k, at = 25 * channel + 5 * i, (2 * row_number + i) * DOWN_PATCH
                w = (
                    spread(weights, k),
                    spread(weights, k + 1),
                    spread(weights, k + 2),
                    spread(weights, k + 3),
                    spread(weights, k + 4),
                )
                row = (
                    add_five(row[0], w, g, at),
                    add_five(row[1], w, g, at + 2),
                    add_five(row[2], w, g, at + 4),
                    add_five(row[3], w, g, at + 6),
                    add_five(row[4], w, g, at + 8),
                    add_five(row[5], w, g, at + 10),
                    add_five(row[6], w, g, at + 12),
                    add_five(row[7], w, g, at + 14),
                )
            at = channel * PLANE_WIDE + (row_number + 1) * DOWN_WIDE + 1
            row = keep_where_positive(row, x, at)
            store_row(gx, at, row)
            total += ((row[0] + row[1]) + (row[2] + row[3])) + (
                (row[4] + row[5]) + (row[6] + row[7])
            )
        add_at(bias, channel, total)


@compiled
def keep_where_positive(row: Row, x: Array, at: int) -> Row:
    """Keep gradients where the rectified px is above 0."""
    zero = constant(0.0)
    return (
        where_greater(load(x, at), zero, row[0], zero),
        where_greater(load(x, at + 1), zero, row[1], zero),
        where_greater(load(x, at + 2), zero, row[2], zero),
        where_greater(load(x, at + 3), zero, row[3], zero),
        where_greater(load(x, at + 4), zero, row[4], zero),
        where_greater(load(x, at + 5), zero, row[5], zero),
        where_greater(load(x, at + 6), zero, row[6], zero),
        where_greater(load(x, at + 7), zero, row[7], zero),
    )


@compiled
def add_map_gradients(x: Array, g: Array, sums: Array) -> None:
    """Add the gradients of the weights of the first transposed convolution.

    Args:
        x: Its inputs, planes of 4x4 px, [9].
        g: Gradients of its outputs, planes of 8x8 px, [16].
        sums: [9, 16, 3, 3]; receives the gradients.
    """
    for channel in range(0, DEEP_MAPS, 3):
        for output in range(MAPS):
            for i in range(3):
                k = (channel * MAPS + output) * 9 + 3 * i
                add_nine_map_sums(
                    x, channel * PLANE_NARROW, g, output * PLANE_WIDE + i * DOWN_WIDE, sums, k
                )


@compiled
def add_nine_map_sums(x: Array, at: int, g: Array, first: int, sums: Array, k: int) -> None:
    """Add the sums over an image of the products of three channels with three px of a map."""
    a0 = a1 = a2 = b0 = b1 = b2 = c0 = c1 = c2 = constant(0.0)
    for row in range(NARROW):
        s, t = at + (row + 1) * DOWN_NARROW + 1, first + 2 * row * DOWN_WIDE
        for column in range(NARROW):
            xa = load(x, s + column)
            xb = load(x, s + column + PLANE_NARROW)
            xc = load(x, s + column + 2 * PLANE_NARROW)
            u = t + 2 * column
            g0, g1, g2 = load(g, u), load(g, u + 1), load(g, u + 2)
            a0, a1, a2 = a0 + xa * g0, a1 + xa * g1, a2 + xa * g2
            b0, b1, b2 = b0 + xb * g0, b1 + xb * g1, b2 + xb * g2
            c0, c1, c2 = c0 + xc * g0, c1 + xc * g1, c2 + xc * g2
    add_three_at(sums, k, a0, a1, a2)
    add_three_at(sums, k + 9 * MAPS, b0, b1, b2)
    add_three_at(sums, k + 18 * MAPS, c0, c1, c2)


@compiled
def shrink(g: Array, weights: Array, gx: Array) -> None:
    """Compute the gradients of the inputs of the first transposed convolution.

    Args:
        g: Gradients of its outputs, planes of 8x8 px, [16].
        weights: [9, 16, 3, 3].
        gx: [9, 4, 4]; receives the gradients.
    """
    for channel in range(DEEP_MAPS):
        for half in range(2):
            row = fill_row(constant(0.0))
            for output in range(MAPS):
                for i in range(3):
                    k = (channel * MAPS + output) * 9 + 3 * i
                    at = output * PLANE_WIDE + (4 * half + i) * DOWN_WIDE
                    row = add_two_rows(row, g, at, weights, k)
            store_row(gx, channel * NARROW * NARROW + 2 * NARROW * half, row)


@compiled
def add_two_rows(row: Row, g: Array, at: int, weights: Array, k: int) -> Row:
    """Add to two rows of four px the products of three weights with every second px of a map."""
    u, v, w = spread(weights, k), spread(weights, k + 1), spread(weights, k + 2)
    below = at + 2 * DOWN_WIDE
    return (
        row[0] + u * load(g, at) + v * load(g, at + 1) + w * load(g, at + 2),
        row[1] + u * load(g, at + 2) + v * load(g, at + 3) + w * load(g, at + 4),
        row[2] + u * load(g, at + 4) + v * load(g, at + 5) + w * load(g, at + 6),
        row[3] + u * load(g, at + 6) + v * load(g, at + 7) + w * load(g, at + 8),
        row[4] + u * load(g, below) + v * load(g, below + 1) + w * load(g, below + 2),
        row[5] + u * load(g, below + 2) + v * load(g, below + 3) + w * load(g, below + 4),
        row[6] + u * load(g, below + 4) + v * load(g, below + 5) + w * load(g, below + 6),
        row[7] + u * load(g, below + 6) + v * load(g, below + 7) + w * load(g, below + 8),
    )
