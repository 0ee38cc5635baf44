"""What each pass of a pipeline changed, and what can be measured of its law without running the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.analysis.types import PassResult
from nirbridge.graph.digest import node_fields
from nirbridge.graph.quantization import KEY, quantization_of
from nirbridge.network import build
from nirbridge.passes import Pipeline
from nirbridge.protocols import Pass, options_of

Step = tuple[Pass, nir.NIRGraph, nir.NIRGraph]


def applied(
    passes: Sequence[Pass], graph: nir.NIRGraph
) -> tuple[nir.NIRGraph, tuple[PassResult, ...], list[Step]]:
    """Run passes as one pipeline; returns the graph, a result per pass, and each pass's graphs."""
    steps: list[Step] = []
    after = Pipeline(tuple(passes), seen=lambda item, old, new: steps.append((item, old, new)))(graph)
    return after, tuple(_result(*step) for step in steps), steps


def _result(item: Pass, before: nir.NIRGraph, after: nir.NIRGraph) -> PassResult:
    names = _changed(before, after)
    law = str(getattr(item, "law", ""))
    if not names:
        changed, result = "nothing", "already so"
    elif any(KEY in after.nodes[name].metadata for name in names if name in after.nodes):
        arrays = [name for name in names if KEY in after.nodes[name].metadata]
        changed, result = f"{len(arrays)} arrays", _quantised(before, after, arrays)
    else:
        neurons = [name for name in names if not isinstance(after.nodes.get(name), nir.Linear | nir.Affine)]
        changed, result = ", ".join(neurons or names), _gains(before, after)
    return PassResult(name=item.name, options=options_of(item), changed=changed, law=law, result=result)


def _changed(before: nir.NIRGraph, after: nir.NIRGraph) -> list[str]:
    def differs(a: nir.NIRNode, b: nir.NIRNode) -> bool:
        old, new = node_fields(a), node_fields(b)
        return (
            type(a) is not type(b)
            or set(old) != set(new)
            or any(not _same(old[k], new[k]) for k in old)
            or (KEY in a.metadata) != (KEY in b.metadata)
        )

    names = sorted({*before.nodes, *after.nodes})
    return [
        name
        for name in names
        if name not in before.nodes
        or name not in after.nodes
        or differs(before.nodes[name], after.nodes[name])
    ]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, str) or a is None or isinstance(b, str) or b is None:
        return bool(a == b)
    return np.array_equal(np.asarray(a), np.asarray(b))


def _quantised(before: nir.NIRGraph, after: nir.NIRGraph, names: list[str]) -> str:
    """Scale, clipped share and signal to quantisation noise over all arrays of each scale."""
    groups: dict[bytes, list[str]] = {}
    for name in names:
        found = quantization_of(after.nodes[name], name)
        if found is not None:
            groups.setdefault(found.scale.tobytes(), []).append(name)
    texts = []
    for members in groups.values():
        found = quantization_of(after.nodes[members[0]], members[0])
        if found is None:
            continue
        old = _joined(before, members)
        new = _joined(after, members)
        top = (2 ** (found.bits - 1) - 1) * float(found.scale.max())
        clipped = float(np.mean(np.abs(old) > top + 0.5 * float(found.scale.max())))
        noise = float(np.sum((old - new) ** 2))
        decibel = "exact" if noise == 0 else f"{10 * np.log10(np.sum(old**2) / noise):.0f} dB"
        texts.append(
            f"{'+'.join(members)}: scale {float(found.scale[0]):.3g}, clipped {100 * clipped:.1f} %, {decibel}"
        )
    return "; ".join(texts)


def _joined(graph: nir.NIRGraph, names: list[str]) -> NDArray[np.float64]:
    return np.concatenate(
        [np.asarray(getattr(graph.nodes[name], "weight"), np.float64).reshape(-1) for name in names]  # noqa: B009
    )


def _gains(before: nir.NIRGraph, after: nir.NIRGraph) -> str:
    """Largest relative change of what a spike adds to V per step: W·b_s·b_m of every synapse."""
    worst = 0.0
    old, new = build(before), build(after)
    for at in old.neurons:
        p, q = old.populations[at], new.populations[new.index(old.populations[at].name)]
        gain_p = p.b_m * (p.b_s if p.cuba else 1.0)
        gain_q = q.b_m * (q.b_s if q.cuba else 1.0)
        for stage in old.drives[at].stages:
            node, other = before.nodes.get(stage.name), after.nodes.get(stage.name)
            if not isinstance(node, nir.Linear | nir.Affine) or not isinstance(
                other, nir.Linear | nir.Affine
            ):
                continue
            x = np.asarray(node.weight, np.float64).reshape(len(gain_p), -1) * gain_p[:, None]
            y = np.asarray(other.weight, np.float64).reshape(len(gain_q), -1) * gain_q[:, None]
            largest = float(np.abs(x).max(initial=0.0))
            if largest > 0:
                worst = max(worst, float(np.abs(x - y).max()) / largest)
    return f"W·gain within {worst:.1g} of the largest"
