"""The compiled time loop: one sample through any integer network, work only where spikes go.

A step is: messages for encoders enter, every soma updates from the sums that arrived (`somas`), then
all messages enter their synapses (`scatter`) and arrive one step later, plus their delay.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nirbridge.kernels import use_cache
from nirbridge_loihi2.scatter import CONV, DENSE, add, add_listed, add_window, settle, settle_window
from nirbridge_loihi2.somas import (
    CLIPS,
    DELTA,
    LIF,
    MESSAGES,
    N_COUNTS,
    OVERFLOWS,
    PEAK,
    RF_IZ,
    SIGMA,
    SIGMA_DELTA,
    SPIKES,
    SYNOPS,
    WRAPS,
    update_lif,
    update_resonate,
    update_sigma,
    update_sigma_delta,
)  # fmt: skip

use_cache(__name__)

__all__ = [
    "CLIPS",
    "MESSAGES",
    "N_COUNTS",
    "OVERFLOWS",
    "PEAK",
    "SPIKES",
    "SYNOPS",
    "WRAPS",
    "Tables",
    "run_sample",
]  # fmt: skip


class Tables(NamedTuple):
    """An integer network as flat arrays; L layers, K connections, source L is the input.

    first: (L+1,) first neuron of each layer; decay_u, decay_v, threshold (shifted), bias: (N,).
    soma: (L,) kind of neuron; shift: (L, 2) exponent of the state and of a message (sigma-delta).
    spiking: (L,); driven: (L,) the input is added to what arrives; reset_interval, reset_offset: (L,).
    ring_at, ring_len, width: (L,) where the sums that will arrive are kept, how many steps ahead, and how
    many there are.
    source_at: (L+2,) first connection of each source, connections sorted by source.
    kind, target, delay, exponent: (K,), ``exponent`` of the sum in bits, ``acc_at`` (K,) place of the
    connection's own sum or −1 where rows are added straight to the ring. graded: (K,).
    DENSE: row of pre j at weights[weight_at + j·n_post]. LISTED: synapses
    list_ptr[list_at + j] … list_ptr[list_at + j + 1] of post, wait (delay) and listed (weight).
    CONV: kernel at weights[weight_at …], geometry in window (K, 15); reach_at: (K,) rows of ``reach``
    (W, core_n), whether a source column sends to a core; −1 where another connection counts the messages.
    core_at, core_n: (L,) cores of a layer; ops_at: (K,) rows of ``ops`` (n_pre, core_n), stored
    nonzero synapses of a source on each core (dummy columns too); fan_at: (K,) rows of ``fan``,
    those of real neurons.
    """

    first: NDArray[np.int64]
    decay_u: NDArray[np.int64]
    decay_v: NDArray[np.int64]
    threshold: NDArray[np.int64]
    bias: NDArray[np.int64]
    soma: NDArray[np.int64]
    shift: NDArray[np.int64]
    spiking: NDArray[np.bool_]
    driven: NDArray[np.bool_]
    reset_interval: NDArray[np.int64]
    reset_offset: NDArray[np.int64]
    ring_at: NDArray[np.int64]
    ring_len: NDArray[np.int64]
    width: NDArray[np.int64]
    source_at: NDArray[np.int64]
    kind: NDArray[np.int64]
    target: NDArray[np.int64]
    delay: NDArray[np.int64]
    exponent: NDArray[np.int64]
    acc_at: NDArray[np.int64]
    graded: NDArray[np.bool_]
    weight_at: NDArray[np.int64]
    weights: NDArray[np.int32]
    window: NDArray[np.int64]
    reach_at: NDArray[np.int64]
    reach: NDArray[np.int32]
    list_at: NDArray[np.int64]
    list_ptr: NDArray[np.int64]
    post: NDArray[np.int32]
    wait: NDArray[np.int32]
    listed: NDArray[np.int32]
    core_at: NDArray[np.int64]
    core_n: NDArray[np.int64]
    ops_at: NDArray[np.int64]
    ops: NDArray[np.int32]
    fan_at: NDArray[np.int64]
    fan: NDArray[np.int64]
    ring_size: int
    acc_size: int
    n_cores: int


@njit(cache=True, nogil=True)
def run_sample(
    tab: Any,
    steps: int,
    event_at: Any,
    event_unit: Any,
    event_value: Any,
    keep: Any,
    column: Any,
    trace: Any,
    counts: Any,
    busy: Any,
    activity: Any,
    core_total: Any,
) -> Any:
    """Run steps t = 1 … steps of one sample; returns the kept spikes as (step index, neuron, value).

    event_at: (n_input_steps+1,): events of step index s are event_unit/event_value[event_at[s]:…].
    keep: (L,) whose spikes are returned (neuron counts over all layers). column: (L, 3) first column
    of ``trace`` (steps, columns) for v, u and a, −1 where not wanted. counts: (L, 7) is added to.
    busy: (steps, 2) becomes the most synaptic operations and the most messages on any core.
    activity: (steps, 3L + cores) becomes spikes of, synaptic operations in and messages to every layer,
    then synaptic operations on every core; or (0, …) where it is not wanted. core_total: (cores,) gets
    the synaptic operations of every core, dummy columns included.
    """
    n_layers = len(tab.spiking)
    first, source_at, weights, width = tab.first, tab.source_at, tab.weights, tab.width
    list_ptr, post, wait, listed, fan, ops = tab.list_ptr, tab.post, tab.wait, tab.listed, tab.fan, tab.ops
    u = np.zeros(tab.first[n_layers], np.int64)
    v = np.zeros(tab.first[n_layers], np.int64)
    rest = np.zeros(tab.first[n_layers], np.int64)
    ring = np.zeros(tab.ring_size, np.int64)
    acc = np.zeros(tab.acc_size, np.int64)
    used = np.zeros(len(tab.kind), np.bool_)
    keep_u, keep_v = 4096 - tab.decay_u, 4096 - tab.decay_v
    fired = np.empty(tab.first[n_layers], np.int64)
    value = np.ones(tab.first[n_layers], np.int64)
    fired_at = np.zeros(n_layers + 1, np.int64)
    core_ops = np.zeros(tab.n_cores, np.int64)
    messages = np.zeros(tab.n_cores, np.int64)
    out_step, out_unit, n_out = np.empty(256, np.int32), np.empty(256, np.int32), 0
    out_value = np.empty(256, np.int32)
    wanted = len(activity) > 0
    for t in range(1, steps + 1):
        n_fired = 0
        for layer in range(n_layers):
            lo, hi = tab.first[layer], tab.first[layer + 1]
            n = hi - lo
            at = tab.ring_at[layer] + t % tab.ring_len[layer] * width[layer]
            a = ring[at : at + width[layer]]
            soma = tab.soma[layer]
            every = tab.reset_interval[layer]
            if every > 0 and t % every == tab.reset_offset[layer] % every:
                u[lo:hi] = 0
                v[lo:hi] = 0
            fired_at[layer] = n_fired
            if tab.driven[layer] and 2 <= t <= len(event_at):
                for e in range(event_at[t - 2], event_at[t - 1]):
                    a[event_unit[e]] += event_value[e]
            if soma == LIF:
                hits = update_lif(
                    u[lo:hi], v[lo:hi], a, keep_u[lo:hi], keep_v[lo:hi],
                    tab.bias[lo:hi], tab.threshold[lo:hi], counts[layer],
                )  # fmt: skip
                if not tab.spiking[layer]:
                    for i in range(lo, hi):
                        counts[layer, PEAK] = max(counts[layer, PEAK], abs(v[i]))
                elif hits > 0:
                    for i in range(lo, hi):
                        if v[i] > tab.threshold[i]:
                            v[i] = 0
                            fired[n_fired] = i
                            value[n_fired] = 1
                            n_fired += 1
            elif soma == SIGMA:
                update_sigma(u[lo:hi], a)
            elif soma in (DELTA, SIGMA_DELTA):
                if soma == DELTA and t < len(event_at):
                    for e in range(event_at[t - 1], event_at[t]):
                        a[event_unit[e]] += event_value[e]
                n_fired = update_sigma_delta(
                    soma == DELTA, u[lo:hi], v[lo:hi], rest[lo:hi], a, tab.bias[lo:hi], tab.threshold[lo:hi],
                    tab.shift[layer, 0], tab.shift[layer, 1], lo, fired, value, n_fired,
                )  # fmt: skip
            else:
                n_fired = update_resonate(
                    soma == RF_IZ, u[lo:hi], v[lo:hi], a, tab.decay_u[lo:hi], tab.decay_v[lo:hi],
                    tab.threshold[lo:hi], lo, fired, value, n_fired, counts[layer],
                )  # fmt: skip
            sent = n_fired - fired_at[layer]
            counts[layer, SPIKES] += sent
            if wanted:
                activity[t - 1, layer] = sent
            if keep[layer] and sent > 0:
                while n_out + sent > len(out_step):
                    out_step = np.concatenate((out_step, np.empty_like(out_step)))
                    out_unit = np.concatenate((out_unit, np.empty_like(out_unit)))
                    out_value = np.concatenate((out_value, np.empty_like(out_value)))
                out_step[n_out : n_out + sent] = t - 1
                out_unit[n_out : n_out + sent] = fired[n_fired - sent : n_fired]
                out_value[n_out : n_out + sent] = value[n_fired - sent : n_fired]
                n_out += sent
            if column[layer, 0] >= 0:
                trace[t - 1, column[layer, 0] : column[layer, 0] + n] = v[lo:hi]
            if column[layer, 1] >= 0:
                trace[t - 1, column[layer, 1] : column[layer, 1] + n] = u[lo:hi]
            if column[layer, 2] >= 0:
                trace[t - 1, column[layer, 2] : column[layer, 2] + n] = a[:n]
            a[:] = 0
        fired_at[n_layers] = n_fired
        core_ops[:] = 0
        messages[:] = 0
        for source in range(n_layers + 1):
            if source < n_layers:
                start, stop = fired_at[source], fired_at[source + 1]
            elif t < len(event_at):
                start, stop = event_at[t - 1], event_at[t]
            else:
                start, stop = 0, 0
            if stop == start:
                continue
            for k in range(source_at[source], source_at[source + 1]):
                target = tab.target[k]
                n, slots = width[target], tab.ring_len[target]
                here = ring[tab.ring_at[target] : tab.ring_at[target] + slots * n]
                slot = (t + 1 + tab.delay[k]) % slots * n
                into = here[slot : slot + n]
                if tab.acc_at[k] >= 0:
                    used[k] = True
                    into = acc[tab.acc_at[k] : tab.acc_at[k] + n]
                kind, counted, graded = tab.kind[k], tab.ops_at[k] >= 0, tab.graded[k]
                row_at, list_at, ops_at = tab.weight_at[k], tab.list_at[k], tab.ops_at[k]
                cores = tab.core_n[target]
                on_core = core_ops[tab.core_at[target] : tab.core_at[target] + cores]
                at_core = messages[tab.core_at[target] : tab.core_at[target] + cores]
                synops = 0
                for e in range(start, stop):
                    x = 1
                    if source < n_layers:
                        j = fired[e] - first[source]
                        if graded:
                            x = value[e]
                    else:
                        j = event_unit[e]
                        if graded:
                            x = event_value[e]
                    if kind == DENSE:
                        add(into, weights[row_at + j * n : row_at + (j + 1) * n], x)
                    elif kind == CONV:
                        add_window(into, weights[row_at:], tab.window[k], j, x)
                    else:
                        p, q = list_ptr[list_at + j], list_ptr[list_at + j + 1]
                        add_listed(here, post[p:q], wait[p:q], listed[p:q], x, t, slots, n)
                    if counted:
                        synops += fan[tab.fan_at[k] + j]
                        row = ops[ops_at + j * cores : ops_at + (j + 1) * cores]
                        add(on_core, row, 1)
                        if kind == CONV:
                            p = tab.reach_at[k] + j % tab.window[k, 2] * cores
                            add(at_core, tab.reach[p : p + cores], 1)
                if counted:
                    if kind != CONV and tab.reach_at[k] >= 0:
                        at_core += stop - start
                    counts[target, SYNOPS] += synops
                    if wanted:
                        activity[t - 1, n_layers + target] += synops
        for k in range(len(used)):
            if used[k]:
                used[k] = False
                target = tab.target[k]
                n = width[target]
                at = tab.ring_at[target] + (t + 1 + tab.delay[k]) % tab.ring_len[target] * n
                own = acc[tab.acc_at[k] : tab.acc_at[k] + n]
                if tab.kind[k] == CONV:
                    settle_window(ring[at : at + n], own, tab.window[k, 3])
                else:
                    settle(ring[at : at + n], own, -tab.exponent[k])
        for layer in range(n_layers):
            for c in range(tab.core_at[layer], tab.core_at[layer] + tab.core_n[layer]):
                busy[t - 1, 0] = max(busy[t - 1, 0], core_ops[c])
                busy[t - 1, 1] = max(busy[t - 1, 1], messages[c])
                counts[layer, MESSAGES] += messages[c]
                if wanted:
                    activity[t - 1, 2 * n_layers + layer] += messages[c]
        core_total += core_ops
        if wanted:
            activity[t - 1, 3 * n_layers :] = core_ops
    return out_step[:n_out], out_unit[:n_out], out_value[:n_out]
