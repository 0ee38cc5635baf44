"""What the py-spinnaker2 NIR import does not take: node types, parameter values, step rules."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import nir
import numpy as np

from nirbridge.errors import Finding, Level
from nirbridge.graph import read_metadata
from nirbridge.graph.delays import KEY, steps_of
from nirbridge.network import Network
from nirbridge.semantics import Semantics

SUPPORTED = (
    nir.Input,
    nir.Output,
    nir.Linear,
    nir.Affine,
    nir.Conv2d,
    nir.SumPool2d,
    nir.AvgPool2d,
    nir.Flatten,
    nir.I,
    nir.LI,
    nir.IF,
    nir.LIF,
    nir.CubaLI,
    nir.CubaLIF,
)


# Profiles whose steps are those that the semantics fields say, and the import's own (SEMANTICS.md §4).
PROFILES = ("canonical", "genn", "spinnaker2")


def node_findings(graph: nir.NIRGraph, *, v_reset: str) -> list[Finding]:
    """Every node of a flat graph that breaks a rule, in name order."""
    found: list[Finding] = []
    for name, node in sorted(graph.nodes.items()):
        if isinstance(node, nir.Delay) or KEY in getattr(node, "metadata", {}):
            message = (
                f"node '{name}' ({type(node).__name__}) delays by {_delay_text(node, graph)}, target "
                "'spinnaker2' executes none beyond the tick of a hop"
            )
            fix = "train without delays, or run on loihi2 or reference"
            found.append(_finding("NB208", name, message, fix))
        elif not isinstance(node, SUPPORTED):
            known = ", ".join(t.__name__ for t in SUPPORTED)
            message = f"node '{name}' ({type(node).__name__}) is not supported by target 'spinnaker2'"
            found.append(_finding("NB201", name, message, f"supported: {known}"))
        else:
            found += _check(node, name, v_reset)
    return found


def _delay_text(node: Any, graph: nir.NIRGraph) -> str:
    """The longest delay in steps, or as the file has it where dt is unknown."""
    metadata = read_metadata(graph)
    if not isinstance(node, nir.Delay):
        steps = steps_of(node, "") if read_metadata(graph) is not None else None
        return "steps on each synapse" if steps is None else f"up to {int(np.max(steps))} steps a synapse"
    longest = float(np.max(node.delay, initial=0.0))
    if metadata is None:
        return f"up to {longest:g}"
    seconds = longest * metadata.time_unit
    return f"up to {seconds:g} s ({seconds / metadata.dt:g} steps)"


@singledispatch
def _check(node: nir.NIRNode, name: str, v_reset: str) -> list[Finding]:
    return []


@_check.register(nir.Linear)
@_check.register(nir.Affine)
def _(node: Any, name: str, v_reset: str) -> list[Finding]:
    if np.ndim(node.weight) == 2:
        return []
    message = f"node '{name}' ({type(node).__name__}) has a weight of shape {np.shape(node.weight)}"
    return [_finding("NB209", name, f"{message}, expected (out, in)", "write it as one matrix")]


@_check.register
def _(node: nir.Conv2d, name: str, v_reset: str) -> list[Finding]:
    found = []
    if np.any(np.asarray(node.dilation) != 1):
        found.append(f"dilation {_pair(node.dilation)}, expected 1")
    if np.any(np.asarray(node.groups) != 1):
        found.append(f"groups {_pair(node.groups)}, expected 1")
    if len(set(np.atleast_1d(node.stride).tolist())) != 1:
        found.append(f"stride {_pair(node.stride)}, expected equal strides")
    if isinstance(node.padding, str) and node.padding != "valid":
        found.append(f"padding '{node.padding}', expected a number")
    elif not isinstance(node.padding, str) and len(set(np.atleast_1d(node.padding).tolist())) != 1:
        found.append(f"padding {_pair(node.padding)}, expected equal padding")
    return [_unrolled(name, "Conv2d", what) for what in found]


@_check.register(nir.SumPool2d)
@_check.register(nir.AvgPool2d)
def _(node: Any, name: str, v_reset: str) -> list[Finding]:
    kind = type(node).__name__
    kernel, stride = np.atleast_1d(node.kernel_size).tolist(), np.atleast_1d(node.stride).tolist()
    found = []
    if len(set(kernel)) != 1 or len(set(kernel + stride)) != 1:
        found.append(
            f"kernel {_pair(node.kernel_size)} with stride {_pair(node.stride)}, expected k×k, stride k"
        )
    if np.any(np.asarray(node.padding) != 0):
        found.append(f"padding {_pair(node.padding)}, expected 0")
    return [_unrolled(name, kind, what) for what in found]


@_check.register(nir.IF)
@_check.register(nir.LIF)
@_check.register(nir.CubaLIF)
@_check.register(nir.I)
@_check.register(nir.LI)
@_check.register(nir.CubaLI)
def _(node: Any, name: str, v_reset: str) -> list[Finding]:
    kind = type(node).__name__
    found = []
    for field in ("r", "w_in", "v_threshold"):
        values = np.asarray(getattr(node, field, 1.0), dtype=np.float64)
        wrong = ~(values > 0)
        if np.any(wrong):
            found.append(
                _finding(
                    "NB212",
                    name,
                    f"node '{name}' ({kind}): target 'spinnaker2' needs {field} > 0, "
                    f"got {_first(values, wrong)}",
                    "rescale the node so that it is positive",
                )
            )
    reset = getattr(node, "v_reset", None)
    values = np.asarray(0.0 if reset is None else reset, dtype=np.float64)
    if np.any(values != 0):
        got = _first(values, values != 0)
        if v_reset == "ignore":
            message = f"node '{name}' ({kind}): v_reset is taken as 0, the graph says {got}"
            found.append(_finding("NB204", name, message, "train with v_reset = 0", "warning"))
        else:
            message = f"node '{name}' ({kind}): target 'spinnaker2' needs v_reset = 0, got {got}"
            fix = "train with v_reset = 0, or spinnaker2:v_reset=ignore to take it as 0 as the vendor does"
            found.append(_finding("NB204", name, message, fix))
    return found


def semantics_findings(network: Network) -> list[Finding]:
    """Step rules of the graph that the PE's step cannot follow (errors) or follows otherwise (warnings)."""
    s = network.semantics
    if s.profile not in PROFILES:
        return [
            _finding(
                "NB210",
                None,
                f"the graph's semantics are those of profile '{s.profile}', whose reader computes another "
                f"step; target 'spinnaker2' runs {', '.join(map(repr, PROFILES))}",
                "run it on target reference, or train it under canonical semantics",
            )
        ]
    found = [
        _finding(
            "NB210",
            None,
            f"the graph's semantics say {field}={value!r}, target 'spinnaker2' steps with {field}={ours!r}",
            "retrain under these semantics, or run on reference",
        )
        for field, value, ours in _step_rules(s)
    ]
    if s.compare == ">=":
        found.append(
            _finding(
                "NB210",
                None,
                "the graph's semantics spike at V ≥ θ, a PE spikes at V > θ",
                "nothing to do: they differ only where V equals θ exactly",
                "info",
            )
        )
    for at in network.neurons:
        p = network.populations[at]
        if s.v_init == "leak" and np.any(p.v_start != 0):
            found.append(
                _finding(
                    "NB210",
                    p.name,
                    f"node '{p.name}' starts at v_leak, a PE starts at V = 0",
                    "set v_leak to 0",
                )
            )
    return found


