"""Vectors of neighbouring neurons in kernels: what a loop over neurons does, held in registers.

numba gives LLVM no promise that arrays do not overlap, so a sum that runs over rows of weights goes through
memory after every row. A `Vector` is a value instead: read from an array, computed with, written back. Its
width is a constant of the program and LLVM splits it into the registers that a processor has, so results do
not depend on them: products and sums round one by one, lane by lane; only `fma` may round once.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_model

from nirbridge.kernels import use_cache

use_cache(__name__)

WIDE = 64  # lanes of a chunk of hidden neurons
NARROW = 16  # lanes of a chunk of outputs
LINE = 64  # bytes


class Vector(types.Type):  # type: ignore[misc]
    """numba's type of ``lanes`` numbers of one type."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype}, {lanes})")


@register_model(Vector)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        scalar = manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(scalar, kind.lanes))


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any, wanted: Any) -> Any:
    """Pointer to element ``index`` of a contiguous array, as one to ``wanted``."""
    data = context.make_array(kind)(context, builder, array).data
    pointer = builder.gep(data, [index], inbounds=True)
    return builder.bitcast(pointer, wanted.as_pointer())


def _kind(array: Any, lanes: Any) -> Vector:
    return Vector(array.dtype, lanes.lanes if isinstance(lanes, Vector) else lanes.literal_value)


@intrinsic(prefer_literal=True)
def load(typing: Any, array: Any, index: Any, lanes: Any) -> Any:
    """The vector array[index : index+lanes]; a contiguous array of more dimensions is read as a flat one.

    lanes: a number, or a vector that has as many; so in `splat`.
    """
    if array.layout != "C":
        return None  # numba then says that there is no such function
    kind = _kind(array, lanes)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], signature.args[1], types.intp)
        pointer = _place(context, builder, array, args[0], at, context.get_value_type(kind))
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return kind(array, index, lanes), code


@intrinsic
def plus(typing: Any, vector: Any, array: Any, index: Any) -> Any:
    """vector + array[index : index+lanes]."""
    if array.layout != "C" or array.dtype != vector.dtype:
        return None

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = context.cast(builder, args[2], signature.args[2], types.intp)
        pointer = _place(context, builder, array, args[1], at, args[0].type)
        return builder.fadd(args[0], builder.load(pointer, align=array.dtype.bitwidth // 8))

    return vector(vector, array, index), code


@njit(cache=True, nogil=True, forceinline=True)
def plus_rows(x: Any, array: Any, at: Any, width: Any, rows: Any, first: Any, last: Any) -> Any:
    """Vector x + array[at + rows[e]·width …] for e = first … last−1, one after the other."""
    for e in range(np.uint64(first), np.uint64(last)):  # unsigned: no test for negative indices
        x = plus(x, array, at + rows[e] * width)
    return x


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """array[index : index+lanes] = vector."""
    if array.layout != "C" or array.dtype != vector.dtype:
        return None

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], signature.args[1], types.intp)
        pointer = _place(context, builder, array, args[0], at, args[2].type)
        builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, index, vector), code


@intrinsic(prefer_literal=True)
def splat(typing: Any, array: Any, value: Any, lanes: Any) -> Any:
    """A vector with ``value`` in every lane, of the numbers of ``array``."""
    kind = _kind(array, lanes)
    value = types.unliteral(value)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        scalar = context.cast(builder, args[1], value, kind.dtype)
        return _spread(context, builder, scalar, kind)

    return kind(array, value, lanes), code


@intrinsic
def like(typing: Any, vector: Any, value: Any) -> Any:
    """A vector with ``value`` in every lane, of the kind of ``vector``."""
    value = types.unliteral(value)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _spread(context, builder, context.cast(builder, args[1], value, vector.dtype), vector)

    return vector(vector, value), code


def _spread(context: Any, builder: Any, scalar: Any, kind: Any) -> Any:
    whole = context.get_value_type(kind)
    first = builder.insert_element(ir.Constant(whole, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.lanes), None)
    return builder.shuffle_vector(first, ir.Constant(whole, ir.Undefined), zeros)


@intrinsic
def _add(typing: Any, a: Any, b: Any) -> Any:
    return a(a, b), lambda context, builder, signature, args: builder.fadd(*args)


