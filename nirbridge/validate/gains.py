"""Signatures of exporters in r and w_in: which dt they were made for (SEMANTICS.md §6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.semantics import Semantics
from nirbridge.validate.parameters import numbers

_RTOL = 1e-4
_MOST_TAUS = 4096  # distinct (tau, r) of one node that are solved for dt

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def _pairs(node: nir.NIRNode) -> Iterator[tuple[str, Pair]]:
    """(tau, r) and (tau_syn, w_in) of a node, all positive and of one shape."""
    for tau_name, gain_name in (("tau", "r"), ("tau_mem", "r"), ("tau_syn", "w_in")):
        tau, gain = numbers(getattr(node, tau_name, None)), numbers(getattr(node, gain_name, None))
        if tau is None or gain is None or not tau.size or not gain.size:
            continue
        if tau.shape != gain.shape and tau.ndim and gain.ndim:
            continue
        a, b = np.broadcast_arrays(tau.astype(np.float64), gain.astype(np.float64))
        if np.isfinite(a).all() and np.isfinite(b).all() and (a > 0).all() and (b > 0).all():
            yield gain_name, (a.reshape(-1), b.reshape(-1))


def _constant(values: NDArray[np.float64]) -> bool:
    return bool(np.ptp(values) <= _RTOL * np.abs(values).max(initial=0.0))


def _round(value: float) -> bool:
    """True for 1, 2 or 5 times a power of ten, the steps that people choose."""
    mantissa = value / 10.0 ** np.floor(np.log10(value) + 1e-3)
    return bool(min(abs(mantissa - k) for k in (1, 2, 5)) < 5 * _RTOL)


def uniform_gain(node: nir.NIRNode, semantics: Semantics | None) -> bool:
    """True if one step adds the input of a neuron unscaled: tau/r (and tau_syn/w_in) is dt.

    Where dt is unknown it may be any one value, or r that of an exporter with exact decay.
    """
    for _, (tau, gain) in _pairs(node):
        steps = tau / gain
        if semantics is not None:
            if np.abs(steps * semantics.time_unit / semantics.dt - 1).max() > 1e-3:
                return False
        elif not (_constant(steps) and gain.min() > 1) and _solved(tau, gain) is None:
            return False
    return True


def _solved(tau: NDArray[np.float64], r: NDArray[np.float64]) -> float | None:
    """The one c with r = tau·e^(−c/tau)/c for all elements and c ≤ tau/2, or None.

    With z = c/tau this is z·e^z = 1/r: Newton from ln(1 + 1/r), which converges for every r > 0.
    """
    both = np.unique(np.stack([tau, r], axis=1), axis=0)
    if len(both) > _MOST_TAUS:
        both = both[:: len(both) // _MOST_TAUS]
    tau, r = both[:, 0], both[:, 1]
    z = np.log1p(1.0 / r)
    for _ in range(8):
        power = np.exp(z)
        z -= (z * power - 1.0 / r) / (power * (1.0 + z))
    c = z * tau
    return float(c.mean()) if _constant(c) and z.max() <= 0.5 else None


def euler_step(nodes: Iterable[nir.NIRNode]) -> float | None:
    """The dt [file's unit] for which every r is tau/dt and every w_in tau_syn/dt, all r > 1; or None.

    As `exact_step` it counts only where two tau differ or dt is a round number.
    """
    found = [pair for node in nodes for pair in _pairs(node)]
    if not any(name == "r" for name, _ in found):
        return None
    tau = np.concatenate([pair[0] for _, pair in found])
    steps = tau / np.concatenate([pair[1] for _, pair in found])
    if not _constant(steps) or any(name == "r" and pair[1].min() <= 1 for name, pair in found):
        return None
    step = float(steps.mean())
    return step if len(np.unique(tau)) > 1 or _round(step) else None


def exact_step(nodes: Iterable[nir.NIRNode], semantics: Semantics | None) -> float | None:
    """The dt [file's unit] for which every r is tau·e^(−dt/tau)/dt, or None.

    One pair of tau and r always has a solution, so it counts only where two tau differ, dt is a round
    number or it is the graph's own. The signature tau/r = dt of Euler exporters goes first.
    """
    found = [pair for node in nodes for name, pair in _pairs(node) if name == "r"]
    if not found:
        return None
    tau = np.concatenate([pair[0] for pair in found])
    r = np.concatenate([pair[1] for pair in found])
    several = len(np.unique(tau)) > 1
    if _constant(tau / r) and (several or _round(float(tau[0] / r[0]))):
        return None
    step = _solved(tau, r)
    if step is None:
        return None
    if semantics is not None:
        own = semantics.dt / semantics.time_unit
        return step if abs(step - own) <= 1e-3 * own else None
    return step if several or _round(step) else None
