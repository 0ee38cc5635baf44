"""Nested graphs made flat (SEMANTICS §1, rule 1)."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirbridge.errors import Unsupported
from nirbridge.graph import inline, make


def port(kind: str) -> nir.NIRNode:
    shape = np.array([2])
    return nir.Input({"input": shape}) if kind == "input" else nir.Output({"output": shape})


def weight(value: float = 1.0) -> nir.Linear:
    return nir.Linear(weight=np.full((2, 2), value))


def graph(edges: list[tuple[str, str]], **nodes: nir.NIRNode) -> nir.NIRGraph:
    return make({"input": port("input"), "output": port("output"), **nodes}, edges)


def test_names_are_dotted_and_edges_go_through() -> None:
    deep = graph([("input", "x"), ("x", "output")], x=weight(3))
    middle = graph([("input", "y"), ("y", "deep"), ("deep", "output")], y=weight(2), deep=deep)
    flat = inline(graph([("input", "m"), ("m", "z"), ("z", "output")], m=middle, z=weight(1)))
    assert sorted(flat.nodes) == ["input", "m.deep.x", "m.y", "output", "z"]
    assert sorted(flat.edges) == [
        ("input", "m.y"),
        ("m.deep.x", "z"),
        ("m.y", "m.deep.x"),
        ("z", "output"),
    ]
    assert flat.nodes["m.deep.x"].weight.tolist() == weight(3).weight.tolist()
    assert flat.nodes["m.deep.x"].metadata["nirbridge_from"] == "x"
    assert "nirbridge_from" not in flat.nodes["z"].metadata


def test_every_way_in_meets_every_way_out() -> None:
    two = graph(
        [("input", "a"), ("input", "b"), ("a", "output"), ("b", "output"), ("a", "b")],
        a=weight(),
        b=weight(),
    )
    flat = inline(graph([("input", "p"), ("p", "q"), ("q", "output")], p=two, q=two))
    crossing = {(a, b) for a, b in flat.edges if a.startswith("p.") and b.startswith("q.")}
    assert crossing == {(f"p.{a}", f"q.{b}") for a in "ab" for b in "ab"}
    assert ("p.a", "p.b") in flat.edges
    assert len(flat.edges) == len(set(flat.edges)) == 2 + 4 + 2 + 2


def test_a_loop_around_a_subgraph_stays_a_loop() -> None:
    one = graph([("input", "n"), ("n", "output")], n=weight())
    flat = inline(graph([("input", "s"), ("s", "s"), ("s", "output")], s=one))
    assert sorted(flat.edges) == [("input", "s.n"), ("s.n", "output"), ("s.n", "s.n")]


def test_the_flat_form_is_its_own_flat_form() -> None:
    inner = graph([("input", "x"), ("x", "output")], x=weight())
    flat = inline(graph([("input", "m"), ("m", "output")], m=inner))
    assert sorted(inline(flat).edges) == sorted(flat.edges)
    assert set(inline(flat).nodes) == set(flat.nodes)


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (graph([("input", "x")], x=weight(), more=port("output")), "1 Input and 2 Output"),
        (graph([("x", "output")], x=weight(), more=port("input")), "2 Input and 1 Output"),
        (make({"x": weight()}, []), "0 Input and 0 Output"),
        (graph([("input", "output")]), "straight to its Output"),
    ],
)
def test_a_subgraph_without_one_way_through_is_refused(inner: nir.NIRGraph, words: str) -> None:
    with pytest.raises(Unsupported, match=words) as caught:
        inline(graph([("input", "s"), ("s", "output")], s=inner))
    assert caught.value.code == "NB118"
