"""The whole model: a `Scan` over time around one step, the states, what it says about the graph."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, replace
from importlib.metadata import version

import nir
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from nirbridge.errors import Finding, FindingWarning, Unsupported
from nirbridge.graph import digest
from nirbridge.graph.metadata import KEY
from nirbridge.io.onnx_out.body import Body
from nirbridge.io.onnx_out.parameters import Parameters
from nirbridge.io.onnx_out.ports import Ports, ports_of, state_names
from nirbridge.io.onnx_out.refusals import refuse
from nirbridge.io.onnx_out.state import State
from nirbridge.network import Source, build
from nirbridge.semantics import semantics_of, with_semantics

OPSET = 17
IR_VERSION = 8  # the file format of ONNX 1.12, the first with opset 17
LARGEST = 2**31 - 2**20  # a protobuf message ends at 2 GiB; 1 MiB is for all but the weights


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """A model and the states of its network, in the order in which they are inputs and outputs."""

    model: ModelProto
    states: tuple[State, ...]


def to_model(graph: nir.NIRGraph, *, states: bool = False) -> Exported:
    """The graph's step under its own semantics, in float32, as an ONNX model of opset 17.

    One Input is ``input`` (T, B, *shape), one Output ``output`` (T, B, *shape); several carry their
    nodes' names. ``states``: the states are inputs too, named as `State` says, and outputs ``<name>.next``
    after the last step, so that a long input can be run in chunks; otherwise they start as the semantics
    say. Entries of the model: ``nirbridge`` (the graph's metadata, JSON), ``nirbridge_digest`` (of the
    graph) and, with ``states``, ``nirbridge_states`` (`State.as_dict` of each, JSON).

    Semantics in float64 are written in float32 with a `FindingWarning` (NB201). Raises `Unsupported` for
    semantics (NB201) and wiring (NB202) that the model cannot state, for more than 2 GiB of weights
    (NB212), and what `network.build` raises.
    """
    semantics = semantics_of(graph)
    refuse(semantics)
    if semantics.arithmetic == "float64":
        message = (
            "the model steps in float32, the graph's semantics in float64: spikes within rounding differ"
        )
        warnings.warn(FindingWarning(Finding(code="NB201", level="warning", message=message)), stacklevel=2)
        semantics = replace(semantics, arithmetic="float32")
        graph = with_semantics(graph, semantics)
    network = build(graph, semantics)
    inputs, outputs = ports_of(network)
    body = Body(network, {*inputs.values(), *outputs.values(), *state_names(network)}, inputs)
    exported = Exported(_around(body, inputs, outputs, states), tuple(body.step.states))
    _describe(exported, graph, states)
    return exported


def _around(body: Body, inputs: Ports, outputs: Ports, states: bool) -> ModelProto:
    """The outer graph: starts of the states, the Scan, inputs and outputs."""
    populations, own = body.network.populations, body.step.states
    for state in () if states else own:
        _start(body.parameters, state)
    scan = _scan(body, inputs, outputs)
    if body.parameters.nbytes > LARGEST:
        raise Unsupported(
            f"the weights take {body.parameters.nbytes / 2**30:.3g} GiB, an ONNX file holds 2 GiB",
            code="NB212",
            fix="quantise the weights first: nirbridge convert IN OUT --pass quantize-weights",
        )
    before = [_value(s.name, "B", *s.shape) for s in own] if states else []
    after = [_value(s.after, "B", *s.shape) for s in own] if states else []
    graph = helper.make_graph(
        [*body.outer.nodes, scan],
        "network",
        [*(_value(name, "T", "B", *populations[at].shape) for at, name in inputs.items()), *before],
        [*(_value(name, "T", "B", *populations[at].shape) for at, name in outputs.items()), *after],
        initializer=body.parameters.tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _scan(body: Body, inputs: Ports, outputs: Ports) -> NodeProto:
    """The loop over time: states and one step of every input in, states and one of every output out."""
    step, populations = body.step, body.network.populations
    taken = [(step.before[s.name], s.shape) for s in step.states]
    taken += [(body.sent[Source(at, 0)], populations[at].shape) for at in inputs]
    given = [(s.after, step.after[s.name], s.shape) for s in step.states]
    given += [(name, body.sent[Source(at, 0)], populations[at].shape) for at, name in outputs.items()]
    # An output of a body may be no input of it and no other output: each is a copy of its own.
    copies = [(step.op("Identity", [value], name), shape) for name, value, shape in given]
    return helper.make_node(
        "Scan",
        [*(s.name for s in step.states), *inputs.values()],
        [*(s.after for s in step.states), *outputs.values()],
        name="time",
        num_scan_inputs=len(inputs),
        body=helper.make_graph(
            step.ops.nodes,
            "step",
            [_value(name, "B", *shape) for name, shape in taken],
            [_value(name, "B", *shape) for name, shape in copies],
        ),
    )


def _start(parameters: Parameters, state: State) -> None:
    """Make the state's first value under its own name, which was kept free for it."""
    parameters.ops.taken.discard(state.name)
    parameters.filled(state.name, state.shape, state.start)


def _value(name: str, *shape: str | int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _describe(exported: Exported, graph: nir.NIRGraph, states: bool) -> None:
    """Producer and entries of the model."""
    model = exported.model
    model.producer_name, model.producer_version = "nirbridge", version("nirbridge")
    entries = {KEY: str(graph.metadata[KEY]), f"{KEY}_digest": digest(graph)}
    if states:
        entries[f"{KEY}_states"] = json.dumps([state.as_dict() for state in exported.states])
    helper.set_model_props(model, entries)
