"""What each pass of a pipeline changed, and what can be measured of its law without running the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.analysis.types import PassResult
from nirbridge.errors import Unsupported
from nirbridge.graph import inline, read_metadata
from nirbridge.graph.delays import KEY as DELAYS
from nirbridge.graph.delays import step_of, steps_of
from nirbridge.graph.digest import node_fields
from nirbridge.graph.quantization import KEY, Quantization, quantization_of
from nirbridge.network import build
from nirbridge.passes import Pipeline
from nirbridge.protocols import Pass, options_of
from nirbridge.semantics import Semantics

Step = tuple[Pass, nir.NIRGraph, nir.NIRGraph]


def applied(
    passes: Sequence[Pass], graph: nir.NIRGraph
) -> tuple[nir.NIRGraph, tuple[PassResult, ...], list[Step]]:
    """Run passes as one pipeline; returns the graph, a result per pass, and each pass's graphs, inlined."""
    steps: list[Step] = []

    def seen(item: Pass, old: nir.NIRGraph, new: nir.NIRGraph) -> None:
        steps.append((item, inline(old), inline(new)))

    after = Pipeline(tuple(passes), seen=seen)(graph)
    return after, tuple(_result(*step) for step in steps), steps


def _result(item: Pass, before: nir.NIRGraph, after: nir.NIRGraph) -> PassResult:
    names = _changed(before, after)
    law = str(getattr(item, "law", ""))
    if not names:
        changed, result = "nothing", "already so"
    elif any(_delay_changed(before, after, name) for name in names):
        changed, result = _delays(before, after, names)
    elif arrays := [name for name in names if name in after.nodes and KEY in after.nodes[name].metadata]:
        changed, result = f"{len(arrays)} arrays", _quantised(before, after, arrays)
    else:
        neurons = [name for name in names if not isinstance(after.nodes.get(name), nir.Linear | nir.Affine)]
        moved = _moved(before, after, neurons)
        changed = ", ".join(neurons or names)
        result = "; ".join([*([moved] if moved else []), _gains(before, after)])
    return PassResult(name=item.name, options=options_of(item), changed=changed, law=law, result=result)


def _changed(before: nir.NIRGraph, after: nir.NIRGraph) -> list[str]:
    def differs(a: nir.NIRNode, b: nir.NIRNode) -> bool:
        old, new = node_fields(a), node_fields(b)
        return (
            type(a) is not type(b)
            or set(old) != set(new)
            or any(not _same(old[k], new[k]) for k in old)
            or any((key in a.metadata) != (key in b.metadata) for key in (KEY, DELAYS))
        )

    names = sorted({*before.nodes, *after.nodes})
    return [
        name
        for name in names
        if name not in before.nodes
        or name not in after.nodes
        or differs(before.nodes[name], after.nodes[name])
    ]


def _delay_changed(before: nir.NIRGraph, after: nir.NIRGraph, name: str) -> bool:
    """Whether a node that changed is a Delay, or has got or lost its delays per synapse."""
    nodes = [graph.nodes[name] for graph in (before, after) if name in graph.nodes]
    folded = [DELAYS in node.metadata for node in nodes]
    return any(isinstance(node, nir.Delay) for node in nodes) or (any(folded) and folded != [True, True])


def _delays(before: nir.NIRGraph, after: nir.NIRGraph, names: list[str]) -> tuple[str, str]:
    """What changed, and the delays that the graph then has: as nodes, and per synapse."""
    old, new = (
        [n for n, node in graph.nodes.items() if isinstance(node, nir.Delay)] for graph in (before, after)
    )
    if sorted(old) == sorted(new):
        step = step_of(after)
        nodes = [(before.nodes[n], after.nodes[n]) for n in new if n in names]
        worst = max(float(np.abs(np.asarray(a.delay) - b.delay).max()) for a, b in nodes)  # type: ignore[attr-defined]
        return ", ".join(n for n in new if n in names), f"moved by {worst / step:.2g} steps at most"
    parts = []
    for name, node in sorted(after.nodes.items()):
        steps = steps_of(node, name)
        if steps is not None:
            held = steps[_weight(after, name) != 0]
            low, high = (int(held.min()), int(held.max())) if held.size else (0, 0)
            parts.append(f"{name}: {low} to {high} steps")
    nodes_before = "1 Delay node" if len(old) == 1 else f"{len(old)} Delay nodes"
    return f"{nodes_before}, now {len(new)}", "; ".join(parts) or "each delay a node"


