"""The forward step of one layer, spike by spike (SPINNAKER2.md §6)."""

from __future__ import annotations

from typing import Any

from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_spinnaker2.training.arithmetic import product, slope

use_cache(__name__)

# Rows of a trace: what is kept of every step and neuron when a caller asks for it.
V_PRE, V_POST, CURRENT, LAMBDA_V, LAMBDA_I, JUMP = range(6)
TRACES = 6


@njit(cache=True, nogil=True, error_model="numpy")
def forward(
    n_steps: Any,
    pre_start: Any,
    pre_unit: Any,
    weights: Any,
    recurrent: Any,
    coef: Any,
    current: Any,
    voltage: Any,
    start: Any,
    unit: Any,
    slopes: Any,
    rule: Any,
    noise: Any,
    trace: Any,
) -> Any:
    """Run one layer over steps 1 … T−1 from rest; step 0 is never updated.

    ``I[i] = α·I[i−1] + W·S[i−1] + R·Z[i−1]``; ``V⁻ = β·V + (1−β)·I``; a spike where ``V⁻ > ϑ``, then V = 0.
    pre_start (T+1,), pre_unit: the source's spikes by step. weights (m, n), recurrent (n, n) or
    (0, n): row = source. coef (6,): α, 1−α, β, 1−β, ϑ, τ_s. current, voltage (n,): work space. start (T+1,),
    unit, slopes (T·n,): the layer's spikes by step, with `slope` I − V⁻ of each. trace
    (6, T, n), or (0, 0, 0) for none.
    """
    n = len(voltage)
    alpha, beta, gain, threshold = coef[0], coef[2], coef[3], coef[4]
    current[:] = 0
    voltage[:] = 0
    start[0] = 0
    used = 0
    for step in range(n_steps):
        start[step] = used
        if step == 0:
            continue
        for k in range(n):
            current[k] = product(alpha, current[k], rule, noise)
        for e in range(pre_start[step - 1], pre_start[step]):
            row = weights[pre_unit[e]]
            for k in range(n):
                current[k] += row[k]
        if len(recurrent):
            for e in range(start[step - 1], used):
                row = recurrent[unit[e]]
                for k in range(n):
                    current[k] += row[k]
        over = 0
        for k in range(n):
            v = product(beta, voltage[k], rule, noise) + product(gain, current[k], rule, noise)
            voltage[k] = v
            over += v > threshold
        if len(trace):
            trace[CURRENT, step] = current
            trace[V_PRE, step] = voltage
        if over:
            for k in range(n):
                if voltage[k] > threshold:
                    unit[used] = k
                    slopes[used] = slope(current[k], voltage[k])
                    voltage[k] = 0
                    used += 1
        if len(trace):
            trace[V_POST, step] = voltage
    start[n_steps] = used
    return used
