"""From a graph to a `Network`: arcs between stateful nodes, their delays, the execution order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

import nir

from nirbridge.errors import Unsupported
from nirbridge.graph import inline
from nirbridge.graph.delays import is_folded, lower
from nirbridge.graph.order import components
from nirbridge.network.coefficients import population
from nirbridge.network.operators import output_shape
from nirbridge.network.types import NEURONS, Drive, Network, Population, Source, Stage
from nirbridge.semantics import Semantics, semantics_of

STATEFUL = (nir.Input, nir.Output, nir.I, nir.LI, nir.IF, nir.LIF, nir.CubaLI, nir.CubaLIF, nir.Delay)


def build(graph: nir.NIRGraph, semantics: Semantics | None = None, *, keep_delays: bool = False) -> Network:
    """Lower a valid graph under its own semantics (or those given).

    Folded delays become Delay nodes, or stay in the weight nodes' metadata for a caller that reads them
    there (``keep_delays``).

    Raises `Unsupported` for a cycle of pass-through nodes (NB108), an unknown node type (NB101) or
    shapes that do not agree (NB109); `BadInput` (NB301) where dt is unknown.
    """
    semantics = semantics or semantics_of(graph)
    flat = inline(lower(graph) if is_folded(graph) and not keep_delays else graph)
    before: dict[str, list[str]] = {name: [] for name in flat.nodes}
    for a, b in sorted(set(map(tuple, flat.edges))):
        before[b].append(a)
    stateful = {name for name, node in flat.nodes.items() if isinstance(node, STATEFUL)}
    order_of_passing = _pass_through_order(flat, before, stateful)
    sources = _sources(before, stateful, order_of_passing)
    arcs = {v: sources[v] for v in sorted(stateful)}
    depth = _depths(arcs, flat.nodes)
    component = components({name: sorted(after) for name, after in arcs.items()})
    populations = {name: population(flat.nodes[name], name, semantics) for name in stateful}
    delay = {
        (u, v): _delay(u, v, depth, component, arcs, populations[v], semantics)
        for v, us in arcs.items()
        for u in us
    }
    emitted = {n for n, p in populations.items() if p.spiking and semantics.emit == "before-update"}
    order = _execution_order(arcs, delay, emitted)
    index = {name: at for at, name in enumerate(order)}
    shapes = {name: p.shape for name, p in populations.items()}
    for name in order_of_passing:
        incoming = [shapes[u] for u in before[name] if u in shapes]
        if not incoming:
            raise Unsupported(f"node '{name}' has no input", code="NB106", fix="remove it or connect it")
        _agree(name, incoming)
        shapes[name] = output_shape(flat.nodes[name], name, incoming[0])
    drives = tuple(
        _drive(v, before, stateful, flat.nodes, shapes, index, delay, order_of_passing) for v in order
    )
    for v in order:
        incoming = [shapes[u] for u in before[v]]
        if incoming:
            _agree(v, incoming)
            size = populations[v].shape
            if incoming[0] != size:
                raise Unsupported(
                    f"node '{v}' has shape {size}, its input has shape {incoming[0]}",
                    code="NB109",
                    fix="nirbridge check FILE lists every shape that differs",
                )
    return Network(
        graph=flat,
        semantics=semantics,
        populations=tuple(populations[name] for name in order),
        drives=drives,
        depth=tuple(depth.get(name, -1) for name in order),
    )


def _agree(name: str, shapes: list[tuple[int, ...]]) -> None:
    if any(shape != shapes[0] for shape in shapes):
        raise Unsupported(
            f"node '{name}' sums inputs of shapes {', '.join(map(str, shapes))}, expected equal ones",
            code="NB109",
            fix="nirbridge check FILE lists every shape that differs",
        )


def _pass_through_order(
    graph: nir.NIRGraph, before: Mapping[str, list[str]], stateful: set[str]
) -> list[str]:
    passing = sorted(set(graph.nodes) - stateful)
    missing = {name: sum(u not in stateful for u in before[name]) for name in passing}
    after: dict[str, list[str]] = {name: [] for name in passing}
    for name in passing:
        for u in before[name]:
            if u not in stateful:
                after[u].append(name)
    ready = deque(name for name in passing if missing[name] == 0)
    order = []
    while ready:
        name = ready.popleft()
        order.append(name)
        for b in after[name]:
            missing[b] -= 1
            if missing[b] == 0:
                ready.append(b)
    if len(order) < len(passing):
        loop = sorted(set(passing) - set(order))
        raise Unsupported(
            f"nodes {', '.join(loop)} form a cycle without a state",
            code="NB108",
            fix="insert a Delay or a neuron into the cycle",
        )
    return order


def _sources(
    before: Mapping[str, list[str]], stateful: set[str], order: Iterable[str]
) -> dict[str, set[str]]:
    """Stateful nodes that reach each node through pass-through nodes only."""
    found: dict[str, set[str]] = {}
    for name in [*order, *sorted(stateful)]:
        found[name] = set()
        for u in before[name]:
            found[name] |= {u} if u in stateful else found[u]
    return found


def _depths(arcs: Mapping[str, set[str]], nodes: Mapping[str, nir.NIRNode]) -> dict[str, int]:
    after: dict[str, list[str]] = {name: [] for name in arcs}
    for v, us in arcs.items():
        for u in us:
            after[u].append(v)
    depth = {name: 0 for name in arcs if isinstance(nodes[name], nir.Input)}
    queue = deque(sorted(depth))
    while queue:
        u = queue.popleft()
        for v in sorted(after[u]):
            if v not in depth:
                depth[v] = depth[u] + 1
                queue.append(v)
    return depth


def _delay(
    u: str,
    v: str,
    depth: Mapping[str, int],
    component: Mapping[str, int],
    arcs: Mapping[str, set[str]],
    target: Population,
    semantics: Semantics,
) -> int:
    if semantics.emit == "before-update":
        return 0
    far = len(component) + 1
    on_cycle = u == v or (component[u] == component[v] and u in arcs[v])
    loop = on_cycle and depth.get(v, far) <= depth.get(u, far)
    late = target.kind in NEURONS and semantics.feedforward_delay == 1
    return 1 if loop or late or (semantics.profile == "nengo" and target.cuba) else 0


def _execution_order(
    arcs: Mapping[str, set[str]], delay: Mapping[tuple[str, str], int], emitted: set[str]
) -> list[str]:
    """Topological order of the arcs without delay; ``emitted`` nodes send before any node is updated."""
    waits = {(u, v) for v, us in arcs.items() for u in us if delay[u, v] == 0 and u not in emitted}
    missing = {v: sum((u, v) in waits for u in us) for v, us in arcs.items()}
    after: dict[str, list[str]] = {name: [] for name in arcs}
    for v, us in arcs.items():
        for u in us:
            if (u, v) in waits:
                after[u].append(v)
    ready = deque(sorted(name for name, n in missing.items() if n == 0))
    order = []
    while ready:
        u = ready.popleft()
        order.append(u)
        for v in sorted(after[u]):
            missing[v] -= 1
            if missing[v] == 0:
                ready.append(v)
    if len(order) < len(arcs):
        loop = sorted(set(arcs) - set(order))
        raise Unsupported(
            f"nodes {', '.join(loop)} form a cycle without a delay under these semantics",
            code="NB108",
            fix="use semantics in which recurrence takes a step, such as canonical",
        )
    return order


def _drive(
    v: str,
    before: Mapping[str, list[str]],
    stateful: set[str],
    nodes: Mapping[str, nir.NIRNode],
    shapes: Mapping[str, tuple[int, ...]],
    index: Mapping[str, int],
    delay: Mapping[tuple[str, str], int],
    order_of_passing: list[str],
) -> Drive:
    needed: set[str] = set()
    queue = [u for u in before[v] if u not in stateful]
    while queue:
        name = queue.pop()
        if name not in needed:
            needed.add(name)
            queue += [u for u in before[name] if u not in stateful]
    stages: list[Stage] = []
    at: dict[str, int] = {}

    def inputs_of(name: str) -> tuple[Source | int, ...]:
        return tuple(Source(index[u], delay[u, v]) if u in stateful else at[u] for u in before[name])

    for name in order_of_passing if len(needed) > 8 else _sorted_few(needed, before, stateful):
        if name in needed:
            at[name] = len(stages)
            stages.append(Stage(name, nodes[name], inputs_of(name), shapes[before[name][0]]))
    return Drive(tuple(stages), inputs_of(v))


def _sorted_few(needed: set[str], before: Mapping[str, list[str]], stateful: set[str]) -> list[str]:
    """Topological order of a few pass-through nodes, without scanning the whole graph."""
    order: list[str] = []
    left = sorted(needed)
    while left:
        for name in left:
            if all(u in stateful or u in order for u in before[name]):
                order.append(name)
                left.remove(name)
                break
    return order
