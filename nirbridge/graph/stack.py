"""Generate a stack of layers to start a training from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nir
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from nirbridge.graph.copying import make


def layered(
    *,
    inputs: int,
    hidden: Sequence[int],
    outputs: int,
    dt: float,
    rng: Generator,
    recurrent: bool = False,
    tau_mem: float = 0.02,
    tau_syn: float = 0.005,
    threshold: float = 1.0,
    input_mean: float = 0.03,
    input_sd: float = 0.01,
    hidden_mean: float = 0.0,
    hidden_sd: float = 0.1,
    recurrent_sd: float = 0.02,
    output_mean: float = 0.0,
    output_sd: float = 0.03,
    delay_line: tuple[int, float] | None = None,
    spiking: bool = False,
    tau_shape: float | None = None,
) -> nir.NIRGraph:
    """Input → hidden CubaLIF layers (``hidden1``, …, each with a Linear in a loop if ``recurrent``) → CubaLI.

    spiking: the read-out is a CubaLIF, too. tau_shape: time constants of hidden neurons are drawn from gamma
    distributions of this shape around their means (standard deviation mean/√shape), τ_mem not below 3 dt,
    τ_syn not below dt.
    tau_mem, tau_syn, dt in seconds; weights are normal with the given mean and standard deviation.
    With exact decay and matched gain a weight w is the jump of I per spike and I drives V as
    in continuous time: w_in = 1/(1−e^(−dt/τ_s)), r = κ(dt)/(1−e^(−dt/τ_m)) (SEMANTICS.md R5).
    The graph carries no metadata; nodes: input, w1, hidden1, r1, …, w_out, out, output.

    delay_line: (copies, step [s]) puts copies of the Input, each ``step`` later than the one before, in
    front of the first layer: Delay ``w1_d<k>`` → Linear ``w1_w<k>`` of k steps, and ``w1_w0`` without a
    Delay; their weights are drawn as those of w1, then divided by the copies.
    """
    sizes = [inputs, *hidden, outputs]
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(input_type={"input": np.array([inputs])})}
    edges: list[tuple[str, str]] = []
    before = "input"

    def draw(mean: float, sd: float, post: int, pre: int) -> NDArray[np.float32]:
        return rng.normal(mean, sd, (post, pre)).astype(np.float32)

    def spread(mean: float, n: int, least: float) -> NDArray[np.float64]:
        if tau_shape is None:
            return np.full(n, mean)
        return np.maximum(rng.gamma(tau_shape, mean / tau_shape, n), least)

    def firing(n: int, tau_m: NDArray[np.float64], tau_s: NDArray[np.float64]) -> nir.CubaLIF:
        return nir.CubaLIF(
            **_gains(tau_m, tau_s, dt),
            v_threshold=np.full(n, threshold, np.float32),
            v_reset=np.zeros(n, np.float32),
        )

    for layer, n in enumerate(hidden, start=1):
        mean, sd = (input_mean, input_sd) if layer == 1 else (hidden_mean, hidden_sd)
        weight, neuron = f"w{layer}", f"hidden{layer}"
        if layer == 1 and delay_line is not None:
            copies = delay_line[0]
            for k in (round(c * delay_line[1] / dt) for c in range(copies)):
                branch, late = f"{weight}_w{k}", f"{weight}_d{k}"
                nodes[branch] = nir.Linear(weight=draw(mean / copies, sd / copies, n, inputs))
                if k > 0:
                    nodes[late] = nir.Delay(delay=np.full(inputs, k * dt, np.float32))
                    edges.append((before, late))
                edges += [(late if k > 0 else before, branch), (branch, neuron)]
        else:
            nodes[weight] = nir.Linear(weight=draw(mean, sd, n, sizes[layer - 1]))
            edges += [(before, weight), (weight, neuron)]
        nodes[neuron] = firing(n, spread(tau_mem, n, 3 * dt), spread(tau_syn, n, dt))
        if recurrent:
            nodes[f"r{layer}"] = nir.Linear(weight=draw(0.0, recurrent_sd, n, n))
            edges += [(neuron, f"r{layer}"), (f"r{layer}", neuron)]
        before = neuron
    nodes["w_out"] = nir.Linear(weight=draw(output_mean, output_sd, outputs, sizes[-2]))
    taus = np.full(outputs, tau_mem), np.full(outputs, tau_syn)
    nodes["out"] = firing(outputs, *taus) if spiking else nir.CubaLI(**_gains(*taus, dt))
    nodes["output"] = nir.Output(output_type={"output": np.array([outputs])})
    edges += [(before, "w_out"), ("w_out", "out"), ("out", "output")]
    return make(nodes, edges)


def _gains(tau_mem: NDArray[np.float64], tau_syn: NDArray[np.float64], dt: float) -> dict[str, Any]:
    """Parameters of neurons with these time constants (n,), with which a weight is the jump of I."""
    z = dt * (1.0 / tau_syn - 1.0 / tau_mem)
    small = np.abs(z) < 1e-12
    phi = np.where(small, 1.0, -np.expm1(-z) / np.where(small, 1.0, z))
    kappa = dt / tau_mem * np.exp(-dt / tau_mem) * phi
    values = {
        "tau_syn": tau_syn,
        "tau_mem": tau_mem,
        "r": kappa / -np.expm1(-dt / tau_mem),
        "v_leak": np.zeros(len(tau_mem)),
        "w_in": 1.0 / -np.expm1(-dt / tau_syn),
    }
    return {name: value.astype(np.float32) for name, value in values.items()}
