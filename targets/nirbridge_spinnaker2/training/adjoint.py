"""The adjoint of one layer, backwards over the spikes that the forward step left (SPINNAKER2.md §6)."""

from __future__ import annotations

from typing import Any

from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_spinnaker2.training.arithmetic import product, quotient
from nirbridge_spinnaker2.training.forward import JUMP, LAMBDA_I, LAMBDA_V

use_cache(__name__)


@njit(cache=True, nogil=True, error_model="numpy")
def adjoint(
    n_steps: Any,
    pre_start: Any,
    pre_unit: Any,
    weights: Any,
    recurrent: Any,
    coef: Any,
    lambda_i: Any,
    lambda_v: Any,
    scaled: Any,
    start: Any,
    unit: Any,
    slopes: Any,
    jump: Any,
    error: Any,
    gradient: Any,
    recurrent_gradient: Any,
    rule: Any,
    noise: Any,
    trace: Any,
) -> None:
    """Steps T−2 … 0 from λ[T−1] = 0; subtracts τ_s·λI[i]⊗S[i] from the gradients.

    ``E[i] = Wᵀ(λV[i+1] − λI[i+1])``, read only where the source spiked;
    ``λI[i] = α·λI[i+1] + (1−α)·λV[i+1]``;
    ``λV[i] = β·λV[i+1] + Z[i+1]·(λV[i+1] + G[i+1])/(I[i+1] − V⁻[i+1])``.
    In a recurrent layer G also holds its own E: ``G[i] += Rᵀ(λV[i+1] − λI[i+1])`` where it spiked at i
    (its spikes are sources of itself), and ∇R −= τ_s·λI[i]⊗Z[i].

    jump (spikes,): G at each spike of the layer; changed by recurrence. error (source spikes,) receives
    E, or has length 0 where the source is the input. gradient (m, n), recurrent_gradient (n, n) or
    (0, n). scaled (n,): work space. The other arguments are those of `forward`.
    """
    n = len(lambda_v)
    alpha, rest, beta, tau = coef[0], coef[1], coef[2], coef[5]
    lambda_i[:] = 0
    lambda_v[:] = 0
    awake = False
    for step in range(n_steps - 2, -1, -1):
        if not awake:  # λ stays 0 until the last spike that G reaches
            for s in range(start[step + 1], start[step + 2]):
                awake = awake or jump[s] != 0
            if not awake:
                continue
        if len(error):
            for e in range(pre_start[step], pre_start[step + 1]):
                row = weights[pre_unit[e]]
                total = lambda_v[0] - lambda_v[0]
                for k in range(n):
                    total += product(row[k], lambda_v[k] - lambda_i[k], rule, noise)
                error[e] = total
        if len(recurrent):
            for s in range(start[step], start[step + 1]):
                row = recurrent[unit[s]]
                total = lambda_v[0] - lambda_v[0]
                for k in range(n):
                    total += product(row[k], lambda_v[k] - lambda_i[k], rule, noise)
                jump[s] += total
        for k in range(n):
            lambda_i[k] = product(alpha, lambda_i[k], rule, noise) + product(rest, lambda_v[k], rule, noise)
        first, last = start[step + 1], start[step + 2]
        for s in range(first, last):
            k = unit[s]
            if len(trace):
                trace[JUMP, step + 1, k] = jump[s]
            slopes[s] = quotient(lambda_v[k] + jump[s], slopes[s], rule, noise)
        for k in range(n):
            lambda_v[k] = product(beta, lambda_v[k], rule, noise)
        for s in range(first, last):
            lambda_v[unit[s]] += slopes[s]
        if len(trace):
            trace[LAMBDA_I, step] = lambda_i
            trace[LAMBDA_V, step] = lambda_v
        sources = pre_start[step + 1] > pre_start[step]
        own = len(recurrent) > 0 and start[step + 1] > start[step]
        if sources or own:
            for k in range(n):
                scaled[k] = product(tau, lambda_i[k], rule, noise)
        for e in range(pre_start[step], pre_start[step + 1]):
            row = gradient[pre_unit[e]]
            for k in range(n):
                row[k] -= scaled[k]
        if own:
            for s in range(start[step], start[step + 1]):
                row = recurrent_gradient[unit[s]]
                for k in range(n):
                    row[k] -= scaled[k]
