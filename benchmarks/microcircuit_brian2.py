"""The cortical microcircuit at a small scale in Brian2, with what NIR leaves out: what the rates should be.

    python benchmarks/microcircuit_brian2.py [--scale 0.1] [--seconds 2] [--background poisson|dc]

For a Python that has Brian2 (2.9) and not nirbridge: it reads only the numbers of examples/microcircuit.py
and builds the network again. It has the refractory period of 2 ms, a delay for every synapse and membranes
that start spread. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import ast
import json
import time
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2 import Hz, ms, mV, pA, second

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "microcircuit.py"
NEURON = """
dv/dt = -v/(10*ms) + (current + constant)/(250*pF) : volt (unless refractory)
dcurrent/dt = -current/(0.5*ms) : amp
constant : amp
"""


def published() -> dict[str, object]:
    """The constants of the example, taken from its text: importing it would need nirbridge."""
    found: dict[str, object] = {}
    for line in ast.parse(EXAMPLE.read_text()).body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            code = compile(ast.Module([line], []), str(EXAMPLE), "exec")
            exec(code, {"np": np}, found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--background", choices=("poisson", "dc"), default="poisson")
    options = parser.parse_args()
    scale, root, dc = options.scale, np.sqrt(options.scale), options.background == "dc"
    b2.prefs.codegen.target = "numpy"
    b2.defaultclock.dt = 0.1 * ms
    b2.seed(3)
    rng = np.random.default_rng(3)
    p = published()
    neurons, outer = np.asarray(p["NEURONS"]), np.asarray(p["BACKGROUND"])
    pairs = np.outer(neurons, neurons).astype(float)
    synapses = np.log(1 - np.asarray(p["PROBABILITY"])) / np.log(1 - 1 / pairs)
    weight = np.tile(np.array([87.8, -4 * 87.8] * 4), (8, 1))
    weight[0, 2] *= 2
    recurrent = (weight * synapses / neurons[:, None]) @ np.asarray(p["PUBLISHED_HZ"])
    lost = 0.5e-3 * ((1 - root) * recurrent + (1 if dc else 1 - root) * 87.8 * 8 * outer)
    size = np.round(neurons * scale).astype(int)
    edge = np.concatenate([[0], np.cumsum(size)])
    group = b2.NeuronGroup(
        edge[-1], NEURON, threshold="v >= 15*mV", reset="v = 0*mV", refractory=2 * ms, method="exact"
    )
    group.constant = np.repeat(lost, size) * pA
    group.v = np.clip(rng.normal(7, 10, edge[-1]), -20, 14.9) * mV
    drawn: list[tuple[np.ndarray, ...]] = []
    for to in range(8):
        for k in range(8):
            n = round(float(synapses[to, k]) * scale * scale)
            middle, spread = (1.5, 0.75) if k % 2 == 0 else (0.8, 0.4)
            drawn.append(
                (
                    rng.integers(edge[k], edge[k + 1], n),
                    rng.integers(edge[to], edge[to + 1], n),
                    weight[to, k] / root * (1 + 0.1 * rng.standard_normal(n)),
                    np.round(np.maximum(rng.normal(middle, spread, n), 0.1), 1),
                )
            )
    source, target, each, delay = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    recurrence = b2.Synapses(group, group, "w : amp", on_pre="current_post += w")
    recurrence.connect(i=source, j=target)
    recurrence.w, recurrence.delay = each * pA, delay * ms
    spikes = b2.SpikeMonitor(group)
    network = b2.Network(group, recurrence, spikes)
    for k in range(0 if dc else 8):
        whole = max(round(outer[k] * scale), 1)
        rate = 8 * outer[k] * scale / whole * Hz
        part = group[edge[k] : edge[k + 1]]
        network.add(b2.PoissonInput(part, "current", whole, rate, weight=87.8 / root * pA))
    began = time.process_time()
    network.run(options.seconds * second)
    kept = np.asarray(spikes.i)[np.asarray(spikes.t / second) >= 0.2]
    rates = np.histogram(kept, edge)[0] / size / (options.seconds - 0.2)
    row = {"scale": scale, "background": options.background, "seconds": options.seconds}
    row |= {"run_cpu_s": round(time.process_time() - began, 1), "brian2": b2.__version__}
    names = list(p["NAMES"])  # type: ignore[call-overload]
    row["rates_hz"] = {name: round(float(x), 3) for name, x in zip(names, rates, strict=True)}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
