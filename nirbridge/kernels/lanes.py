"""What compiled loops ask of a processor and numba has no words for: comparisons side by side, memory ahead.

Written in LLVM's own vector types, so every processor that numba compiles for runs them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WIDE = 64  # neurons that `at_or_above` compares at once


def _element(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Address of element ``index`` of a C-contiguous array, counted over all of its axes."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


@intrinsic
def at_or_above(typing_context: Any, v: Any, i: Any, theta: Any, j: Any) -> Any:
    """uint64 whose bit k says v[i + k] >= theta[j + k], k = 0 … 63; no bit for what is not a number.

    v, theta: C-contiguous arrays of one type, read as if they were flat. Nothing checks their bounds.
    """
    if v.layout != "C" or theta.layout != "C" or v.dtype != theta.dtype:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = []
        for kind, at in ((0, 1), (2, 3)):
            element = context.get_data_type(signature.args[kind].dtype)
            place = _element(context, builder, signature.args[kind], arguments[kind], arguments[at])
            lanes = builder.load(builder.bitcast(place, ir.VectorType(element, WIDE).as_pointer()))
            lanes.align = signature.args[kind].dtype.bitwidth // 8
            loaded.append(lanes)
        return builder.bitcast(builder.fcmp_ordered(">=", *loaded), ir.IntType(WIDE))

    return types.uint64(v, types.intp, theta, types.intp), generate


@intrinsic
def lowest_bit(typing_context: Any, bits: Any) -> Any:
    """Place of the lowest bit that is set in a uint64 other than 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.uint64), generate


@intrinsic
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of element ``index``; an index outside the array is allowed and does nothing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(
            _element(context, builder, signature.args[0], arguments[0], arguments[1]), byte
        )
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(ask, [place, word(0), word(2), word(1)])  # to read, kept in the second level, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
