"""One sample of the mode `step`, forward and adjoint, neuron by neuron; weights [pre, post], seconds.

A case is the dict that is written to the golden file: ``sizes``, ``kinds``, ``conn``, ``conn_latency``,
``w_c`` and, for each layer l, ``tau_mem_l``, ``tau_syn_l``, ``v_th_l``, ``v_reset_l``, ``v_leak_l``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, expm1
from typing import Any

import numpy as np

Case = dict[str, Any]


@dataclass
class Flow:
    """Coefficients of the free flow over x seconds with time constants m and s, and their derivatives."""

    m: float
    s: float
    x: float

    def __post_init__(self) -> None:
        m, s, x = self.m, self.s, self.x
        self.em, self.es = exp(-x / m), exp(-x / s)
        z = x * (1 / s - 1 / m)
        self.kappa = x / m * self.em * (-expm1(-z) / z if z else 1.0)
        self.kappa_m = -s / (m - s) ** 2 * (self.em - self.es) + s / (m - s) * self.em * x / m**2
        self.kappa_s = m / (m - s) ** 2 * (self.em - self.es) - self.es * x / (s * (m - s))
        self.integral = s * (1 - self.es) - m * self.kappa


@dataclass
class State:
    """V and I of one neuron with s = ∂V/∂τm, u = ∂V/∂τs, q = ∂V/∂E since the last reset, and r = ∂I/∂τs."""

    v: float = 0.0
    i: float = 0.0
    s: float = 0.0
    u: float = 0.0
    q: float = 0.0
    r: float = 0.0

    def after(self, f: Flow, e: float) -> State:
        return State(
            v=e + (self.v - e) * f.em + f.kappa * self.i,
            i=self.i * f.es,
            s=self.s * f.em + (self.v - e) * f.em * f.x / f.m**2 + self.i * f.kappa_m,
            u=self.u * f.em + f.kappa * self.r + self.i * f.kappa_s,
            q=self.q * f.em + 1 - f.em,
            r=self.r * f.es + self.i * f.es * f.x / f.s**2,
        )


@dataclass
class Spike:
    step: int
    layer: int
    unit: int
    x: float  # seconds from the crossing to the end of the step
    at: State  # state at the crossing
    back: float = 0.0  # R of the adjoint


@dataclass
class Run:
    """start[k, l][j]: state at the start of step k after its arrivals; mean[k]: read-out's step mean."""

    start: dict[tuple[int, int], list[State]] = field(default_factory=dict)
    spikes: list[Spike] = field(default_factory=list)
    mean: list[list[float]] = field(default_factory=list)
    margin: float = np.inf


def values(case: Case, layer: int, j: int) -> tuple[float, float, float, float, float]:
    """τm, τs, θ, V_reset and E of a neuron."""
    names = ("tau_mem", "tau_syn", "v_th", "v_reset", "v_leak")
    m, s, threshold, reset, e = (float(case[f"{name}_{layer}"][j]) for name in names)
    return m, s, threshold, reset, e


def inputs(case: Case, b: int, k: int) -> list[int]:
    first, last = case["in_offsets"][b], case["in_offsets"][b + 1]
    mine = slice(first, last)
    return [int(i) for i in case["in_units"][mine][case["in_steps"][mine] == k]]


def sent(case: Case, run: Run, b: int, layer: int, k: int) -> list[tuple[int, Spike | None]]:
    """Units of a layer that spike in step k."""
    if layer == 0:
        return [(i, None) for i in inputs(case, b, k)]
    return [(s.unit, s) for s in run.spikes if s.step == k and s.layer == layer]


def crossing(start: State, m: float, s: float, e: float, threshold: float, dt: float) -> float:
    """Time in the step at which V reaches the threshold, by bisection."""
    low, high = 0.0, dt
    for _ in range(60):
        t = (low + high) / 2
        low, high = (low, t) if start.after(Flow(m, s, t), e).v >= threshold else (t, high)
    return (low + high) / 2


