"""Rules about nodes and edges: NB104 to NB108, NB118, NB119."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping

import nir

from nirbridge.errors import Finding
from nirbridge.validate.fields import NEURONS, STATEFUL, type_name
from nirbridge.validate.flat import reachable
from nirbridge.validate.report import found
from nirbridge.validate.view import View


def _dotted(owner: str, name: str) -> str:
    return f"{owner}.{name}" if owner else name


def absent_nodes(view: View) -> Iterator[Finding]:
    """NB104: an edge names a node that is not there."""
    flat = view.flat
    for owner, graph in flat.graphs.items():
        reported = set()
        for a, b in graph.edges:
            for end in (a, b):
                if end not in graph.nodes and end not in reported:
                    reported.add(end)
                    known = ", ".join(sorted(graph.nodes)[:8]) + (", …" if len(graph.nodes) > 8 else "")
                    what = f"edge '{a}' -> '{b}' names the absent node '{end}', expected one of {known}"
                    yield found("NB104", "error", owner, "NIRGraph", what, "nirbridge check FILE --fix")


def duplicate_edges(view: View) -> Iterator[Finding]:
    """NB105: the same edge twice."""
    flat = view.flat
    for owner, graph in flat.graphs.items():
        for (a, b), count in Counter(map(tuple, graph.edges)).items():
            if count > 1:
                what = f"edge '{a}' -> '{b}' stands {count} times, expected once"
                yield found("NB105", "error", owner, "NIRGraph", what, "nirbridge check FILE --fix")


def dead_ends(view: View) -> Iterator[Finding]:
    """NB106: a node that no Input reaches, or that reaches no Output."""
    flat = view.flat
    inputs, outputs = flat.inputs(), flat.outputs()
    fed = reachable(inputs, flat.after) if inputs else set(flat.nodes)
    used = reachable(outputs, flat.before) if outputs else set(flat.nodes)
    for name, node in flat.nodes.items():
        if name not in fed:
            what = "no Input reaches it"
        elif name not in used:
            what = "it reaches no Output"
        else:
            continue
        yield found("NB106", "warning", name, type_name(node), what, "connect it or remove it")


def missing_ports(view: View) -> Iterator[Finding]:
    """NB107: a graph without Input or without Output; NB118: a subgraph needs exactly one of each."""
    flat = view.flat
    for owner, graph in flat.graphs.items():
        for kind in (nir.Input, nir.Output):
            count = sum(isinstance(node, kind) for node in graph.nodes.values())
            if owner and count != 1:
                what = f"has {count} {kind.__name__} nodes, expected exactly one"
                yield found("NB118", "error", owner, "NIRGraph", what, "split or merge its ports")
            elif not owner and count == 0:
                what = f"has no {kind.__name__} node, expected at least one"
                yield found("NB107", "error", None, "NIRGraph", what, f"add an {kind.__name__} node")


def stateless_cycles(view: View) -> Iterator[Finding]:
    """NB108: a cycle of nodes without memory, whose value in a step would depend on itself."""
    flat = view.flat
    top = {*flat.inputs(), *flat.outputs()}
    passing = {n for n, node in flat.nodes.items() if n not in top and not _has_memory(node)}
    missing = {n: sum(a in passing for a in flat.before[n]) for n in passing}
    ready = deque(n for n, count in missing.items() if count == 0)
    while ready:
        for b in flat.after[ready.popleft()]:
            if b in passing:
                missing[b] -= 1
                if missing[b] == 0:
                    ready.append(b)
    # What is left stands on a cycle or behind one; walking backwards ends on a cycle.
    left = {n for n, count in missing.items() if count > 0}
    while left:
        cycle = _cycle_behind(min(left), left, flat.before)
        listed = " -> ".join([*cycle[:8], *(["…"] if len(cycle) > 8 else []), cycle[0]])
        what = f"stands on a cycle without a neuron or Delay: {listed}"
        first = cycle[0]
        yield found("NB108", "error", first, type_name(flat.nodes[first]), what, "insert a Delay node")
        left -= reachable(cycle, flat.after)


def _has_memory(node: nir.NIRNode) -> bool:
    """Ports of subgraphs only hand on; the outermost ones are left out by the caller."""
    return isinstance(node, STATEFUL) and not isinstance(node, nir.Input)


def _cycle_behind(start: str, left: set[str], before: Mapping[str, list[str]]) -> list[str]:
    at: dict[str, int] = {}
    path: list[str] = []
    name = start
    while name not in at:
        at[name] = len(path)
        path.append(name)
        name = next(a for a in before[name] if a in left)
    cycle = path[at[name] :][::-1]
    turn = cycle.index(min(cycle))
    return cycle[turn:] + cycle[:turn]


def recurrent_inputs(view: View) -> Iterator[Finding]:
    """NB119: a subgraph's Input wired to the weight of the loop instead of the neuron."""
    flat = view.flat
    for owner, graph in flat.graphs.items():
        for name, weight, neuron in misplaced_inputs(graph) if owner else ():
            what = f"feeds the recurrent weight '{weight}', expected the neuron '{neuron}'"
            full = _dotted(owner, name)
            yield found("NB119", "warning", full, "Input", what, "nirbridge check FILE --fix")


def misplaced_inputs(graph: nir.NIRGraph) -> list[tuple[str, str, str]]:
    """(Input, weight, neuron) where the Input feeds only the weight of a loop neuron -> weight -> neuron."""
    after: dict[str, list[str]] = {}
    before: dict[str, list[str]] = {}
    for a, b in graph.edges:
        if a in graph.nodes and b in graph.nodes:
            after.setdefault(a, []).append(b)
            before.setdefault(b, []).append(a)
    result = []
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.Input) or len(after.get(name, [])) != 1:
            continue
        weight = after[name][0]
        if not isinstance(graph.nodes[weight], nir.Affine | nir.Linear):
            continue
        targets = after.get(weight, [])
        if len(targets) == 1 and isinstance(graph.nodes[targets[0]], NEURONS):
            neuron = targets[0]
            if neuron in before.get(weight, []) and set(before.get(neuron, [])) == {weight}:
                result.append((name, weight, neuron))
    return result
