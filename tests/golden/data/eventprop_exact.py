"""One sample in continuous time: a list of events, and crossings by bisection on a fine grid of times."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from dual import NAMES, Case, Dual, coupling, exp, gradients, parameters

GRID = 200  # looks ahead for a crossing between two events, each then bisected


class Neuron:
    """V and I at a time, all with their derivatives."""

    def __init__(self, values: dict[str, Dual]) -> None:
        self.m, self.s, self.threshold, self.reset, self.e = (values[name] for name in NAMES)
        zero = self.m * 0.0
        self.v, self.i, self.at = zero, zero, zero

    def membrane(self, t: Any) -> Any:
        em, _, kappa = coupling(t - self.at, self.m, self.s)
        return self.e + (self.v - self.e) * em + kappa * self.i

    def go(self, t: Any) -> None:
        _, es, _ = coupling(t - self.at, self.m, self.s)
        self.v, self.i, self.at = self.membrane(t), self.i * es, t

    def height(self, t: float) -> float:
        """V − θ at t, values alone."""
        m, s, at = self.m.value, self.s.value, self.at.value
        em, _, kappa = coupling(t - at, m, s)
        e = self.e.value
        return float(e + (self.v.value - e) * em + kappa * self.i.value - self.threshold.value)

    def crossing(self, until: float) -> float:
        """First upward crossing after the neuron's time and before ``until``, else infinity."""
        times = np.linspace(self.at.value, until, GRID)
        above = np.array([self.height(t) >= 0 for t in times])
        if not above[1:].any():
            return float("inf")
        first = int(np.argmax(above[1:])) + 1
        low, high = times[first - 1], times[first]
        for _ in range(80):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if self.height(middle) >= 0 else (middle, high)
        return float(high)

    def fire(self, t: float) -> Dual:
        """The spike's time with its derivatives, one step of Newton's; V starts again from the reset."""
        em, es, kappa = coupling(t - self.at.value, self.m.value, self.s.value)
        current = self.i.value * es
        v = self.e.value + (self.v.value - self.e.value) * em + kappa * self.i.value
        slope = (current + self.e.value - v) / self.m.value
        when = t - (self.membrane(Dual(t, 0 * self.m.slope)) - self.threshold) / slope
        self.go(when)
        self.v = self.reset
        return when


def forward(case: Case, given: Case, b: int) -> list[tuple[Dual, int, int]]:
    """Spikes (time, layer, unit) of sample b in their order."""
    neurons = {
        (layer, j): Neuron({name: given[f"{name}_{layer}"][j] for name in NAMES})
        for layer in range(1, len(case["sizes"]))
        for j in range(case["sizes"][layer])
    }
    zero = neurons[1, 0].m * 0.0
    mine = slice(case["in_offsets"][b], case["in_offsets"][b + 1])
    arrivals: list[tuple[Dual, int, int, Dual]] = []
    spikes: list[tuple[Dual, int, int]] = []

    def send(t: Dual, layer: int, unit: int) -> None:
        for c, (pre, post) in enumerate(case["conn"]):
            if pre == layer:
                for j in range(case["sizes"][post]):
                    late = given[f"delay_{c}"][unit, j] if f"delay_{c}" in given else 0.0
                    arrivals.append((t + late, int(post), j, given[f"w_{c}"][unit, j]))

    for t, unit in zip(case["in_times"][mine], case["in_units"][mine], strict=True):
        send(zero + float(t), 0, int(unit))
    while True:
        arrivals.sort(key=lambda arrival: arrival[0].value)
        end = float(case["T"])
        until = min(arrivals[0][0].value, end) if arrivals else end
        found = min((neuron.crossing(until), key) for key, neuron in neurons.items())
        if found[0] < until:
            t, (layer, j) = found
            when = neurons[layer, j].fire(t)
            spikes.append((when, layer, j))
            send(when, layer, j)
        elif until < end:
            t, layer, j, weight = arrivals.pop(0)
            for neuron in neurons.values():  # only to bound the search for crossings
                if neuron is not neurons[layer, j]:
                    neuron.go(zero + t.value)
            neurons[layer, j].go(t)
            neurons[layer, j].i = neurons[layer, j].i + weight
        else:
            return spikes


def first_spikes(case: Case, spikes: list[tuple[Dual, int, int]]) -> list[Any]:
    last = len(case["sizes"]) - 1
    return [
        next((t for t, layer, unit in spikes if (layer, unit) == (last, j)), float(case["T"]))
        for j in range(case["sizes"][last])
    ]


def loss_of(case: Case, times: list[Any], label: int) -> Any:
    """−ln softmax(−t/τ0)[label] + α(e^(t_label/τ1) − 1)."""
    options = json.loads(case["loss_params"])
    weights = [exp((times[label] - t) / options["tau0"]) for t in times]
    total = sum(weights[1:], weights[0])
    late = exp(times[label] / options["tau1"])
    return log(total) + options["alpha"] * (late - 1.0)


def log(x: Dual) -> Dual:
    return Dual(float(np.log(x.value)), x.slope / x.value)


def solve(case: Case) -> Case:
    """The case with spikes, loss and every gradient."""
    given, places = parameters(case)
    runs = [forward(case, given, b) for b in range(case["n_samples"])]
    firsts = [first_spikes(case, run) for run in runs]
    labels = [int(label) for label in case["labels"]]
    losses = [loss_of(case, times, label) for times, label in zip(firsts, labels, strict=True)]
    mean = sum(losses[1:], losses[0]) / len(losses)
    flat = [spike for run in runs for spike in run]
    values = [[t.value if isinstance(t, Dual) else t for t in times] for times in firsts]
    return case | {
        "spk_times": np.array([t.value for t, _, _ in flat]),
        "spk_layers": np.array([layer for _, layer, _ in flat]),
        "spk_units": np.array([unit for _, _, unit in flat]),
        "spk_offsets": np.cumsum([0] + [len(run) for run in runs]),
        "loss_value": np.float64(mean.value),
        "loss_per_sample": np.array([loss.value for loss in losses]),
        "readout": np.array(values),
        **gradients(case, places, mean),
    }