def forward(case: Case, b: int) -> Run:
    run, dt = Run(), case["dt"]
    last = len(case["sizes"]) - 1
    state = {at: [State() for _ in range(case["sizes"][at])] for at in range(1, last + 1)}
    for k in range(case["n_steps"]):
        for layer in range(1, last + 1):
            for c, (pre, post) in enumerate(case["conn"]):
                if post == layer:
                    for i, _ in sent(case, run, b, pre, k - case["conn_latency"][c]):
                        for j, neuron in enumerate(state[layer]):
                            neuron.i += float(case[f"w_{c}"][i, j])
            run.start[k, layer] = state[layer]
            mean, ends = [], []
            for j, start in enumerate(state[layer]):
                m, s, threshold, reset, e = values(case, layer, j)
                flow = Flow(m, s, dt)
                end = start.after(flow, e)
                if case["kinds"][layer] == "li":
                    mean.append(e + (m * (1 - flow.em) * (start.v - e) + flow.integral * start.i) / dt)
                else:
                    run.margin = min(run.margin, abs(end.v - threshold))
                    if end.v >= threshold:
                        t = crossing(start, m, s, e, threshold, dt)
                        run.spikes.append(Spike(k, layer, j, dt - t, start.after(Flow(m, s, t), e)))
                        end = State(v=reset, i=end.i, r=end.r)
                ends.append(end)
            state[layer] = ends
            if case["kinds"][layer] == "li":
                run.mean.append(mean)
    return run


def backward(case: Case, b: int, run: Run, pull: np.ndarray, regular: dict[int, np.ndarray]) -> Case:
    """Gradients of one sample by parameter name; pull (steps, outputs) = ∂L/∂Vm, regular = r_j per layer."""
    dt, last = case["dt"], len(case["sizes"]) - 1
    names = ("tau_mem", "tau_syn", "v_th", "v_reset", "v_leak")
    g = {f"{n}_{at}": np.zeros(case["sizes"][at]) for at in range(1, last + 1) for n in names}
    g |= {f"w_{c}": np.zeros_like(case[f"w_{c}"]) for c in range(len(case["conn"]))}
    lv = {at: np.zeros(case["sizes"][at]) for at in range(1, last + 1)}
    li = {at: np.zeros(case["sizes"][at]) for at in range(1, last + 1)}
    for k in range(case["n_steps"] - 1, -1, -1):
        for layer in range(last, 0, -1):
            for spike in (s for s in run.spikes if s.step == k and s.layer == layer):
                _spike(case, spike, regular[layer], lv[layer], li[layer], g)
            for j, start in enumerate(run.start[k, layer]):
                m, s, _, _, e = values(case, layer, j)
                f = Flow(m, s, dt)
                li[layer][j] = f.es * li[layer][j] + m / s * f.kappa * lv[layer][j]
                lv[layer][j] *= f.em
                if case["kinds"][layer] == "li":
                    _read_out(start, f, e, pull[k, j], layer, j, lv[layer], li[layer], g)
            for c, (pre, post) in enumerate(case["conn"]):
                if post != layer:
                    continue
                for i, spike in sent(case, run, b, pre, k - case["conn_latency"][c]):
                    for j in range(case["sizes"][layer]):
                        _, s, *_ = values(case, layer, j)
                        g[f"w_{c}"][i, j] -= s * li[layer][j]
                        if spike is not None:
                            spike.back += float(case[f"w_{c}"][i, j]) * (lv[layer][j] - li[layer][j])
    return g


def _spike(case: Case, spike: Spike, regular: Any, lv: Any, li: Any, g: Case) -> None:
    layer, j, at = spike.layer, spike.unit, spike.at
    m, s, threshold, reset, e = values(case, layer, j)
    slope = (at.i + e - threshold) / m
    a = (lv[j] * (at.i + e - reset) + spike.back) / slope
    g[f"v_th_{layer}"][j] += a
    g[f"v_reset_{layer}"][j] -= m * lv[j]
    a -= regular[j] / threshold
    g[f"tau_mem_{layer}"][j] -= a * at.s
    g[f"tau_syn_{layer}"][j] -= a * at.u
    g[f"v_leak_{layer}"][j] -= a * at.q
    lv[j] = a / m * exp(spike.x / m)
    li[j] += a / s * Flow(m, s, -spike.x).kappa


def _read_out(
    start: State, f: Flow, e: float, pull: float, layer: int, j: int, lv: Any, li: Any, g: Case
) -> None:
    area, per = f.m * (1 - f.em), pull / f.x
    lv[j] -= per * area / f.m
    li[j] -= per * f.integral / f.s
    area_m = 1 - f.em - f.em * f.x / f.m
    kappa_m = -f.kappa - f.m * f.kappa_m
    kappa_s = 1 - f.es - f.es * f.x / f.s - f.m * f.kappa_s
    g[f"tau_mem_{layer}"][j] += per * (area_m * (start.v - e) + kappa_m * start.i + area * start.s)
    g[f"tau_syn_{layer}"][j] += per * (kappa_s * start.i + area * start.u + f.integral * start.r)
    g[f"v_leak_{layer}"][j] += per * (f.x - area + area * start.q)
