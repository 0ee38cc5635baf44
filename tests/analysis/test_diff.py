"""The diff of two graphs: what it says is what was done to the one to get the other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge.analysis import GraphDiff, diff
from nirbridge.graph import copy, digest, make


def lif(n: int, seed: int = 0) -> nir.LIF:
    rng = np.random.default_rng(seed)
    values = {key: rng.uniform(0.5, 1, n) for key in ("tau", "r", "v_leak", "v_threshold", "v_reset")}
    return nir.LIF(**values)


def port(kind: type[Any], n: int) -> nir.NIRNode:
    return kind(np.array([n]))


@st.composite
def graphs(draw: st.DrawFn) -> nir.NIRGraph:
    """A connected graph of a few node types, some of them equal to each other, with loops."""
    count = draw(st.integers(1, 9))
    nodes: dict[str, nir.NIRNode] = {"input": port(nir.Input, 2)}
    edges = []
    for k in range(count):
        kind, seed = draw(st.sampled_from(["lif", "linear", "scale"])), draw(st.integers(0, 2))
        weight = np.random.default_rng(seed).normal(size=(2, 2))
        made = {"lif": lif(2, seed), "linear": nir.Linear(weight), "scale": nir.Scale(weight[0])}
        edges.append((draw(st.sampled_from(sorted(nodes))), f"n{k}"))
        nodes[f"n{k}"] = made[kind]
    names = sorted(nodes)
    edges += draw(
        st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names[1:] or names)), max_size=4)
    )
    nodes["output"] = port(nir.Output, 2)
    edges.append((names[-1], "output"))
    return make(nodes, sorted({(a, b) for a, b in edges if b != "input"}))


def renamed(graph: nir.NIRGraph, names: dict[str, str]) -> nir.NIRGraph:
    nodes = {names.get(name, name): node for name, node in graph.nodes.items()}
    return make(nodes, [(names.get(a, a), names.get(b, b)) for a, b in graph.edges], graph.metadata)


@given(graphs())
@settings(deadline=None)
def test_a_graph_does_not_differ_from_itself(graph: nir.NIRGraph) -> None:
    found = diff(graph, copy(graph))
    assert found.identical and found.within
    assert found == GraphDiff(
        added=(), removed=(), renamed=(), retyped=(), rewired=(), fields=(), dtypes=(), metadata=()
    )


@given(graphs(), graphs())
@settings(deadline=None)
def test_identical_is_what_the_digest_says(a: nir.NIRGraph, b: nir.NIRGraph) -> None:
    assert diff(a, b).identical == (digest(a) == digest(b))


@given(graphs(), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_names_do_not_matter_where_they_are_ignored(graph: nir.NIRGraph, random: Any) -> None:
    names = sorted(graph.nodes)
    shuffled = [f"m{k}" for k in range(len(names))]
    random.shuffle(shuffled)
    other = renamed(graph, dict(zip(names, shuffled, strict=True)))
    assert diff(graph, other, ignore_names=True).identical
    assert not diff(graph, other).identical


@given(graphs(), graphs())
@settings(deadline=None)
def test_the_order_of_the_graphs_turns_the_diff_around(a: nir.NIRGraph, b: nir.NIRGraph) -> None:
    one, other = diff(a, b, atol=0.3), diff(b, a, atol=0.3)
    assert one.within == other.within and one.identical == other.identical
    assert sorted(f.beyond for f in one.fields) == sorted(f.beyond for f in other.fields)
    assert len(one.added) - len(one.removed) == len(b.nodes) - len(a.nodes)


def chain(*nodes: nir.NIRNode, **more: nir.NIRNode) -> nir.NIRGraph:
    every = {"input": port(nir.Input, 2), **{f"n{k}": n for k, n in enumerate(nodes)}}
    every["output"] = port(nir.Output, 2)
    return make({**every, **more}, pairwise(every))


def test_a_value_is_reported_with_its_place_and_size() -> None:
    weight = np.array([[1.0, 2.0], [3.0, 4.0]])
    other = weight + np.array([[0, 0], [1e-3, -2.0]])
    found = diff(chain(nir.Linear(weight)), chain(nir.Linear(other)), atol=1e-2)
    (item,) = found.fields
    assert (item.node, item.field, item.size, item.count, item.beyond) == ("n0", "weight", 4, 2, 1)
    assert item.max_abs == 2.0 and item.max_rel == 0.5
    assert item.index == (1, 1) and item.values == (4.0, 2.0)
    assert not found.identical and not found.within
    assert diff(chain(nir.Linear(weight)), chain(nir.Linear(other)), atol=2).within
    assert diff(chain(nir.Linear(weight)), chain(nir.Linear(other)), rtol=0.5).within
    assert not diff(chain(nir.Linear(weight)), chain(nir.Linear(other)), rtol=0.49).within


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (np.nan, np.nan, True),
        (np.nan, 1.0, False),
        (np.inf, np.inf, True),
        (np.inf, 1.0, False),
        (-0.0, 0.0, True),
    ],
)
def test_values_that_are_no_plain_numbers(a: float, b: float, same: bool) -> None:
    one, other = (chain(nir.Scale(np.array([x, 1.0]))) for x in (a, b))
    found = diff(one, other, atol=1e9, rtol=1e9)
    assert found.identical == found.within == same


def test_shapes_and_texts_that_differ_are_beyond_every_tolerance() -> None:
    found = diff(chain(nir.Scale(np.ones(2))), chain(nir.Scale(np.ones(3))), atol=1e9)
    assert found.fields[0].shapes == ((2,), (3,)) and not found.within

    def conv(padding: Any) -> nir.NIRGraph:
        return chain(nir.Conv1d(4, np.ones((1, 1, 3)), 1, padding, 1, 1, np.zeros(1)))

    found = diff(conv("same"), conv("valid"), atol=1e9)
    assert found.fields[0].values == ("same", "valid") and not found.within
    assert not diff(conv("same"), conv(1), atol=1e9).within


def test_number_formats_and_metadata_change_nothing_and_are_told() -> None:
    one, other = chain(nir.Scale(np.ones(2))), chain(nir.Scale(np.ones(2, np.float32)))
    other.metadata["k"] = np.array([1, 2])
    other.nodes["n0"].metadata["q"] = {"a": 1}
    found = diff(one, other)
    assert found.identical
    assert [(d.node, d.first, d.second) for d in found.dtypes] == [("n0", "float64", "float32")]
    assert {(m.node, m.key) for m in found.metadata} == {("", "k"), ("n0", "q")}


def test_added_removed_rewired_and_retyped() -> None:
    base = chain(lif(2, 1), lif(2, 2))
    more = chain(lif(2, 1), lif(2, 2), extra=nir.Scale(np.array([5.0, 6.0])))
    more.edges = [*more.edges, ("n1", "extra"), ("extra", "n0"), ("n1", "n0")]
    found = diff(base, more)
    assert found.added == ("extra",) and not found.removed
    assert [(e.source, e.target, e.first, e.second) for e in found.rewired] == [("n1", "n0", 0, 1)]
    assert diff(more, base).removed == ("extra",)
    typed = diff(base, chain(lif(2, 1), nir.Linear(np.eye(2))))
    assert typed.retyped == (("n1", "LIF", "Linear"),)


def test_an_edge_that_stands_twice_is_a_difference() -> None:
    base, twice = chain(lif(2)), chain(lif(2))
    twice.edges.append(("input", "n0"))
    found = diff(base, twice)
    assert [(e.first, e.second) for e in found.rewired] == [(1, 2)]


def test_renamed_nodes_are_found_by_their_values_and_neighbours() -> None:
    base = chain(lif(2, 1), lif(2, 1), lif(2, 1))  # three nodes that only their neighbours tell apart
    other = renamed(base, {"n0": "z", "n1": "y", "n2": "x"})
    found = diff(base, other)
    assert dict(found.renamed) == {"n0": "z", "n1": "y", "n2": "x"}
    assert not (found.rewired or found.added or found.removed)
    assert not found.identical
    assert diff(base, other, ignore_names=True).identical


def test_a_renamed_and_edited_node_is_paired_by_its_place_where_names_are_ignored() -> None:
    base = chain(lif(2, 1), nir.Linear(np.eye(2)), lif(2, 2))
    other = renamed(chain(lif(2, 1), nir.Linear(2 * np.eye(2)), lif(2, 2)), {"n1": "w", "n0": "a"})
    found = diff(base, other, ignore_names=True)
    assert not found.added and not found.removed
    assert [(f.node, f.field, f.beyond) for f in found.fields] == [("n1", "weight", 2)]
    strict = diff(base, other)
    assert strict.added == ("w",) and strict.removed == ("n1",)


def test_subgraphs_are_compared_inside_or_flattened() -> None:
    inner = chain(lif(2, 1), nir.Linear(np.eye(2)))
    changed = copy(inner)
    changed.nodes["n1"].weight = np.array([[1.0, 0.0], [0.0, 2.0]])
    found = diff(chain(inner), chain(changed))
    assert [(f.node, f.field) for f in found.fields] == [("n0.n1", "weight")]
    flat = make(
        {"input": port(nir.Input, 2), "n0.n0": lif(2, 1), "n0.n1": nir.Linear(np.eye(2)),
         "output": port(nir.Output, 2)},
        [("input", "n0.n0"), ("n0.n0", "n0.n1"), ("n0.n1", "output")],
    )  # fmt: skip
    assert not diff(chain(inner), flat).identical
    assert diff(chain(inner), flat, flatten=True).identical


def test_interchangeable_nodes_are_paired_in_linear_time() -> None:
    """4000 equal branches under other names: a search over pairs would not end."""
    names = [f"b{k}" for k in range(4000)]
    nodes: dict[str, nir.NIRNode] = {"input": port(nir.Input, 2), "output": port(nir.Output, 2)}
    edges = []
    for name in names:
        nodes |= {name: nir.Scale(np.ones(2)), f"{name}.s": nir.Scale(2 * np.ones(2))}
        edges += [("input", name), (name, f"{name}.s"), (f"{name}.s", "output")]
    graph = make(nodes, edges)
    found = diff(graph, renamed(graph, {name: f"c{k}" for k, name in enumerate(reversed(names))}))
    assert len(found.renamed) == 4000
    assert not (found.rewired or found.added or found.removed)


def test_folded_delays_are_compared_as_delays() -> None:
    def folded(steps: int) -> nir.NIRGraph:
        delays = np.full((2, 2), steps, np.int32)
        graph = chain(nir.Linear(np.ones((2, 2)), metadata={"nirbridge_delay": delays}), lif(2))
        graph.metadata["nirbridge"] = '{"schema": "nirbridge.graph-metadata/1", "dt": 0.001}'
        return graph

    assert diff(folded(2), folded(2)).identical
    assert not diff(folded(2), folded(3)).identical
