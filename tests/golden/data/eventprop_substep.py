"""One sample of the mode `substep`: crossings are found backwards from the end of a step and folded forward.

Within a step (0, dt), x is always the time left to its end. The network has no latencies or delays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from dual import Case, Dual, coupling, exp, gradients, parameters
from eventprop_exact import log

ROUNDS = 8


class Neuron:
    def __init__(self, given: Case, layer: int, j: int) -> None:
        names = ("tau_mem", "tau_syn", "v_th", "v_reset", "v_leak")
        self.m, self.s, self.threshold, self.reset, self.e = (given[f"{n}_{layer}"][j] for n in names)
        self.v, self.i = self.m * 0.0, self.m * 0.0

    def after(self, x: Any, v: Any, i: Any) -> tuple[Any, Any]:
        """V and I a time x later, which may be negative."""
        em, es, kappa = coupling(x, self.m, self.s)
        return self.e + (v - self.e) * em + kappa * i, i * es

    def mean(self, dt: float) -> Any:
        """The step mean of V from here on without further arrivals."""
        em, es, kappa = coupling(dt, self.m, self.s)
        charge = self.s * (1.0 - es) - self.m * kappa
        return self.e + (self.m * (1.0 - em) * (self.v - self.e) + charge * self.i) / dt

    def back(self, dt: float) -> Dual:
        """x at which V, flowing backwards from the step's end, meets the threshold; ∂x by Newton's step."""

        def height(x: float) -> float:
            return float(
                self.after(Dual(-x, 0 * self.m.slope), self.v, self.i)[0].value - self.threshold.value
            )

        low, high = 0.0, dt
        assert height(high) < 0, "the case would need the interpolation of the definition"
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if height(middle) < 0 else (middle, high)
        x = 0.5 * (low + high)
        there, current = self.after(Dual(-x, 0 * self.m.slope), self.v, self.i)
        slope = (current.value + self.e.value - there.value) / self.m.value
        return x + (there - self.threshold) / slope


def forward(case: Case, given: Case, b: int) -> tuple[list[tuple[int, Dual, int, int]], list[list[Any]]]:
    """Spikes (step, x, layer, unit) and the read-out's step means."""
    dt, last = float(case["dt"]), len(case["sizes"]) - 1
    neurons = {
        (layer, j): Neuron(given, layer, j)
        for layer in range(1, last + 1)
        for j in range(case["sizes"][layer])
    }
    mine = slice(case["in_offsets"][b], case["in_offsets"][b + 1])
    steps, units = case["in_steps"][mine], case["in_units"][mine]
    spikes, means = [], []
    for k in range(case["n_steps"]):
        for unit in units[steps == k]:
            for c, (pre, post) in enumerate(case["conn"]):
                for j in range(case["sizes"][post] if pre == 0 else 0):
                    neurons[int(post), j].i = neurons[int(post), j].i + given[f"w_{c}"][unit, j]
        mean = [neurons[last, j].mean(dt) for j in range(case["sizes"][last])]
        for neuron in neurons.values():
            neuron.v, neuron.i = neuron.after(dt, neuron.v, neuron.i)
        for _ in range(ROUNDS):
            fired = []
            for (layer, j), neuron in neurons.items():
                if layer < last and neuron.v.value >= neuron.threshold.value:
                    x = neuron.back(dt)
                    _, es, _ = coupling(x, neuron.m, neuron.s)
                    neuron.v, _ = neuron.after(x, neuron.reset, neuron.i / es)
                    fired.append((k, x, layer, j))
            for _, x, layer, i in fired:
                for c, (pre, post) in enumerate(case["conn"]):
                    for j in range(case["sizes"][post] if pre == layer else 0):
                        weight, to = given[f"w_{c}"][i, j], neurons[int(post), j]
                        _, es, kappa = coupling(x, to.m, to.s)
                        to.v, to.i = to.v + weight * kappa, to.i + weight * es
                        if post == last:
                            mean[j] = mean[j] + weight * (to.s * (1.0 - es) - to.m * kappa) / dt
            spikes += fired
            if not fired:
                break
        means.append(mean)
    return spikes, means


def solve(case: Case) -> Case:
    """The case with spikes, loss (−ln softmax of the mean of V) and every gradient."""
    given, places = parameters(case)
    dt, found = float(case["dt"]), []
    for b in range(case["n_samples"]):
        spikes, means = forward(case, given, b)
        label = int(case["labels"][b])
        z = [sum(step[1:], step[0]) / case["n_steps"] for step in zip(*means, strict=True)]
        terms = [exp(value - z[label]) for value in z]
        found.append((spikes, z, log(sum(terms[1:], terms[0]))))
    losses = [loss for _, _, loss in found]
    mean = sum(losses[1:], losses[0]) / len(losses)
    ordered = [sorted(spikes, key=lambda s: (s[0], s[2], s[3], -s[1].value)) for spikes, _, _ in found]
    flat = [s for spikes in ordered for s in spikes]
    return case | {
        "spk_steps": np.array([k for k, _, _, _ in flat]),
        "spk_times": np.array([(k + 1) * dt - x.value for k, x, _, _ in flat]),
        "spk_layers": np.array([layer for _, _, layer, _ in flat]),
        "spk_units": np.array([unit for _, _, _, unit in flat]),
        "spk_offsets": np.cumsum([0] + [len(spikes) for spikes in ordered]),
        "loss_value": np.float64(mean.value),
        "loss_per_sample": np.array([loss.value for loss in losses]),
        "readout": np.array([[value.value for value in z] for _, z, _ in found]),
        **gradients(case, places, mean),
    }
