"""The linear layers between the maps (144 numbers) and the code, and their gradients."""

from stm_experiments.models.fused.lanes import (
    Array,
    add_at,
    compiled,
    constant,
    load,
    spread,
    store,
)
from stm_experiments.models.fused.layout import DEEP_MAPS, NARROW

FEATURES = DEEP_MAPS * NARROW * NARROW


@compiled
def reduce_features(
    x: Array, weights: Array, bias: Array, y: Array, steps: tuple[int, int]
) -> None:
    """Multiply 144 numbers with a matrix of few rows.

    Args:
        x: [144].
        weights: The matrix.
        bias: [D].
        y: [D]; receives the result.
        steps: Distances of the matrix's elements along D and along the 144 numbers.
    """
    down, right = steps
    for d in range(len(bias)):
        # Four sums, as each addition waits for the one before.
        a, b, c, e = spread(bias, d), constant(0.0), constant(0.0), constant(0.0)
        k = d * down
        for number in range(0, FEATURES, 4):
            a += spread(weights, k) * load(x, number)
            b += spread(weights, k + right) * load(x, number + 1)
            c += spread(weights, k + 2 * right) * load(x, number + 2)
            e += spread(weights, k + 3 * right) * load(x, number + 3)
            k += 4 * right
        store(y, d, (a + b) + (c + e))


@compiled
def expand_code(
    x: Array, weights: Array, bias: Array, y: Array, steps: tuple[int, int, int]
) -> None:
    """Multiply few numbers with a matrix of 144 rows.

    Args:
        x: [D].
        weights: The matrix.
        bias: [144].
        y: [144]; receives the result.
        steps: D, and distances of the matrix's elements along D and along the 144 rows.
    """
    size, right, down = steps
    for number in range(0, FEATURES, 4):
        a, b = spread(bias, number), spread(bias, number + 1)
        c, e = spread(bias, number + 2), spread(bias, number + 3)
        k = number * down
        for d in range(size):
            value = load(x, d)
            a += spread(weights, k) * value
            b += spread(weights, k + down) * value
            c += spread(weights, k + 2 * down) * value
            e += spread(weights, k + 3 * down) * value
            k += right
        store(y, number, a)
        store(y, number + 1, b)
        store(y, number + 2, c)
        store(y, number + 3, e)


@compiled
def add_linear_gradients(
    x: Array, g: Array, sums: Array, bias: Array, size: tuple[int, int]
) -> None:
    """Add the gradients of the weights and the bias of a linear layer.

    Args:
        x: Its inputs.
        g: Gradients of its outputs.
        sums: [outputs, inputs]; receives the gradients.
        bias: [outputs]; receives the gradients.
        size: Numbers of outputs and inputs.
    """
    outputs, inputs = size
    for output in range(outputs):
        gradient = load(g, output)
        for k in range(inputs):
            add_at(sums, output * inputs + k, gradient * load(x, k))
        add_at(bias, output, gradient)
