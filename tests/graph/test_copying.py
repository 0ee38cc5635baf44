"""Copies share nothing, and making a graph leaves the caller's objects alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.graph import copy, equal, inline, make, replace_nodes, write_metadata
from nirbridge.graph.metadata import GraphMetadata


def ports(n: int = 2) -> dict[str, nir.NIRNode]:
    return {
        "input": nir.Input(input_type={"input": np.array([n])}),
        "output": nir.Output(output_type={"output": np.array([n])}),
    }


def nested() -> nir.NIRGraph:
    inner = make({**ports(), "w": nir.Linear(weight=np.eye(2))}, [("input", "w"), ("w", "output")])
    scale = nir.Scale(scale=np.ones(2))
    scale.metadata["note"] = {"list": [1, 2]}
    return make(
        {**ports(), "sub": inner, "s": scale},
        [("input", "sub"), ("sub", "s"), ("s", "output")],
        {"mine": {"deep": [np.zeros(2)]}},
    )


def mutable(thing: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Every array, list, dict and node that can be reached from a graph."""
    seen = set() if seen is None else seen
    if id(thing) in seen or not isinstance(thing, nir.NIRNode | dict | list | tuple | np.ndarray):
        return
    seen.add(id(thing))
    if not isinstance(thing, tuple):
        yield thing
    inner: Any = ()
    if isinstance(thing, nir.NIRNode):
        inner = vars(thing).values()
    elif isinstance(thing, dict):
        inner = thing.values()
    elif isinstance(thing, list | tuple):
        inner = thing
    for item in inner:
        yield from mutable(item, seen)


def shared(a: nir.NIRGraph, b: nir.NIRGraph) -> list[Any]:
    theirs = {id(thing) for thing in mutable(b)}
    arrays = [thing for thing in mutable(b) if isinstance(thing, np.ndarray)]
    same = [thing for thing in mutable(a) if id(thing) in theirs]
    views = [
        x for x in mutable(a) if isinstance(x, np.ndarray) and any(np.shares_memory(x, y) for y in arrays)
    ]
    return same + views


def test_a_copy_is_equal_and_shares_nothing() -> None:
    graph = nested()
    other = copy(graph)
    assert equal(other, graph)
    assert other.metadata["mine"]["deep"][0].tolist() == [0, 0]
    assert other.nodes["s"].metadata == {"note": {"list": [1, 2]}}
    assert shared(other, graph) == []


@pytest.mark.parametrize("make_other", [inline, lambda g: write_metadata(g, GraphMetadata(dt=1.0))])
def test_functions_of_a_graph_share_nothing_with_it(make_other: Any) -> None:
    graph = nested()
    before = copy(graph)
    other = make_other(graph)
    assert shared(other, graph) == []
    assert equal(graph, before)
    assert list(graph.metadata) == ["mine"]


def test_inlining_a_flat_graph_copies_it() -> None:
    flat = inline(nested())
    assert shared(inline(flat), flat) == []


def test_replacing_nodes_leaves_the_original() -> None:
    graph = nested()
    new = replace_nodes(graph, {"s": nir.Scale(scale=np.full(2, 3.0))})
    assert new.nodes["s"].scale.tolist() == [3, 3]
    assert graph.nodes["s"].scale.tolist() == [1, 1]
    assert new.edges == graph.edges
    assert shared(new, graph) == []


def test_making_a_graph_leaves_the_callers_dict_and_list() -> None:
    nodes = {"a": nir.Linear(weight=np.eye(2)), "b": nir.Linear(weight=np.eye(2))}
    edges = [("a", "b")]
    metadata = {"x": 1}
    graph = make(nodes, edges, metadata)
    graph.nodes["c"] = nir.Linear(weight=np.eye(2))
    graph.edges.append(("b", "c"))
    graph.metadata["y"] = 2
    assert (list(nodes), edges, metadata) == (["a", "b"], [("a", "b")], {"x": 1})


def test_valid_grouped_convolutions_can_be_made() -> None:
    conv = nir.Conv2d(
        input_shape=(4, 4), weight=np.ones((4, 1, 3, 3)), stride=1, padding=0, dilation=1, groups=4,
        bias=np.zeros(4),
    )  # fmt: skip
    nodes = {**ports(), "c": conv}
    assert "c" in make(nodes, [("input", "c"), ("c", "output")]).nodes