def _step_rules(s: Semantics) -> list[tuple[str, object, object]]:
    rules: list[tuple[str, object, object]] = [
        ("syn_input", s.syn_input, "after"),
        ("reset_at", s.reset_at, "same-step"),
        ("emit", s.emit, "after-update"),
        ("multi_spike", s.multi_spike, False),
        ("floor", s.floor, None),
        ("delayed", s.delayed, "state"),
    ]
    if s.order == "voltage-first":
        rules.append(("order", s.order, "current-first"))
    if s.arithmetic not in ("float64", "float32"):
        rules.append(("arithmetic", s.arithmetic, "float32"))
    return [(field, value, ours) for field, value, ours in rules if value != ours]


def _first(values: Any, wrong: Any) -> str:
    flat, where = np.atleast_1d(values).reshape(-1), np.atleast_1d(wrong).reshape(-1)
    return f"{flat[int(np.argmax(where))]:g} at {int(where.sum())} of {len(where)} neurons"


def _pair(value: Any) -> str:
    items = np.atleast_1d(value).tolist()
    return "×".join(str(item) for item in items)


def _unrolled(name: str, kind: str, what: str) -> Finding:
    return _finding(
        "NB209", name, f"node '{name}' ({kind}) has {what}", "write the node as an unrolled Linear"
    )


def _finding(code: str, node: str | None, message: str, fix: str, level: Level = "error") -> Finding:
    return Finding(code=code, level=level, node=node, message=message, fix=fix)
