"""Numbers of several patches at once: one patch in each lane of a vector register.

Compiled functions compute with *lanes*, a number of 8 or 16 patches at once, as if with the number
of a single patch: ``+``, ``-`` and ``*`` act on all patches. Arrays of lanes are flat float32
arrays; ``load`` and ``store`` count in lanes, not in floats. Their memory is aligned to 64 bytes.
"""

import operator
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic, models, overload, register_model
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Array = NDArray[np.float32]
Lanes = Any  # known to the compiler only
Row = tuple[Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes]  # px of one row of an image

LANES = 16 if "+avx512f" in get_host_cpu_features() else 8
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_UNDEFINED = ir.Constant(_VECTOR, ir.Undefined)
_FIRST = ir.Constant(ir.IntType(32), 0)
_ALL_FIRST = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)


def compiled(function: Function) -> Function:
    """Compile a function when another one that calls it is compiled; Python cannot call it."""
    inner: Function = njit(
        nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
    )(function)
    return inner


class _LanesType(types.Type):  # type: ignore[misc]
    """The compiler's type of lanes."""


class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    """Lanes are one vector register."""

    def __init__(self, manager: Any, front: _LanesType) -> None:
        super().__init__(manager, front, _VECTOR)


register_model(_LanesType)(_LanesModel)
_LANES = _LanesType(f"Lanes{LANES}")


def _address(context: Any, builder: Any, signature: Any, arguments: Any, kind: Any) -> Any:
    """Return the address of an element of an array, the first two arguments of a function."""
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.gep(builder.bitcast(data, kind.as_pointer()), [arguments[1]])


def _broadcast(builder: Any, number: Any) -> Any:
    """Return a vector with the same number everywhere."""
    return builder.shuffle_vector(
        builder.insert_element(_UNDEFINED, number, _FIRST), _UNDEFINED, _ALL_FIRST
    )


def _load(_: Any, array: Any, index: Any) -> Any:
    """Read lanes from an array of lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments, _VECTOR)
        return builder.load(address, align=4 * LANES)

    return _LANES(array, types.intp), generate


def _store(_: Any, array: Any, index: Any, value: Any) -> Any:
    """Write lanes into an array of lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments, _VECTOR)
        builder.store(arguments[2], address, align=4 * LANES)
        return context.get_dummy_value()

    return types.void(array, types.intp, _LANES), generate


def _spread(_: Any, array: Any, index: Any) -> Any:
    """Return lanes that all hold the same element of an array of floats."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments, ir.FloatType())
        return _broadcast(builder, builder.load(address, align=4))

    return _LANES(array, types.intp), generate


def _constant(_: Any, number: Any) -> Any:
    """Return lanes that all hold the same number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        single = context.cast(builder, arguments[0], signature.args[0], types.float32)
        return _broadcast(builder, single)

    return _LANES(number), generate


def _arithmetic(instruction: str) -> Callable[..., Any]:
    """Return an operation on two lanes; products and sums may be fused."""

    def operation(_: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments, flags=("contract",))

        return _LANES(_LANES, _LANES), generate

    compiled_operation: Callable[..., Any] = intrinsic(operation)
    return compiled_operation


def _choice(comparison: str) -> Callable[..., Any]:
    """Return a function of (a, b, x, y): in each lane x where the comparison holds, else y."""

    def operation(_: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, b, x, y = arguments
            return builder.select(builder.fcmp_ordered(comparison, a, b), x, y)

        return _LANES(_LANES, _LANES, _LANES, _LANES), generate

    compiled_operation: Callable[..., Any] = intrinsic(operation)
    return compiled_operation


def _define(symbol: Callable[..., Any], instruction: str) -> None:
    """Let an operator of Python act on lanes."""
    operation = _arithmetic(instruction)

    def compute(a: Any, b: Any) -> Any:
        return operation(a, b)

    def choose(a: Any, b: Any) -> Any:
        return compute if isinstance(a, _LanesType) and isinstance(b, _LanesType) else None

    overload(symbol)(choose)


load: Callable[[Array, int], Lanes] = intrinsic(_load)
store: Callable[[Array, int, Lanes], None] = intrinsic(_store)
spread: Callable[[Array, int], Lanes] = intrinsic(_spread)
constant: Callable[[float], Lanes] = intrinsic(_constant)
where_greater: Callable[[Lanes, Lanes, Lanes, Lanes], Lanes] = _choice(">")
where_equal: Callable[[Lanes, Lanes, Lanes, Lanes], Lanes] = _choice("==")
_define(operator.add, "fadd")
_define(operator.iadd, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")


@compiled
def store_row(array: Array, index: int, row: Row) -> None:
    """Write eight lanes one after another."""
    store(array, index, row[0])
    store(array, index + 1, row[1])
    store(array, index + 2, row[2])
    store(array, index + 3, row[3])
    store(array, index + 4, row[4])
    store(array, index + 5, row[5])
    store(array, index + 6, row[6])
    store(array, index + 7, row[7])


@compiled
def fill_row(value: Lanes) -> Row:
    """Return a row of eight equal px."""
    return value, value, value, value, value, value, value, value


@compiled
def add_at(array: Array, index: int, value: Lanes) -> None:
    """Add lanes to lanes of an array."""
    store(array, index, load(array, index) + value)
