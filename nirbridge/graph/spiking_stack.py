"""Generate a stack of spiking layers, the read-out too, to start a first-spike training from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nir
import numpy as np
from numpy.random import Generator, RandomState

from nirbridge.graph.copying import make


def spiking_stack(
    *,
    inputs: int,
    hidden: Sequence[int],
    outputs: int,
    dt: float,
    rng: Generator | RandomState,
    recurrent: bool = False,
    tau_mem: float = 0.02,
    tau_syn: float = 0.005,
    threshold: float = 1.0,
    input_mean: float = 3.2,
    input_sd: float = 3.2,
    hidden_mean: float = 5.2,
    hidden_sd: float = 2.8,
    recurrent_sd: float = 0.5,
    output_mean: float = 5.2,
    output_sd: float = 2.8,
) -> nir.NIRGraph:
    """Input → CubaLIF layers ``hidden1``, … (with a Linear in a loop if ``recurrent``) → CubaLIF ``out``.

    tau_mem, tau_syn, dt in seconds. Weights are N(mean, sd)/√(sources of the layer); a weight is the
    jump of I per spike: w_in = 1/(1−e^(−dt/tau_syn)), r = 1. Each matrix is drawn as (sources, neurons),
    layer after layer: with ``RandomState(seed)`` the weights are, bit for bit, those that the public
    simulator `pytorch-eventprop` starts this seed from. The graph carries no metadata; nodes: input, w1,
    hidden1, r1, …, w_out, out, output.
    """
    sizes = [inputs, *hidden, outputs]
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(input_type={"input": np.array([inputs])})}
    edges: list[tuple[str, str]] = []
    before = "input"

    def drawn(mean: float, sd: float, post: int, pre: int) -> nir.Linear:
        share = 1.0 / np.sqrt(pre)
        values = rng.normal(mean * share, sd * share, (pre, post))
        return nir.Linear(weight=np.ascontiguousarray(values.T.astype(np.float32)))

    last = len(sizes) - 2
    for layer, n in enumerate(sizes[1:]):
        if layer == last:
            weight, neuron, mean, sd = "w_out", "out", output_mean, output_sd
        else:
            weight, neuron = f"w{layer + 1}", f"hidden{layer + 1}"
            mean, sd = (input_mean, input_sd) if layer == 0 else (hidden_mean, hidden_sd)
        values: dict[str, float] = {
            "tau_syn": tau_syn,
            "tau_mem": tau_mem,
            "r": 1.0,
            "v_leak": 0.0,
            "w_in": 1.0 / -np.expm1(-dt / tau_syn),
            "v_threshold": threshold,
            "v_reset": 0.0,
        }
        nodes[weight] = drawn(mean, sd, n, sizes[layer])
        nodes[neuron] = nir.CubaLIF(**_arrays(n, values))
        edges += [(before, weight), (weight, neuron)]
        if recurrent and layer < last:
            nodes[f"r{layer + 1}"] = drawn(0.0, recurrent_sd, n, n)
            edges += [(neuron, f"r{layer + 1}"), (f"r{layer + 1}", neuron)]
        before = neuron
    nodes["output"] = nir.Output(output_type={"output": np.array([outputs])})
    return make(nodes, [*edges, (before, "output")])


def _arrays(n: int, values: dict[str, float]) -> dict[str, Any]:
    return {name: np.full(n, value, np.float32) for name, value in values.items()}
