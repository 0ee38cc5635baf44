"""`inline` and `nest`: a nested graph made flat and back; groups that no two ports can hold."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.graph import digest, equal, make
from nirbridge.passes import Inline, Nest


def port(kind: str, n: int = 2) -> nir.NIRNode:
    shape: Any = {kind: np.array([n])}
    return nir.Input(shape) if kind == "input" else nir.Output(shape)


def lif(n: int = 2) -> nir.LIF:
    one = np.ones(n)
    return nir.LIF(tau=0.02 * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)


def linear(n: int = 2) -> nir.Linear:
    return nir.Linear(np.eye(n))


def flat(edges: str, **nodes: nir.NIRNode) -> nir.NIRGraph:
    """Nodes ``s_a`` stand for ``s.a``; edges as pairs ``a>b``."""
    found = {"input": port("input"), "output": port("output"), **nodes}
    pairs = [tuple(end.replace("_", ".") for end in edge.split(">")) for edge in edges.split()]
    return make({name.replace("_", "."): node for name, node in found.items()}, pairs)


def test_two_levels_and_back() -> None:
    inner = make(
        {"input": port("input"), "w": linear(), "output": port("output")}, [("input", "w"), ("w", "output")]
    )
    outer = make(
        {"input": port("input"), "deep": inner, "n": lif(), "output": port("output")},
        [("input", "n"), ("n", "deep"), ("deep", "n"), ("n", "output")],
    )
    graph = make(
        {"input": port("input"), "s": outer, "output": port("output")}, [("input", "s"), ("s", "output")]
    )
    once = Inline()(graph)
    assert set(once.nodes) == {"input", "s.deep.w", "s.n", "output"}
    assert once.nodes["s.deep.w"].metadata["nirbridge_from"] == "w"
    back = Nest()(once)
    assert equal(back, graph)
    assert back.nodes["s"].nodes["deep"].nodes["w"].metadata == {}
    assert equal(Nest()(back), back)


def test_several_entries_and_exits_share_one_port() -> None:
    graph = flat(
        "input>s_a input>s_b s_a>s_c s_b>s_c s_b>output s_c>output",
        s_a=lif(), s_b=linear(), s_c=lif(),
    )  # fmt: skip
    after = Nest()(graph)
    assert set(after.nodes) == {"input", "s", "output"}
    assert sorted(after.nodes["s"].edges) == [
        ("a", "c"), ("b", "c"), ("b", "output"), ("c", "output"), ("input", "a"), ("input", "b"),
    ]  # fmt: skip
    assert digest(Inline()(after)) == digest(graph)


@pytest.mark.parametrize(
    "graph",
    [
        flat("input>s_a s_a>x input>s_b s_b>output x>output", s_a=lif(), s_b=lif(), x=lif()),  # two exits
        flat("input>s_a x>s_b s_a>s_b s_b>output input>x", s_a=lif(), s_b=lif(), x=lif()),  # two entries
        flat("input>s_a s_a>output input>s s>output", s_a=lif(), s=lif()),  # the name is taken
        flat("s_a>output input>output", s_a=lif()),  # nothing comes in
        flat("input>s_in s_in>output input>output", s_in=port("output")),  # a port of the graph
    ],
    ids=["exits", "entries", "taken", "closed", "port"],
)
def test_groups_that_are_no_subgraph_stay_flat(graph: nir.NIRGraph) -> None:
    after = Nest()(graph)
    assert digest(after) == digest(graph)


def test_a_port_takes_a_free_name() -> None:
    after = Nest()(flat("input>s_input s_input>output", s_input=lif()))
    assert set(after.nodes["s"].nodes) == {"input", "input_", "output"}
    assert isinstance(after.nodes["s"].nodes["input_"], nir.Input)


def test_neighbouring_groups_all_nest() -> None:
    edges = "input>s_a s_a>t_a t_a>t_b t_b>u_a u_a>output u_b>u_a t_b>u_b"
    graph = flat(edges.replace("t_b>u_a ", ""), s_a=lif(), t_a=lif(), t_b=linear(), u_a=lif(), u_b=linear())
    after = Nest()(graph)
    assert set(after.nodes) == {"input", "s", "t", "u", "output"}
    assert sorted(after.edges) == [("input", "s"), ("s", "t"), ("t", "u"), ("u", "output")]
    assert digest(Inline()(after)) == digest(graph)
