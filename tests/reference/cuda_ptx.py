"""Compile the kernel for a GPU that is not there, and print the floating-point operations of its PTX as JSON.

Needs libNVVM, but no driver and no device: the compute capability, the only thing that numba asks the
device for while it compiles, is given here.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from types import SimpleNamespace

import numba.cuda.dispatcher
from numba import cuda, types

from nirbridge_reference import neuron, readings
from nirbridge_reference.cuda_kernel import run_batch

numba.cuda.dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=(8, 0))
INT, SHORT = types.int64, types.int32


def operations(function: object, arguments: tuple, device: bool) -> dict[str, int]:
    """How often each operation on floating-point numbers stands in the function's PTX."""
    ptx, _ = cuda.compile_ptx(function.py_func, arguments, cc=(8, 0), device=device)
    return dict(Counter(re.findall(r"\b(?:fma|mul|add|sub)(?:\.\w+)*\.f\d\d\b", ptx)))


def array(of: types.Type, axes: int) -> types.Array:
    return types.Array(of, axes, "C")


def compiled(number: types.Type) -> dict[str, dict[str, int]]:
    line, table = array(number, 1), array(number, 2)
    ints, int_table, shorts = array(INT, 1), array(INT, 2), array(SHORT, 1)
    neurons = (INT, number, line, line, table)
    tables = (int_table, int_table, line, ints, shorts, ints, shorts, line, line, line, types.float64, table)
    room = (table, table, table, table, array(SHORT, 2), table, array(SHORT, 2), table)
    results = (array(number, 3), array(number, 3), array(SHORT, 3), array(INT, 3), ints)
    recorded = (ints, ints, int_table, array(types.boolean, 1))  # with delay and flags before it
    kernel = (INT, array(INT, 3), shorts, line, *tables, *recorded, *room, *results)
    arguments = {
        neuron.standard: (INT, *neurons, ints),
        readings.snntorch: (INT, *neurons, ints),
        readings.norse: (INT, *neurons, ints),
        readings.spyx: (INT, *neurons, ints),
        readings.slayer: neurons,
        readings.loihi: (*neurons, ints),
        readings.ode: (INT, number, line, table, types.float64),
    }
    found = {f.py_func.__name__: operations(f, given, True) for f, given in arguments.items()}
    found["kernel"] = operations(run_batch, kernel, False)
    return found


if __name__ == "__main__":
    json.dump({str(number): compiled(number) for number in (types.float32, types.float64)}, sys.stdout)