@intrinsic
def _sub(typing: Any, a: Any, b: Any) -> Any:
    return a(a, b), lambda context, builder, signature, args: builder.fsub(*args)


@intrinsic
def _mul(typing: Any, a: Any, b: Any) -> Any:
    return a(a, b), lambda context, builder, signature, args: builder.fmul(*args)


@intrinsic
def _div(typing: Any, a: Any, b: Any) -> Any:
    return a(a, b), lambda context, builder, signature, args: builder.fdiv(*args)


def _call(builder: Any, name: str, vector: Any, args: Any) -> Any:
    """LLVM's intrinsic function of vectors."""
    kind = ir.FunctionType(args[0].type, [value.type for value in args])
    full = f"llvm.{name}.v{vector.lanes}f{vector.dtype.bitwidth}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, full), args)


def _operator(python: Any, function: Any) -> None:
    """Make a Python operator on two equal vectors mean ``function``."""

    @overload(python)
    def _meaning(a, b):  # type: ignore[no-untyped-def]
        if isinstance(a, Vector) and a == b:
            return lambda a, b: function(a, b)
        return None


_operator(operator.add, _add)
_operator(operator.sub, _sub)
_operator(operator.mul, _mul)
_operator(operator.truediv, _div)


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c, rounded once where the processor can."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, "fmuladd", a, args)

    return a(a, b, c), code


@intrinsic
def at_least(typing: Any, a: Any, b: Any) -> Any:
    """Bits of the lanes with a ≥ b, lane 0 the lowest; at most 64 lanes."""
    if a != b:
        return None

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(builder.fcmp_ordered(">=", *args), ir.IntType(a.lanes))
        return bits if a.lanes == 64 else builder.zext(bits, ir.IntType(64))

    return types.uint64(a, b), code


@intrinsic
def where_least(typing: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """Lane by lane ``yes`` where a ≥ b, else ``no`` (also where one is not a number)."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">=", args[0], args[1]), args[2], args[3])

    return a(a, b, yes, no), code


@intrinsic
def root(typing: Any, a: Any) -> Any:
    """Square roots."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, "sqrt", a, args)

    return a(a), code


@intrinsic
def magnitude(typing: Any, a: Any) -> Any:
    """Absolute values."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, "fabs", a, args)

    return a(a), code


@intrinsic
def lowest(typing: Any, bits: Any) -> Any:
    """Number of the lowest bit that is set; 64 where none is."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), code


@intrinsic
def double(typing: Any, a: Any) -> Any:
    """The lanes as float64."""
    kind = Vector(types.float64, a.lanes)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return args[0] if a == kind else builder.fpext(args[0], context.get_value_type(kind))

    return kind(a), code


@intrinsic
def total(typing: Any, a: Any) -> Any:
    """Sum of all lanes: halves are added until one is left."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, lanes = args[0], a.lanes
        number = ir.IntType(32)
        while lanes > 1:
            lanes //= 2
            parts = []
            for start in (0, lanes):
                mask = ir.Constant(ir.VectorType(number, lanes), [start + i for i in range(lanes)])
                parts.append(builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), mask))
            value = builder.fadd(*parts)
        return builder.extract_element(value, ir.Constant(number, 0))

    return a.dtype(a), code


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of element ``index``; one outside the array is allowed and does nothing."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        data = context.make_array(array)(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(data, [args[1]]), byte)  # not inbounds: it may lie outside
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(ask, [place, word(0), word(2), word(1)])  # to read, kept in the second level, data
        return context.get_dummy_value()

    return types.void(array, types.intp), code


def aligned_empty(size: int, dtype: Any) -> Any:
    """An array (size,) that begins at a line of the cache, its elements not set."""
    item = np.dtype(dtype).itemsize
    whole = np.empty(size * item + LINE, np.uint8)
    skip = -whole.ctypes.data % LINE
    return whole[skip : skip + size * item].view(dtype)


@njit(cache=True, nogil=True)
def blank(size: Any, like: Any) -> Any:
    """Zeros (size,) of the type of ``like`` that begin at a line of the cache, where loads are fastest."""
    spare = LINE // like.itemsize
    whole = np.zeros(size + spare, like.dtype)
    skip = (LINE - np.int64(whole.ctypes.data) % LINE) % LINE // like.itemsize
    return whole[skip : skip + size]
