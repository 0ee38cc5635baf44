"""A NetX network as a NIR graph that keeps every integer: weights are the integers, θ is vThMant.

A `.net` file says no dt: the graph's unit of time is the step and dt is 1, which its metadata mark with
``"in_steps": true`` (a dt stated later becomes the unit of time too). One weight step is one unit
of V (v = 64·V), and every synapse costs a step (semantics field feedforward_delay 1).
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Unsupported
from nirbridge.graph import make, read_metadata, write_metadata
from nirbridge.graph.delays import KEY as DELAY
from nirbridge.graph.quantization import KEY as QUANTIZED
from nirbridge.graph.quantization import Quantization
from nirbridge.network import Population
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_loihi2.layers import INPUT, MAX_THRESHOLD, Connection, IntegerNetwork, Layer

KEY = "nirbridge_netx"
# vThMant of a last layer from which it is a read-out that never spikes; written for one: 2^17 overflowed
# on a chip, 2^16 worked (ml_genn_netx, commit cad2d89).
READOUT_FROM = 1 << 16
AT_ONCE = 1 + 2.0**-20  # time constant in steps of what is gone after one: of 4096 it rounds to 4096
FOREVER = float(1 << 30)  # time constant in steps of what does not decay: its decay rounds to 0 of 4096


def to_graph(network: IntegerNetwork) -> nir.NIRGraph:
    """The graph of a network whose layers stand in a chain, as files hold them.

    iDecay 4096 becomes an LIF (no synapse), else a CubaLIF with tau_syn = 4096/iDecay steps,
    tau_mem = 4096/vDecay, gains of 1; a bias is v_leak; a last layer with vThMant from 2^16 on becomes
    an LI or CubaLI, its vThMant kept in metadata, as 2^17 is of any layer. vDecay 4096, a membrane that keeps
    nothing, is a tau_mem of 1 + 2^-20 steps: Euler steps need more than 1. An input layer of neurons becomes
    LIF neurons that the Input feeds directly, without a synapse: its values are the bias mantissas of a step
    (an iDecay, which nothing there depends on, is kept in metadata). Delays are folded. Weights beyond int8
    have the metadata ``nirbridge_netx``: ``weights`` ``integers``.

    Raises `Unsupported` (NB201) for sigma-delta and resonate-and-fire layers, which NIR cannot say.
    """
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array(_input_shape(network))})}
    edges: list[tuple[str, str]] = []
    names = {INPUT: "input"}
    shapes = {INPUT: _input_shape(network)}
    for at, layer in enumerate(network.layers):
        if layer.kind != "lif":
            raise Unsupported(
                f"layer {layer.name}: NIR has no node for {layer.kind} neurons, so the file has no graph",
                code="NB201",
                fix="run the file from Python: nirbridge_loihi2.NetProgram(FILE).run(spikes)",
            )
        name = names[at] = f"layer{at + 1}"
        shapes[at] = layer.shape
        into = network.into(at)
        nodes[name] = _neuron(layer, last=at == len(network.layers) - 1, synapse=bool(into))
        if not into:
            edges.append(("input", name))
        for c in into:
            weight = f"{name}_rec" if c.source == at else f"{name}_in"
            source = names[c.source]
            if c.window is None and len(shapes[c.source]) > 1:
                flat = f"{name}_flat"
                nodes[flat] = nir.Flatten({"input": np.array(shapes[c.source])}, start_dim=0, end_dim=-1)
                edges.append((source, flat))
                source = flat
            nodes[weight] = _weights(c)
            edges += [(source, weight), (weight, name)]
    nodes["output"] = nir.Output({"output": np.array(network.layers[-1].shape)})
    edges.append((names[len(network.layers) - 1], "output"))
    return _in_steps(with_semantics(make(nodes, edges), Semantics(dt=1.0, feedforward_delay=1)))


def _in_steps(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The graph, marked: its times are in steps, and a step has no length in seconds yet."""
    metadata = read_metadata(graph)
    assert metadata is not None
    return write_metadata(graph, metadata.model_copy(update={"in_steps": True}))


def _input_shape(network: IntegerNetwork) -> tuple[int, ...]:
    if not network.into(0):
        return network.layers[0].shape
    for c in network.connections:
        if c.source == INPUT and c.window is not None:
            return c.window.source
    return (network.n_inputs,)


def _steps(decay: int) -> float:
    return max(4096 / decay, AT_ONCE) if decay else FOREVER


def _neuron(layer: Layer, *, last: bool, synapse: bool) -> nir.NIRNode:
    shape = layer.shape
    tau_syn, tau_mem = (_steps(int(d[0])) for d in (layer.decay_u, layer.decay_v))

    def full(value: float) -> NDArray[np.float32]:
        return np.full(shape, value, np.float32)

    fields: dict[str, Any] = {"r": full(tau_mem)}
    fields["v_leak"] = ((layer.bias / 64) * tau_mem).reshape(shape).astype(np.float32)
    decay_u = int(layer.decay_u[0])
    metadata: dict[str, Any] = {} if synapse or decay_u == 4096 else {KEY: {"iDecay": decay_u}}
    cuba = synapse and decay_u != 4096
    if cuba:
        fields |= {"tau_syn": full(tau_syn), "tau_mem": full(tau_mem), "w_in": full(tau_syn)}
    else:
        fields["tau"] = full(tau_mem)
    threshold = int(layer.threshold[0])
    if not layer.spiking or (last and threshold >= READOUT_FROM):
        metadata = {KEY: {**metadata.get(KEY, {}), "vThMant": threshold}}
        return nir.CubaLI(**fields, metadata=metadata) if cuba else nir.LI(**fields, metadata=metadata)
    if threshold > MAX_THRESHOLD:
        metadata = {KEY: {**metadata.get(KEY, {}), "vThMant": threshold}}
    fields |= {"v_threshold": full(threshold), "v_reset": full(0.0)}
    kind = nir.CubaLIF if cuba else nir.LIF
    return kind(**fields, metadata=metadata)


def overflows(population: Population) -> bool:
    """Whether a `.net` file gave this population vThMant 2^17: simulated, beyond the chip's 17-bit field."""
    return bool(population.node.metadata.get(KEY, {}).get("vThMant") == MAX_THRESHOLD + 1)


def _weights(c: Connection) -> nir.NIRNode:
    metadata: dict[str, Any] = {}
    if c.weight.min() >= -128 and c.weight.max() <= 127:
        q = Quantization(q=c.weight.astype(np.int8), scale=np.ones(1, np.float32))
        metadata[QUANTIZED] = q.as_metadata()
    else:
        metadata[KEY] = {"weights": "integers"}
    if c.delay is not None and c.max_delay:
        metadata[DELAY] = np.where(c.weight != 0, c.delay, 0).astype(np.int32)
    weight = c.weight.astype(np.float32)
    if c.window is None:
        return nir.Linear(weight=weight, metadata=metadata)
    w = c.window
    return nir.Conv2d(
        input_shape=w.source[1:],
        weight=weight,
        stride=w.stride,
        padding=w.padding,
        dilation=w.dilation,
        groups=w.groups,
        bias=np.zeros(w.target[0], np.float32),
        metadata=metadata,
    )
