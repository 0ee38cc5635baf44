"""The samples of a batch one after the other, as the quad-PEs run them side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge.kernels.events import order_events
from nirbridge_spinnaker2.training.adjoint import adjoint
from nirbridge_spinnaker2.training.arithmetic import splitmix, store
from nirbridge_spinnaker2.training.forward import forward
from nirbridge_spinnaker2.training.loss import first_spike_loss, first_spikes

use_cache(__name__)


@njit(cache=True, nogil=True, error_model="numpy")
def run_samples(
    begin: Any,
    end: Any,
    samples: Any,
    offsets: Any,
    steps: Any,
    units: Any,
    labels: Any,
    n_steps: Any,
    n_inputs: Any,
    layers: Any,
    coef: Any,
    weights: Any,
    loss_options: Any,
    share: Any,
    learn: Any,
    rule: Any,
    key: Any,
    gradients: Any,
    loss: Any,
    first: Any,
    counts: Any,
    clamped: Any,
    spikes: Any,
    trace: Any,
) -> None:
    """Run places begin … end−1 of a batch; place b is sample ``samples[b]`` of the data.

    offsets (data+1,), steps and units (events,): input events of all data; labels (data,).
    layers (L, 5): neurons, sources, first state, first weight, first recurrent weight or −1. coef
    (L, 6) and weights (flat, rows = sources) in the format. loss_options: ξ, α_r, β_r. share: factor on G,
    1/B as written. key: of stochastic rounding. Fills per place: gradients
    (batch, weights), loss (batch, 2) with its cross-entropy part, first (batch, outputs), counts
    (batch, states) spikes, clamped (batch,). spikes (batch, T, states) uint8 and trace
    (batch, 6, T, states) are filled where they are not empty.
    """
    n_layers = len(layers)
    widest = 0
    for row in layers:
        widest = max(widest, row[0])
    start = np.zeros((n_layers + 1, n_steps + 1), np.int64)
    unit = np.empty((n_layers, n_steps * widest), np.int64)
    slopes = np.empty((n_layers, n_steps * widest), weights.dtype)
    jump = np.empty((n_layers, n_steps * widest), weights.dtype)
    a, b, c = (
        np.empty(widest, weights.dtype),
        np.empty(widest, weights.dtype),
        np.empty(widest, weights.dtype),
    )
    g = np.empty(layers[-1, 0])
    unseen = np.zeros((0, 0, 0), weights.dtype)
    nobody = np.zeros(0, weights.dtype)
    noise = np.zeros(2, np.uint64)
    longest = 0
    for at in range(begin, end):
        longest = max(longest, offsets[samples[at] + 1] - offsets[samples[at]])
    events = np.empty(longest, np.int64)
    order = np.empty(longest, np.int64)
    for at in range(begin, end):
        sample = samples[at]
        noise[0] = splitmix(key + np.uint64(at))
        noise[1] = 0
        mine = units[offsets[sample] : offsets[sample + 1]]
        order_events(steps[offsets[sample] : offsets[sample + 1]], mine, n_steps, n_inputs, start[0], order)
        for e in range(len(mine)):
            events[e] = mine[order[e]]
        for l in range(n_layers):
            n, m, state, w_at, r_at = layers[l]
            w = weights[w_at : w_at + m * n].reshape(m, n)
            r = weights[r_at : r_at + n * n].reshape(n, n) if r_at >= 0 else weights[:0].reshape(0, n)
            seen = trace[at, :, :, state : state + n] if len(trace) else unseen
            used = forward(
                n_steps, start[l], events if l == 0 else unit[l - 1], w, r, coef[l], a[:n], b[:n],
                start[l + 1], unit[l], slopes[l], rule, noise, seen,
            )  # fmt: skip
            for s in range(used):
                counts[at, state + unit[l, s]] += 1
            if len(spikes):
                for step in range(n_steps):
                    for s in range(start[l + 1, step], start[l + 1, step + 1]):
                        spikes[at, step, state + unit[l, s]] = 1
        first_spikes(n_steps, start[n_layers], unit[n_layers - 1], first[at])
        label = labels[sample]
        if label >= 0:
            loss[at] = first_spike_loss(
                first[at], label, loss_options[0], loss_options[1], loss_options[2], g
            )
        if learn:
            jump[n_layers - 1, : start[n_layers, n_steps]] = 0
            for step in range(n_steps - 1):
                for s in range(start[n_layers, step], start[n_layers, step + 1]):
                    k = unit[n_layers - 1, s]
                    if first[at, k] == step:
                        store(jump[n_layers - 1], s, g[k] * share, rule)
            gradients[at] = 0
            for l in range(n_layers - 1, -1, -1):
                n, m, state, w_at, r_at = layers[l]
                w = weights[w_at : w_at + m * n].reshape(m, n)
                dw = gradients[at, w_at : w_at + m * n].reshape(m, n)
                if r_at >= 0:
                    r = weights[r_at : r_at + n * n].reshape(n, n)
                    dr = gradients[at, r_at : r_at + n * n].reshape(n, n)
                else:
                    r, dr = weights[:0].reshape(0, n), gradients[at, :0].reshape(0, n)
                error = nobody
                if l > 0:
                    error = jump[l - 1, : start[l, n_steps]]
                    error[:] = 0
                seen = trace[at, :, :, state : state + n] if len(trace) else unseen
                adjoint(
                    n_steps, start[l], events if l == 0 else unit[l - 1], w, r, coef[l], a[:n], b[:n], c[:n],
                    start[l + 1], unit[l], slopes[l], jump[l], error, dw, dr, rule, noise, seen,
                )  # fmt: skip
        clamped[at] = noise[1]
