"""The compiled time loop: one sample through any integer network, work only where spikes go.

Lava's fixed-point LIF (LOIHI2.md §1), per neuron, with shr0 rounding toward zero:
``u = shr0(u·(4096−d_u), 12) + (a<<6)``, wrapped once into (−2^23, 2^23];
``v = clip(shr0(v·(4096−d_v), 12) + u + b, ±(2^23−1))``; a spike where ``v > threshold<<6``, then v = 0.
A step is: every soma updates from the sums that arrived, then all spikes enter their synapses and
arrive one step later (plus their delay).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nirbridge.kernels import use_cache

use_cache(__name__)

DENSE, LISTED = 0, 1
SPIKES, SYNOPS, CLIPS, WRAPS, OVERFLOWS, PEAK, ARRIVALS = range(7)
N_COUNTS = 7


class Tables(NamedTuple):
    """An integer network as flat arrays; L layers, K connections, source L is the input.

    first: (L+1,) first neuron of each layer; decay_u, decay_v, threshold (shifted by 6), bias: (N,).
    spiking: (L,); reset_interval, reset_offset: (L,). ring_at, ring_len: (L,) where the sums that
    will arrive are kept and how many steps ahead.
    source_at: (L+2,) first connection of each source, connections sorted by source.
    kind, target, delay, shift: (K,), ``shift`` of the sum in bits, ``acc_at`` (K,) place of the
    connection's own sum or −1 where rows are added straight to the ring. graded: (K,).
    DENSE: row of pre j at weights[weight_at + j·n_post]. LISTED: synapses
    list_ptr[list_at + j] … list_ptr[list_at + j + 1] of post, wait (delay) and listed (weight).
    core_at, core_n: (L,) cores of a layer; ops_at: (K,) rows of ``ops`` (n_pre, core_n), stored
    nonzero synapses of a source on each core; fan_at: (K,) rows of ``fan``, their sum.
    """

    first: NDArray[np.int64]
    decay_u: NDArray[np.int64]
    decay_v: NDArray[np.int64]
    threshold: NDArray[np.int64]
    bias: NDArray[np.int64]
    spiking: NDArray[np.bool_]
    reset_interval: NDArray[np.int64]
    reset_offset: NDArray[np.int64]
    ring_at: NDArray[np.int64]
    ring_len: NDArray[np.int64]
    source_at: NDArray[np.int64]
    kind: NDArray[np.int64]
    target: NDArray[np.int64]
    delay: NDArray[np.int64]
    shift: NDArray[np.int64]
    acc_at: NDArray[np.int64]
    graded: NDArray[np.bool_]
    weight_at: NDArray[np.int64]
    weights: NDArray[np.int32]
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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _update(u: Any, v: Any, a: Any, keep_u: Any, keep_v: Any, bias: Any, threshold: Any, counts: Any) -> Any:
    """One soma step of a layer; returns how many neurons lie above threshold."""
    half, top, mask, many = 1 << 23, (1 << 23) - 1, 4095, 1 << 25
    hits: Any = 0
    clips: Any = 0
    wraps: Any = 0
    overflows: Any = 0
    for i in range(len(u)):
        x = u[i] * keep_u[i]
        x = ((x + ((x >> 63) & mask)) >> 12) + (a[i] << 6)
        over, under = x > half, x <= -half
        x += (half + half) * (np.int64(under) - np.int64(over))
        wraps += np.int64(over) + np.int64(under)
        overflows += np.int64(abs(a[i]) >= many)
        y = v[i] * keep_v[i]
        y = ((y + ((y >> 63) & mask)) >> 12) + x + bias[i]
        z = min(max(y, -top), top)
        clips += np.int64(z != y)
        hits += np.int64(z > threshold[i])
        u[i] = x
        v[i] = z
    counts[CLIPS] += clips
    counts[WRAPS] += wraps
    counts[OVERFLOWS] += overflows
    return hits


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add(into: Any, row: Any, x: int) -> None:
    """into += row·x."""
    if x == 1:
        for i in range(len(into)):
            into[i] += row[i]
    else:
        for i in range(len(into)):
            into[i] += row[i] * x


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_listed(ring: Any, post: Any, wait: Any, weight: Any, x: int, t: int, slots: int, n: int) -> None:
    """A message of value x in step t over listed synapses into a layer's ring (slots·n,)."""
    for s in range(len(post)):
        ring[(t + 1 + wait[s]) % slots * n + post[s]] += weight[s] * x


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _settle(tab: Any, k: int, t: int, ring: Any, acc: Any) -> None:
    """Shift the sum of connection k and pass it on to the ring of its target."""
    target = tab.target[k]
    n = tab.first[target + 1] - tab.first[target]
    at = tab.ring_at[target] + (t + 1 + tab.delay[k]) % tab.ring_len[target] * n
    start, shift = tab.acc_at[k], -tab.shift[k]
    for i in range(n):
        ring[at + i] += acc[start + i] >> shift
        acc[start + i] = 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
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
) -> Any:
    """Run steps t = 1 … steps of one sample; returns the kept spikes as (step index, neuron).

    event_at: (n_input_steps+1,): events of step index s are event_unit/event_value[event_at[s]:…].
    keep: (L,) whose spikes are returned (neuron counts over all layers). column: (L, 3) first column
    of ``trace`` (steps, columns) for v, u and a, −1 where not wanted. counts: (L, 7) is added to.
    busy: (steps, 2) becomes the most synaptic operations and the most messages on any core.
    """
    n_layers = len(tab.spiking)
    first, source_at, weights = tab.first, tab.source_at, tab.weights
    list_ptr, post, wait, listed, fan, ops = tab.list_ptr, tab.post, tab.wait, tab.listed, tab.fan, tab.ops
    u = np.zeros(tab.first[n_layers], np.int64)
    v = np.zeros(tab.first[n_layers], np.int64)
    ring = np.zeros(tab.ring_size, np.int64)
    acc = np.zeros(tab.acc_size, np.int64)
    used = np.zeros(len(tab.kind), np.bool_)
    keep_u, keep_v = 4096 - tab.decay_u, 4096 - tab.decay_v
    fired = np.empty(tab.first[n_layers], np.int64)
    fired_at = np.zeros(n_layers + 1, np.int64)
    core_ops = np.zeros(tab.n_cores, np.int64)
    arrivals = np.zeros(n_layers, np.int64)
    out_step, out_unit, n_out = np.empty(256, np.int32), np.empty(256, np.int32), 0
    for t in range(1, steps + 1):
        n_fired = 0
        for layer in range(n_layers):
            lo, hi = tab.first[layer], tab.first[layer + 1]
            n = hi - lo
            at = tab.ring_at[layer] + t % tab.ring_len[layer] * n
            a = ring[at : at + n]
            every = tab.reset_interval[layer]
            if every > 0 and t % every == tab.reset_offset[layer] % every:
                u[lo:hi] = 0
                v[lo:hi] = 0
            hits = _update(
                u[lo:hi], v[lo:hi], a, keep_u[lo:hi], keep_v[lo:hi],
                tab.bias[lo:hi], tab.threshold[lo:hi], counts[layer],
            )  # fmt: skip
            fired_at[layer] = n_fired
            if not tab.spiking[layer]:
                for i in range(lo, hi):
                    counts[layer, PEAK] = max(counts[layer, PEAK], abs(v[i]))
            elif hits > 0:
                for i in range(lo, hi):
                    if v[i] > tab.threshold[i]:
                        v[i] = 0
                        fired[n_fired] = i
                        n_fired += 1
                counts[layer, SPIKES] += hits
                if keep[layer]:
                    while n_out + hits > len(out_step):
                        out_step = np.concatenate((out_step, np.empty_like(out_step)))
                        out_unit = np.concatenate((out_unit, np.empty_like(out_unit)))
                    out_step[n_out : n_out + hits] = t - 1
                    out_unit[n_out : n_out + hits] = fired[n_fired - hits : n_fired]
                    n_out += hits
            if column[layer, 0] >= 0:
                trace[t - 1, column[layer, 0] : column[layer, 0] + n] = v[lo:hi]
            if column[layer, 1] >= 0:
                trace[t - 1, column[layer, 1] : column[layer, 1] + n] = u[lo:hi]
            if column[layer, 2] >= 0:
                trace[t - 1, column[layer, 2] : column[layer, 2] + n] = a
            a[:] = 0
        fired_at[n_layers] = n_fired
        core_ops[:] = 0
        arrivals[:] = 0
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
                lo, n, slots = first[target], first[target + 1] - first[target], tab.ring_len[target]
                here = ring[tab.ring_at[target] : tab.ring_at[target] + slots * n]
                slot = (t + 1 + tab.delay[k]) % slots * n
                into = here[slot : slot + n]
                if tab.acc_at[k] >= 0:
                    used[k] = True
                    into = acc[tab.acc_at[k] : tab.acc_at[k] + n]
                dense, counted, graded = tab.kind[k] == DENSE, tab.ops_at[k] >= 0, tab.graded[k]
                row_at, list_at, ops_at = tab.weight_at[k], tab.list_at[k], tab.ops_at[k]
                cores = tab.core_n[target]
                on_core = core_ops[tab.core_at[target] : tab.core_at[target] + cores]
                synops = 0
                for e in range(start, stop):
                    x = 1
                    if source < n_layers:
                        j = fired[e] - first[source]
                    else:
                        j = event_unit[e]
                        if graded:
                            x = event_value[e]
                    if dense:
                        _add(into, weights[row_at + j * n : row_at + (j + 1) * n], x)
                    else:
                        p, q = list_ptr[list_at + j], list_ptr[list_at + j + 1]
                        _add_listed(here, post[p:q], wait[p:q], listed[p:q], x, t, slots, n)
                    if counted:
                        synops += fan[tab.fan_at[k] + j]
                        _add(on_core, ops[ops_at + j * cores : ops_at + (j + 1) * cores], 1)
                if counted:
                    arrivals[target] += stop - start
                    counts[target, SYNOPS] += synops
        for k in range(len(used)):
            if used[k]:
                _settle(tab, k, t, ring, acc)
                used[k] = False
        for c in range(tab.n_cores):
            busy[t - 1, 0] = max(busy[t - 1, 0], core_ops[c])
        for layer in range(n_layers):
            counts[layer, ARRIVALS] += arrivals[layer]
            busy[t - 1, 1] = max(busy[t - 1, 1], arrivals[layer])
    return out_step[:n_out], out_unit[:n_out]
