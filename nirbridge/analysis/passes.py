"""What each pass of a pipeline changed, and what can be measured of its law without running the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.analysis.types import PassResult
from nirbridge.analysis.weights import clipped
from nirbridge.errors import Unsupported
from nirbridge.graph import digest, inline, read_metadata
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
    results: list[PassResult] = []

    def seen(item: Pass, old: nir.NIRGraph, new: nir.NIRGraph) -> None:
        steps.append((item, inline(old), inline(new)))
        changed, result = _nesting(old, new) or _result(*steps[-1][1:])
        law = str(getattr(item, "law", ""))
        options = options_of(item)
        results.append(PassResult(name=item.name, options=options, changed=changed, law=law, result=result))

    after = Pipeline(tuple(passes), seen=seen)(graph)
    return after, tuple(results), steps


def _result(before: nir.NIRGraph, after: nir.NIRGraph) -> tuple[str, str]:
    """What changed between two flat graphs, and what was measured of it."""
    names = _changed(before, after)
    left_out = [n for n in after.nodes if _reset_left_out(before.nodes.get(n), after.nodes[n])]
    if not names and left_out:
        return f"{len(left_out)} nodes", "v_reset = 0 left out"
    if not names:
        return "nothing", "already so"
    if any(_delay_changed(before, after, name) for name in names):
        return _delays(before, after, names)
    if arrays := [name for name in names if name in after.nodes and KEY in after.nodes[name].metadata]:
        return f"{len(arrays)} arrays", _quantised(before, after, arrays)
    if set(before.nodes) != set(after.nodes):
        return _nodes(before, after, names)
    neurons = [name for name in names if not isinstance(after.nodes.get(name), nir.Linear | nir.Affine)]
    moved = _moved(before, after, neurons)
    return ", ".join(neurons or names), "; ".join([*([moved] if moved else []), _gains(before, after)])


def _nesting(before: nir.NIRGraph, after: nir.NIRGraph) -> tuple[str, str] | None:
    """How many subgraphs there were and are, where only that changed."""
    old, new = _subgraphs(before), _subgraphs(after)
    if old == new or digest(inline(before)) != digest(inline(after)):
        return None
    return f"{old} subgraph{'s' if old != 1 else ''}, now {new}", "the same network inlined"


def _subgraphs(graph: nir.NIRGraph) -> int:
    inner = [node for node in graph.nodes.values() if isinstance(node, nir.NIRGraph)]
    return len(inner) + sum(_subgraphs(node) for node in inner)


def _nodes(before: nir.NIRGraph, after: nir.NIRGraph, names: list[str]) -> tuple[str, str]:
    """Nodes that came, went or have another name, and those that took them over."""
    gone, come = sorted(set(before.nodes) - set(after.nodes)), sorted(set(after.nodes) - set(before.nodes))
    if len(before.nodes) == len(after.nodes):
        pairs = ((after.nodes[n].metadata.get("nirbridge_from"), n) for n in come)
        return ", ".join(gone), ", ".join(f"{old} → {new}" for old, new in pairs)
    parts = [f"without {_listed(gone)}"] if gone else []
    parts += [f"with {_listed(come)}"] if come else []
    kept = [n for n in names if n in before.nodes and n in after.nodes]
    parts += [f"{_listed(kept)} rewritten"] if kept else []
    return f"{len(before.nodes)} nodes, now {len(after.nodes)}", "; ".join(parts)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _reset_left_out(before: Any, after: Any) -> bool:
    return getattr(before, "v_reset", None) is not None and getattr(after, "v_reset", 0) is None


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
    """The largest relative change of every time constant, in seconds, and threshold that changed."""
    worst: dict[str, float] = {}
    old, new = (read_metadata(graph) for graph in (before, after))
    unit = 1.0 if old is None or new is None else new.time_unit / old.time_unit
    for name in names:
        a, b = before.nodes.get(name), after.nodes.get(name)
        for field in ("tau", "tau_mem", "tau_syn", "v_threshold"):
            if not (hasattr(a, field) and hasattr(b, field)):
                continue
            x, y = (np.asarray(getattr(node, field), np.float64) for node in (a, b))
            factor = unit if field != "v_threshold" else 1.0
            if not np.array_equal(x, y) and np.all(x != 0):
                worst[field] = max(worst.get(field, 0.0), float(np.abs(factor * y / x - 1).max()))
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
        share = float(np.mean(np.concatenate([clipped(_weight(before, n), q) for n, q in members])))
        noise = float(np.sum((old - new) ** 2))
        decibel = "exact" if noise == 0 else f"{10 * np.log10(np.sum(old**2) / noise):.0f} dB"
        low, high = float(members[0][1].scale.min()), float(members[0][1].scale.max())
        scale = f"scale {low:.3g}" if low == high else f"scales {low:.3g} to {high:.3g}"
        names_joined = "+".join(name for name, _ in members)
        texts.append(f"{names_joined}: {scale}, clipped {100 * share:.1f} %, {decibel}")
    return "; ".join(texts)


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
        p = old.populations[at]
        if p.name not in new.graph.nodes:
            continue
        q = new.populations[new.index(p.name)]
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
