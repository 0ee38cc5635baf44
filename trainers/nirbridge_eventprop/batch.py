"""Samples of a batch, one after the other in a thread: sort events, forward, loss, adjoint."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge.kernels.events import order_events
from nirbridge.kernels.vectors import NARROW, blank
from nirbridge_eventprop import substep, substep_adjoint
from nirbridge_eventprop.arrivals import row_gradient, steps_by_unit
from nirbridge_eventprop.kernels import FORWARD, PADDED, RECURRENT, SUBSTEP, forward
from nirbridge_eventprop.step_adjoint import backward
from nirbridge_eventprop.substep_spike import WORK

use_cache(__name__)

SPACE = 8  # rows of work space, one of them `spikes_together`'s


@njit(cache=True, nogil=True)
def run_shard(
    first: Any,
    last: Any,
    offsets: Any,
    times: Any,
    units: Any,
    labels: Any,
    n_steps: Any,
    dt: Any,
    n_inputs: Any,
    line: Any,
    loop_at: Any,
    n_classes: Any,
    sizes: Any,
    par: Any,
    weights: Any,
    omega: Any,
    logit_scale: Any,
    a_mean: Any,
    c_mean: Any,
    omega_read: Any,
    regular: Any,
    alike: Any,
    shared: Any,
    series: Any,
    same: Any,
    cache: Any,
    slope_kind: Any,
    slope_floor: Any,
    learn: Any,
    capacity: Any,
    gradient: Any,
    loss: Any,
    logits: Any,
    scores: Any,
    counts: Any,
    clamped: Any,
    tape: Any,
    tape_rows: Any,
) -> Any:
    """Run samples first … last−1 of a batch; stops early at a sample whose spikes exceed ``capacity``.

    slope_kind: of mode `step`, or SUBSTEP for that mode. alike, line, loop_at: see `kernels`; shared, series,
    same: see `substep`. cache [bytes]: larger weights and gradients do not stay in the processor's own cache.
    offsets (samples+1,), times [s] and units (events,): the batch's input events. learn: add the adjoint's
    sums to ``gradient``. loss (samples,), logits and scores (samples, padded outputs), counts
    (samples, states) spikes of every neuron, clamped (samples,). tape (rows, 3) int32 receives
    (step, layer, neuron) of sample ``first`` where it has rows; tape_rows (1,) their number.
    Returns (next sample, tape entries that it needs): next = last when all are done.
    """
    layers = len(sizes) - 1
    tape_start = np.zeros((layers, n_steps + 1), np.int64)
    tape_unit = np.empty(capacity, np.int64)
    tape_current = np.empty(capacity + NARROW, par.dtype)
    tape_x = np.empty(capacity + NARROW, par.dtype)
    tape_round = np.empty(capacity if slope_kind == SUBSTEP else 0, np.int64)
    tape_factors = np.empty((3, capacity + NARROW if slope_kind == SUBSTEP else 0), par.dtype)
    back = np.empty(capacity, par.dtype)
    delayed = len(line) > 1 or line[0] > 0
    start = np.zeros(n_steps + 1, np.int64)
    width = len(a_mean)
    row = max(par.shape[1], WORK)
    space = blank(SPACE * row, par).reshape(SPACE, row)  # of the forward pass, then of the adjoint
    z = blank(width, par)
    score = np.zeros(width, np.float64)
    error = blank(width, par)
    longest = 0
    for b in range(first, last):
        longest = max(longest, offsets[b + 1] - offsets[b])
    # a record of λ_I pays where rows are summed from it more often than twice and do not stay in the cache
    often = 2 * par.itemsize * len(weights) > cache and longest > 2 * n_inputs
    history = blank(n_steps * sizes[0, PADDED] if learn and (delayed or often) else 0, par)
    by_unit = np.empty(max(n_inputs, sizes[0, PADDED]) + 1 if len(history) else 0, np.int64)
    unit_step = np.empty(max(longest, capacity) if len(history) else 0, np.int64)
    events = np.empty(longest, np.int64)
    order = np.empty(longest, np.int64)
    steps = np.empty(longest, np.int64)
    for b in range(first, last):
        mine = slice(offsets[b], offsets[b + 1])
        mine_units = units[mine]
        mine_times = times[mine]
        for e in range(len(mine_units)):  # as `Spikes.steps`, in this thread
            step = math.floor(mine_times[e] / dt * (1 + 2.0**-23) + 1e-6)
            steps[e] = min(step, n_steps - 1)
        order_events(steps[: len(mine_units)], mine_units, n_steps, n_inputs, start, order)
        for e in range(len(mine_units)):
            events[e] = mine_units[order[e]]
        if slope_kind == SUBSTEP:
            used = substep.forward(
                n_steps, dt, start, events, line, sizes, par, alike, shared, series, same, weights, omega,
                a_mean, c_mean, omega_read, tape_start[0], tape_unit, tape_round, tape_current, tape_x,
                tape_factors, z, score, space,
            )  # fmt: skip
        else:
            used = forward(
                n_steps, dt, start, events, line, loop_at, sizes, par, alike, weights, omega, a_mean,
                c_mean, slope_kind, omega_read, tape_start, tape_unit, tape_current, tape_x, z, score,
                space,
            )  # fmt: skip
        if used > capacity:
            return b, used
        if slope_kind == SUBSTEP:
            for s in range(used):
                counts[b, tape_unit[s]] += 1
        for k in range(0 if slope_kind == SUBSTEP else n_steps):
            for layer in range(layers):
                end = tape_start[layer + 1, k] if layer + 1 < layers else tape_start[0, k + 1]
                for s in range(tape_start[layer, k], end):
                    counts[b, sizes[layer, 0] + tape_unit[s]] += 1
                    if tape_rows[0] < len(tape):
                        tape[tape_rows[0], 0] = k
                        tape[tape_rows[0], 1] = layer
                        tape[tape_rows[0], 2] = tape_unit[s]
                        tape_rows[0] += 1
        top = -np.inf
        for c in range(n_classes):
            top = max(top, logit_scale * z[c])
        total = 0.0
        for c in range(n_classes):
            total += math.exp(logit_scale * z[c] - top)
        label = labels[b]
        for c in range(width):
            logits[b, c] = logit_scale * z[c]
            scores[b, c] = score[c]
        if label >= 0:
            loss[b] = math.log(total) + top - logit_scale * z[label]
        if learn:
            recorded = delayed or (often and len(mine_units) > 2 * n_inputs)
            record = history if recorded else history[:0]
            for c in range(n_classes):
                p = math.exp(logit_scale * z[c] - top) / total
                error[c] = logit_scale * (p - (1.0 if c == label else 0.0))
            if slope_kind == SUBSTEP:
                clamped[b] = substep_adjoint.backward(
                    n_steps, dt, start, events, sizes, par, alike, shared, series, weights, omega, a_mean,
                    c_mean, error, regular, slope_floor, tape_start[0], tape_unit, tape_round, tape_current,
                    tape_x, tape_factors, back, record, gradient, space,
                )  # fmt: skip
            else:
                clamped[b] = backward(
                    n_steps, start, events, sizes, par, alike, weights, omega, a_mean, c_mean, error, regular,
                    slope_kind, slope_floor, tape_start, tape_unit, tape_current, tape_x, back, record,
                    gradient, space,
                )  # fmt: skip
            if recorded:
                steps_by_unit(start, start[1:], events, n_inputs, n_steps, by_unit, unit_step)
                block = n_inputs * sizes[0, PADDED]
                for c in range(len(line)):
                    row_gradient(
                        gradient, sizes[0, FORWARD] + c * block, sizes[0, PADDED], n_inputs, line[c], n_steps,
                        by_unit, unit_step, history,
                    )  # fmt: skip
                if slope_kind != SUBSTEP and sizes[0, RECURRENT] >= 0:
                    end_of = tape_start[1] if layers > 1 else tape_start[0, 1:]
                    steps_by_unit(
                        tape_start[0], end_of, tape_unit, sizes[0, PADDED], n_steps, by_unit, unit_step
                    )
                    row_gradient(
                        gradient, sizes[0, RECURRENT], sizes[0, PADDED], sizes[0, PADDED], 1, n_steps,
                        by_unit, unit_step, history,
                    )  # fmt: skip
    return last, 0
