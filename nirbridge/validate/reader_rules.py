"""What a framework's reader would lose of a graph: NB201 to NB214 and NB307, from the table of readers."""

from __future__ import annotations

from collections.abc import Iterator

import nir
import numpy as np

from nirbridge.errors import Finding
from nirbridge.semantics import Semantics
from nirbridge.validate.fields import NEURONS, type_name
from nirbridge.validate.flat import loops
from nirbridge.validate.gains import exact_step, uniform_gain
from nirbridge.validate.parameters import numbers
from nirbridge.validate.readers import READERS, Reader
from nirbridge.validate.report import found, offender
from nirbridge.validate.shapes import integers
from nirbridge.validate.view import View, view_of

_WEIGHTS = (nir.Linear, nir.Affine, nir.Conv1d, nir.Conv2d)
_DECAYING = (nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF)
_POOLS = {"SumPool2d", "AvgPool2d"}


def check_reader(graph: nir.NIRGraph, name: str) -> list[Finding]:
    """Everything that the named reader (a key of `READERS`) would refuse or change, sorted by node.

    The graph's own semantics decide the reset and dt; without metadata they are the canonical ones.
    """
    view, reader = view_of(graph), READERS[name]
    in_loop = loops(view.flat)
    findings: list[Finding] = []
    with np.errstate(all="ignore"):
        for rule in (_types, _values, _gains, _resets, _mixed, _convolutions, _biases):
            for node_name, node in view.flat.nodes.items():
                findings += rule(node_name, node, reader, name, view, in_loop)
        findings += _wiring(reader, name, view, in_loop)
        findings += _exact_gain(reader, name, view)
    return sorted(findings, key=lambda f: (f.node is not None, f.node or "", f.code))


def _types(
    node: str, item: nir.NIRNode, reader: Reader, name: str, view: View, in_loop: set[str]
) -> Iterator[Finding]:
    """NB201, NB208, NB209: node types that the reader does not have."""
    kind = type_name(item)
    if kind in reader.refuses:
        code = "NB208" if kind == "Delay" else "NB209" if kind in _POOLS else "NB201"
        yield found(code, "error", node, kind, f"reader '{name}' has no {kind}", "name another reader")
    if isinstance(item, nir.Flatten) and reader.batch_flatten:
        what = f"reader '{name}' counts axes {item.start_dim} to {item.end_dim} with a batch axis in front"
        yield found("NB213", "warning", node, kind, what, "give it a file with start_dim + 1")


def _values(
    node: str, item: nir.NIRNode, reader: Reader, name: str, view: View, in_loop: set[str]
) -> Iterator[Finding]:
    """NB203, NB204: a potential other than 0 that the reader does not take."""
    for key, takes, code, fix in (
        ("v_leak", reader.leak, "NB203", "fold it into the bias"),
        ("v_reset", reader.v_reset, "NB204", "nirbridge convert IN OUT --pass shift-reset"),
    ):
        value = numbers(getattr(item, key, None))
        if not takes and value is not None and (value != 0).any():
            what = f"reader '{name}' takes 0: {offender(key, value, value != 0, '0')}"
            yield found(code, "error", node, type_name(item), what, fix)


def _gains(
    node: str, item: nir.NIRNode, reader: Reader, name: str, view: View, in_loop: set[str]
) -> Iterator[Finding]:
    """NB205: r or w_in that the reader replaces."""
    kind, r = type_name(item), numbers(getattr(item, "r", None))
    fix = "scale the weight before it (SEMANTICS R1, R4)"
    if kind in reader.r_is_one and r is not None and (r != 1).any():
        what = f"reader '{name}' reads r as 1: {offender('r', r, r != 1, '1')}"
        yield found("NB205", "error", node, kind, what, fix)
    elif reader.unit_gain and isinstance(item, _DECAYING) and not uniform_gain(item, view.semantics):
        what = f"reader '{name}' adds its input unscaled, expected r = tau/dt (and w_in = tau_syn/dt)"
        yield found("NB205", "error", node, kind, what, fix)


def _resets(
    node: str, item: nir.NIRNode, reader: Reader, name: str, view: View, in_loop: set[str]
) -> Iterator[Finding]:
    """NB210: the reader has not the graph's kind of reset."""
    reset = (view.semantics or Semantics(dt=1.0)).reset
    if isinstance(item, nir.IF | nir.LIF | nir.CubaLIF) and reset not in reader.resets:
        words = {"value": "resets to a value", "subtract": "subtracts the threshold"}
        what = f"a spike {words[reset]}, reader '{name}' {words[reader.resets[0]]}"
        yield found("NB210", "error", node, type_name(item), what, "train with the reader's reset")


