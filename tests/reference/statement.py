"""SEMANTICS.md §1 to §3 said again in plain NumPy, slowly: no tables, no order of execution, no numba.

A value is asked for by name and step and computed when it is first asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import nir
import numpy as np

from nirbridge.semantics import Semantics

STATEFUL = (nir.Input, nir.I, nir.LI, nir.IF, nir.LIF, nir.CubaLI, nir.CubaLIF, nir.Delay)
SPIKING = (nir.IF, nir.LIF, nir.CubaLIF)
NEURONS = (nir.I, nir.LI, nir.CubaLI, *SPIKING)
Array = np.ndarray


def window(size: tuple[int, ...], kernel: Callable[[int], int], node: nir.NIRNode) -> list[tuple[int, ...]]:
    """(outputs, stride, dilation, zeros on the left) of every axis."""
    found = []
    for axis, n in enumerate(size):
        stride, dilation = (
            int(np.broadcast_to(getattr(node, key, 1), len(size))[axis]) for key in ("stride", "dilation")
        )
        k = kernel(axis)
        if isinstance(node.padding, str):
            total = dilation * (k - 1) if node.padding == "same" else 0
            left, right = total // 2, total - total // 2
        else:
            left = right = int(np.broadcast_to(node.padding, len(size))[axis])
        found.append(((n + left + right - dilation * (k - 1) - 1) // stride + 1, stride, dilation, left))
    return found


def at(x: Array, place: tuple[int, ...]) -> float:
    inside = all(0 <= p < n for p, n in zip(place, x.shape, strict=True))
    return float(x[place]) if inside else 0.0


def convolved(node: nir.Conv1d | nir.Conv2d, x: Array) -> Array:
    """Cross-correlation, element by element."""
    weight = np.asarray(node.weight, float)
    out, per_group, *kernel = weight.shape
    axes = window(x.shape[1:], lambda axis: kernel[axis], node)
    y = np.zeros((out, *(a[0] for a in axes)))
    for o, *p in np.ndindex(*y.shape):
        y[o, *p] = np.broadcast_to(node.bias, out)[o]
        for c in range(per_group):
            channel = o // (out // node.groups) * per_group + c
            for k in np.ndindex(*kernel):
                where = (i * a[1] + j * a[2] - a[3] for i, j, a in zip(p, k, axes, strict=True))
                y[o, *p] += weight[(o, c, *k)] * at(x, (channel, *where))
    return y


def pooled(node: nir.SumPool2d | nir.AvgPool2d, x: Array) -> Array:
    kernel = [int(k) for k in np.broadcast_to(node.kernel_size, 2)]
    axes = window(x.shape[1:], lambda axis: kernel[axis], node)
    y = np.zeros((len(x), *(a[0] for a in axes)))
    for c, *p in np.ndindex(*y.shape):
        for k in np.ndindex(*kernel):
            where = (i * a[1] + j - a[3] for i, j, a in zip(p, k, axes, strict=True))
            y[c, *p] += at(x, (c, *where))
    return y / (kernel[0] * kernel[1]) if isinstance(node, nir.AvgPool2d) else y


def passed(node: nir.NIRNode, x: Array) -> Array:
    """What a node without memory makes of its input."""
    if isinstance(node, nir.Linear | nir.Affine):
        y = np.einsum("...oi,...i->...o", np.asarray(node.weight, float), x)
        return y + node.bias if isinstance(node, nir.Affine) else y
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        return convolved(node, x)
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        return pooled(node, x)
    if isinstance(node, nir.Flatten):
        first, last = (k + x.ndim if k < 0 else k for k in (int(node.start_dim), int(node.end_dim)))
        return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])
    if isinstance(node, nir.Scale):
        return node.scale * x
    if isinstance(node, nir.Threshold):
        return np.where(x > node.threshold, 1.0, 0.0)
    assert isinstance(node, nir.Output)
    return x


class Statement:
    """A flat graph, its semantics and its input: values by name and step."""

    def __init__(self, graph: nir.NIRGraph, semantics: Semantics, given: dict[str, Array]) -> None:
        self.graph, self.s, self.given = graph, semantics, given
        self.sources = {n: sorted(a for a, b in graph.edges if b == n) for n in graph.nodes}
        self.stateful = {n for n, node in graph.nodes.items() if isinstance(node, STATEFUL)}
        self.ends = self.stateful | {n for n, node in graph.nodes.items() if isinstance(node, nir.Output)}
        arcs = {(u, v) for v in self.ends for u in self._reaching(v)}
        far = {n: 0 if isinstance(graph.nodes[n], nir.Input) else math.inf for n in self.ends}
        for _ in self.ends:
            far |= {v: min([far[v], *(far[u] + 1 for u, w in arcs if w == v)]) for v in self.ends}
        ways = set(arcs)
        for mid in self.ends:
            ways |= {(u, v) for u in self.ends for v in self.ends if {(u, mid), (mid, v)} <= ways}
        self.late = {(u, v): int((v, u) in ways and far[v] <= far[u]) for u, v in arcs}
        if semantics.feedforward_delay:
            self.late |= {(u, v): 1 for u, v in arcs if isinstance(graph.nodes[v], NEURONS)}
        self.state = cache(self._state)

    def _reaching(self, node: str) -> set[str]:
        return set().union(*({a} if a in self.stateful else self._reaching(a) for a in self.sources[node]))

    def arriving(self, node: str, consumer: str, t: int) -> Array | None:
        """Sum of what reaches a node in step t on behalf of a consumer; None where nothing does."""
        terms = []
        for source in self.sources[node]:
            if source in self.stateful:
                before = t - self.late[source, consumer]
                absent = before < 0 and self.s.delayed == "value"
                terms.append(None if absent else self.sent(source, before))
            else:
                x = self.arriving(source, consumer, t)
                terms.append(None if x is None else passed(self.graph.nodes[source], x))
        known = [x for x in terms if x is not None]
        return sum(known[1:], known[0]) if known else None

    def shape(self, node: str) -> tuple[int, ...]:
        types = self.graph.nodes[node].input_type["input"]
        return tuple(int(n) for n in np.atleast_1d(types))

    def sent(self, node: str, t: int) -> Array:
        return np.zeros(self.shape(node)) if t < 0 else self.state(node, t)[0]

    def x(self, node: str, t: int) -> Array:
        found = self.arriving(node, node, t)
        return np.zeros(self.shape(node)) if found is None else found

    def _state(self, name: str, t: int) -> tuple[Array, Array, Array]:
        """(what is sent, V, I) after step t."""
        node, s = self.graph.nodes[name], self.s
        if isinstance(node, nir.Input):
            return self.given[name][t], np.zeros(0), np.zeros(0)
        if isinstance(node, nir.Delay):
            steps = np.floor(np.broadcast_to(node.delay, self.shape(name)) * s.time_unit / s.dt + 0.5)
            y = np.zeros(self.shape(name))
            for where in np.ndindex(*y.shape):
                k = int(steps[where])
                y[where] = self.x(name, t - k)[where] if t >= k else 0.0
            return y, np.zeros(0), np.zeros(0)
        cuba = isinstance(node, nir.CubaLI | nir.CubaLIF)
        rest = node.v_leak if s.v_init == "leak" and hasattr(node, "v_leak") else 0.0
        start = np.zeros(self.shape(name)) + rest
        _, v, i = self.state(name, t - 1) if t else (None, start, np.zeros(self.shape(name)))
        v, i = self.membrane(node, v, i, self.x(name, t), cuba)
        if not isinstance(node, SPIKING):
            return v, v, i
        theta = node.v_threshold
        z = np.where(v >= theta if s.compare == ">=" else v > theta, 1.0, 0.0)
        z = z * np.floor(v / theta) if s.multi_spike else z
        v = np.where(z > 0, node.v_reset, v) if s.reset == "value" else v - z * theta
        if s.floor is not None:
            v = np.maximum(v, 0.0 if s.floor == "zero" else -theta)
        return z, v, i

    def membrane(self, node: nir.NIRNode, v: Array, i: Array, x: Array, cuba: bool) -> tuple[Array, Array]:
        """V and I before the spike test."""
        s = self.s
        r = 1.0 if s.gain == "unit" else node.r
        if isinstance(node, nir.I | nir.IF):
            return v + (1.0 if s.integrate == "step" else s.dt / s.time_unit) * r * x, i
        tau = node.tau_mem if cuba else node.tau
        a_m, g_m = self.decay(tau, s.decay), self.gain(tau, s.decay)
        leak = (1 - a_m) * node.v_leak
        if not cuba:
            return a_m * v + leak + (1 / tau if s.gain == "dirac" else g_m) * r * x, i
        kind = s.decay_syn or s.decay
        a_s, g_s = self.decay(node.tau_syn, kind), self.gain(node.tau_syn, kind)
        if s.gain == "dirac":
            g_m, g_s = 1 - a_m, 1 / node.tau_syn
        added = g_s * (1.0 if s.gain == "unit" else node.w_in) * x
        if s.order == "exact":
            t_s, t_m = node.tau_syn * s.time_unit, node.tau_mem * s.time_unit
            c = t_s / (t_m - t_s) * (a_m - a_s)
            return a_m * v + leak + r * c * (i + added), a_s * (i + added)
        new = a_s * (i + added) if s.syn_input == "before" else a_s * i + added
        return a_m * v + leak + g_m * r * (i if s.order == "voltage-first" else new), new

    def decay(self, tau: Array, kind: str) -> Array:
        step = self.s.dt / (tau * self.s.time_unit)
        return 1 - step if kind == "euler" else np.exp(-step)

    def gain(self, tau: Array, kind: str) -> Array | float:
        if self.s.gain == "matched":
            return 1 - self.decay(tau, kind)
        return 1.0 if self.s.gain == "unit" else self.s.dt / (tau * self.s.time_unit)
