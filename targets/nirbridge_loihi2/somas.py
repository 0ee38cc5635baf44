"""The neuron updates of the compiled loop: LIF, delta encoder, sigma-delta, resonate-and-fire.

Lava's fixed-point models (LOIHI2.md §1); ``shr0`` shifts right and rounds toward zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache

use_cache(__name__)

LIF, DELTA, SIGMA_DELTA, SIGMA, RF, RF_IZ = range(6)
KINDS = {"lif": LIF, "delta": DELTA, "sigma-delta": SIGMA_DELTA, "sigma": SIGMA, "rf": RF, "rf-iz": RF_IZ}
SPIKES, SYNOPS, CLIPS, WRAPS, OVERFLOWS, PEAK, MESSAGES = range(7)
N_COUNTS = 7
TOP = (1 << 23) - 1


@njit(cache=True, nogil=True)
def update_lif(
    u: Any, v: Any, a: Any, keep_u: Any, keep_v: Any, bias: Any, threshold: Any, counts: Any
) -> Any:
    """One LIF step of a layer; returns how many neurons lie above threshold.

    ``u = shr0(u·(4096−d_u), 12) + (a<<6)``, wrapped once into (−2^23, 2^23];
    ``v = clip(shr0(v·(4096−d_v), 12) + u + b, ±(2^23−1))``.
    """
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


@njit(cache=True, nogil=True)
def update_sigma_delta(
    encoder: bool, sigma: Any, act: Any, rest: Any, a: Any, bias: Any, threshold: Any,
    shift: int, state_exp: int, first: int, fired: Any, value: Any, n_fired: int,
) -> Any:  # fmt: skip
    """One step of a delta encoder or a sigma-delta layer; returns how many messages there are now.

    Encoder: ``act = in<<E``; else ``Σ += a; act = max(Σ + b, 0)``. Then ``δ = act − act_prev + r``,
    ``o = δ`` where ``|δ| ≥ θ`` else 0, ``r = δ − o``, and ``o>>state_exp`` is sent where it is not 0.
    """
    for i in range(len(a)):
        if encoder:
            now = a[i] << shift
        else:
            sigma[i] += a[i]
            now = max(sigma[i] + bias[i], 0)
        delta = now - act[i] + rest[i]
        act[i] = now
        out = delta if abs(delta) >= threshold[i] else 0
        rest[i] = delta - out
        out >>= state_exp
        if out != 0:
            fired[n_fired] = first + i
            value[n_fired] = out
            n_fired += 1
    return n_fired


@njit(cache=True, nogil=True)
def update_sigma(sigma: Any, a: Any) -> None:
    """One step of a sigma read-out: ``Σ += a``."""
    for i in range(len(sigma)):
        sigma[i] += a[i]


@njit(cache=True, nogil=True)
def _turn(x: int, y: int) -> Any:
    return ((x + ((x >> 63) & 4095)) >> 12) + ((y + ((y >> 63) & 4095)) >> 12)


@njit(cache=True, nogil=True)
def update_resonate(
    izhikevich: bool, real: Any, imag: Any, a: Any, sine: Any, cosine: Any, threshold: Any,
    first: int, fired: Any, value: Any, n_fired: int, counts: Any,
) -> Any:  # fmt: skip
    """One step of resonate-and-fire neurons; returns how many messages there are now.

    ``re' = shr0(c·re,12) − shr0(s·im,12) + (a_re<<6)``, ``im' = shr0(s·re,12) + shr0(c·im,12) + (a_im<<6)``,
    both clipped to ±(2^23−1). RF: a spike where ``re' ≥ θ``, ``im' ≥ 0`` and ``im < 0`` before. RF_IZ: a
    spike where ``im' ≥ θ``, then ``re = 0, im = θ − 1``. a: (2n,), real parts first.
    """
    n = len(real)
    clips: Any = 0
    for i in range(n):
        re, im = real[i], imag[i]
        x = _turn(cosine[i] * re, -sine[i] * im) + (a[i] << 6)
        y = _turn(sine[i] * re, cosine[i] * im) + (a[n + i] << 6)
        real[i] = min(max(x, -TOP), TOP)
        imag[i] = min(max(y, -TOP), TOP)
        clips += np.int64(real[i] != x) + np.int64(imag[i] != y)
        if izhikevich:
            hit = imag[i] >= threshold[i]
            if hit:
                real[i] = 0
                imag[i] = threshold[i] - 1
        else:
            hit = real[i] >= threshold[i] and imag[i] >= 0 and im < 0
        if hit:
            fired[n_fired] = first + i
            value[n_fired] = 1
            n_fired += 1
    counts[CLIPS] += clips
    return n_fired