def _moved(before: nir.NIRGraph, after: nir.NIRGraph, names: list[str]) -> str:
    """The largest relative change of every time constant and threshold that changed."""
    worst: dict[str, float] = {}
    for name in names:
        a, b = before.nodes.get(name), after.nodes.get(name)
        for field in ("tau", "tau_mem", "tau_syn", "v_threshold"):
            if not (hasattr(a, field) and hasattr(b, field)):
                continue
            x, y = (np.asarray(getattr(node, field), np.float64) for node in (a, b))
            if not np.array_equal(x, y) and np.all(x != 0):
                worst[field] = max(worst.get(field, 0.0), float(np.abs(y / x - 1).max()))
    return ", ".join(f"{field} within {100 * share:.2g} %" for field, share in sorted(worst.items()))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, str) or a is None or isinstance(b, str) or b is None:
        return bool(a == b)
    return np.array_equal(np.asarray(a), np.asarray(b))


def _quantised(before: nir.NIRGraph, after: nir.NIRGraph, names: list[str]) -> str:
    """Scale, clipped share and signal to quantisation noise over all arrays of each scale."""
    groups: dict[bytes, list[tuple[str, Quantization]]] = {}
    for name in names:
        found = quantization_of(after.nodes[name], name)
        if found is not None:
            groups.setdefault(found.scale.tobytes(), []).append((name, found))
    texts = []
    for members in groups.values():
        old = np.concatenate([_weight(before, name).reshape(-1) for name, _ in members])
        new = np.concatenate([_weight(after, name).reshape(-1) for name, _ in members])
        clipped = float(np.mean(np.concatenate([_clipped(_weight(before, n), q) for n, q in members])))
        noise = float(np.sum((old - new) ** 2))
        decibel = "exact" if noise == 0 else f"{10 * np.log10(np.sum(old**2) / noise):.0f} dB"
        low, high = float(members[0][1].scale.min()), float(members[0][1].scale.max())
        scale = f"scale {low:.3g}" if low == high else f"scales {low:.3g} to {high:.3g}"
        names_joined = "+".join(name for name, _ in members)
        texts.append(f"{names_joined}: {scale}, clipped {100 * clipped:.1f} %, {decibel}")
    return "; ".join(texts)


def _clipped(weight: NDArray[np.float64], found: Quantization) -> NDArray[np.bool_]:
    """Flat: whether a weight lies more than half a scale beyond the largest integer's value."""
    scale = found.scale.astype(np.float64)
    if found.axis >= 0:
        scale = scale.reshape([-1 if at == found.axis else 1 for at in range(weight.ndim)])
    top = 2 ** (found.bits - 1) - 1
    return np.asarray(np.abs(weight) > (top + 0.5) * scale).reshape(-1)


def _weight(graph: nir.NIRGraph, name: str) -> NDArray[np.float64]:
    node: Any = graph.nodes[name]
    return np.asarray(node.weight, np.float64)


def _gains(before: nir.NIRGraph, after: nir.NIRGraph) -> str:
    """Largest relative change of what a spike adds to V per step: W·b_s·b_m of every synapse.

    A graph without dt is measured at dt = 1: with matched gains dt cancels in the ratio.
    """
    worst = 0.0
    stated = None if read_metadata(before) else Semantics(dt=1.0)
    try:
        old, new = build(before, stated), build(after, stated)
    except Unsupported as error:
        return f"not measured: {error.message}"
    for at in old.neurons:
        p, q = old.populations[at], new.populations[new.index(old.populations[at].name)]
        gain_p = p.b_m * (p.b_s if p.cuba else 1.0)
        gain_q = q.b_m * (q.b_s if q.cuba else 1.0)
        drive = old.drives[at]
        for stage in (drive.stages[last] for last in drive.inputs if isinstance(last, int)):
            nodes = old.graph.nodes[stage.name], new.graph.nodes.get(stage.name)
            if not all(isinstance(node, nir.Linear | nir.Affine) for node in nodes):
                continue
            x = _weight(old.graph, stage.name).reshape(len(gain_p), -1) * gain_p[:, None]
            y = _weight(new.graph, stage.name).reshape(len(gain_q), -1) * gain_q[:, None]
            largest = float(np.abs(x).max(initial=0.0))
            if largest > 0:
                worst = max(worst, float(np.abs(x - y).max()) / largest)
    return f"W·gain within {worst:.1g} of the largest"