def _mixed(
    node: str, item: nir.NIRNode, reader: Reader, name: str, view: View, in_loop: set[str]
) -> Iterator[Finding]:
    """NB206: values that differ within a node."""
    if not isinstance(item, NEURONS):
        return
    for key in sorted(reader.mixed):
        value = numbers(getattr(item, key, None))
        if value is not None and value.size and (value != value.reshape(-1)[0]).any():
            what = f"reader '{name}' takes one {key} a node, got {value.min():g} to {value.max():g}"
            yield found("NB206", "error", node, type_name(item), what, "split the node")


def _convolutions(
    node: str, item: nir.NIRNode, reader: Reader, name: str, view: View, in_loop: set[str]
) -> Iterator[Finding]:
    """NB209: groups."""
    grouped = isinstance(item, nir.Conv1d | nir.Conv2d) and integers(item.groups, 1) not in (None, (1,))
    if grouped and not reader.groups:
        what = f"reader '{name}' has no groups"
        yield found("NB209", "error", node, type_name(item), what, "write one weight with zeros")


def _biases(
    node: str, item: nir.NIRNode, reader: Reader, name: str, view: View, in_loop: set[str]
) -> Iterator[Finding]:
    """NB207: a bias that is dropped, or added to the potential."""
    bias = numbers(getattr(item, "bias", None))
    if bias is None or not (bias != 0).any():
        return
    if node in in_loop and not reader.loop_bias:
        what = f"reader '{name}' drops the bias of a weight in a loop"
    elif isinstance(item, nir.Conv1d | nir.Conv2d) and not reader.conv_bias:
        what = f"reader '{name}' takes no bias in a convolution"
    elif reader.bias == "membrane":
        what = f"reader '{name}' adds the bias to the membrane, not to the synapse"
    else:
        return
    yield found("NB207", "warning", node, type_name(item), what, "fold the bias into the neuron")


def _wiring(reader: Reader, name: str, view: View, in_loop: set[str]) -> Iterator[Finding]:
    """NB202, NB211, NB214: edges that the reader refuses or follows in another order."""
    flat = view.flat
    if in_loop and not reader.loops:
        first = min(in_loop)
        what = f"stands in a loop, reader '{name}' refuses recurrence"
        yield found("NB211", "error", first, type_name(flat.nodes[first]), what, "name another reader")
    if reader.weights_between_neurons:
        yield from _series(name, view)
    if reader.last_node:
        yield from _late_loops(name, view, in_loop)
    if reader.one_branch:
        for output in flat.outputs():
            if len(flat.before[output]) > 1:
                what = f"sums {len(flat.before[output])} sources, reader '{name}' takes one of them"
                yield found("NB214", "warning", output, "Output", what, "sum them before the Output")


def _series(name: str, view: View) -> Iterator[Finding]:
    flat = view.flat
    for a, b in flat.edges():
        first, second = flat.nodes[a], flat.nodes[b]
        if isinstance(first, _WEIGHTS) and isinstance(second, _WEIGHTS):
            what = f"follows the weight '{a}' without a neuron between, which reader '{name}' refuses"
            yield found("NB202", "error", b, type_name(second), what, "--pass fuse-affine")
        elif isinstance(first, nir.Input) and isinstance(second, NEURONS):
            what = f"is fed by the Input '{a}' without a weight, which reader '{name}' refuses"
            yield found("NB202", "error", b, type_name(second), what, "insert a Linear")


def _late_loops(name: str, view: View, in_loop: set[str]) -> Iterator[Finding]:
    outputs, seen = set(view.flat.outputs()), None
    for a, b in view.graph.edges:
        if b in outputs:
            seen = seen or b
        elif seen is not None and a in in_loop and b in in_loop:
            what = f"the edge '{a}' -> '{b}' of a loop follows the edge to it, so reader '{name}' may return "
            what += f"'{b}' instead"
            yield found("NB214", "warning", seen, "Output", what, "put the edges of loops first")
            return


def _exact_gain(reader: Reader, name: str, view: View) -> Iterator[Finding]:
    """NB307: r of an exporter with exact decay, read with Euler steps."""
    step = None if reader.exact else exact_step(view.flat.nodes.values(), view.semantics)
    if step is not None:
        what = f"every r is tau·exp(-dt/tau)/dt with dt = {step:g} s, made for exact decay; reader '{name}' "
        what += "steps with Euler"
        yield found("NB307", "warning", None, "NIRGraph", what, "--pass to-euler")
