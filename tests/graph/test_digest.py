"""The digest covers structure and values, and nothing else (NIR_TOOLKIT §4)."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirbridge.graph import copy, digest, equal, make, write_metadata
from nirbridge.graph.digest import node_fields
from nirbridge.graph.metadata import GraphMetadata

WORKED = "881cef86e246552aaf6a0e0c35a5d8d32030a28b0f9972902950aee80381e15e"


def ports(n: int) -> dict[str, nir.NIRNode]:
    return {
        "i": nir.Input(input_type={"input": np.array([n])}),
        "o": nir.Output(output_type={"output": np.array([n])}),
    }


def worked(dtype: Any = np.float64) -> nir.NIRGraph:
    return make({**ports(2), "s": nir.Scale(scale=np.array([1.0, 2.0], dtype))}, [("i", "s"), ("s", "o")])


def varied() -> nir.NIRGraph:
    """One node of many kinds, wired in no meaningful way: the digest does not care."""
    three = np.linspace(1.0, 2.0, 3)
    cuba = {"tau_syn": three, "tau_mem": 2 * three, "r": three, "v_leak": 0 * three}
    nodes: dict[str, nir.NIRNode] = {
        **ports(3),
        "w": nir.Linear(weight=np.arange(9.0).reshape(3, 3)),
        "b": nir.Affine(weight=np.eye(3), bias=three),
        "d": nir.Delay(delay=three),
        "n": nir.LIF(tau=three, r=three, v_leak=three, v_threshold=three, v_reset=three - 1),
        "c": nir.CubaLIF(**cuba, v_threshold=three, w_in=three),
        "f": nir.Flatten(input_type={"input": np.array([1, 3])}, start_dim=0, end_dim=-1),
        "p": nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        "k": nir.Conv2d(
            input_shape=(4, 4), weight=np.ones((1, 1, 2, 2)), stride=1, padding=0, dilation=1, groups=1,
            bias=np.zeros(1),
        ),
        "g": worked(),
    }  # fmt: skip
    names = list(nodes)
    return make(nodes, list(pairwise(names)))


def test_the_worked_example() -> None:
    assert digest(worked()) == WORKED


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.int64, ">f8"])
def test_the_width_of_numbers_does_not_matter(dtype: Any) -> None:
    assert digest(worked(dtype)) == WORKED


@given(order=st.permutations(["i", "o", "s"]), edges=st.permutations([("i", "s"), ("s", "o")]))
def test_neither_does_the_order_of_nodes_and_edges(order: list[str], edges: list[tuple[str, str]]) -> None:
    graph = worked()
    assert digest(make({name: graph.nodes[name] for name in order}, edges)) == WORKED


def test_nor_metadata_nor_layout_nor_the_sign_of_zero() -> None:
    graph = write_metadata(worked(), GraphMetadata(dt=1.0))
    graph.nodes["s"].metadata["note"] = "x"
    assert digest(graph) == WORKED
    strided = worked()
    strided.nodes["s"].scale = np.array([1.0, 9.0, 2.0])[::2]
    assert digest(strided) == WORKED
    zero, minus = worked(), worked()
    zero.nodes["s"].scale, minus.nodes["s"].scale = np.array([0.0, 1.0]), np.array([-0.0, 1.0])
    assert equal(zero, minus)
    payloads = np.array([0x7FF8000000000000, 0xFFF8000000000001], np.uint64).view(np.float64)
    zero.nodes["s"].scale, minus.nodes["s"].scale = payloads, payloads[::-1].copy()
    assert equal(zero, minus)


def test_optional_fields_count_as_their_defaults() -> None:
    ones = np.ones(3)
    cuba: dict[str, Any] = {"tau_syn": ones, "tau_mem": ones, "r": ones, "v_leak": ones, "v_threshold": ones}
    short = nir.CubaLIF(**cuba)
    full = nir.CubaLIF(**cuba, v_reset=np.zeros(3), w_in=np.ones(3))
    short.v_reset, short.w_in = None, 1.0
    graphs = [make({**ports(3), "n": node}, [("i", "n"), ("n", "o")]) for node in (short, full)]
    assert equal(*graphs)
    window: dict[str, Any] = {"stride": 2, "padding": 1}
    pairs: dict[str, Any] = {"stride": np.array([2, 2]), "padding": (1, 1)}
    pools = [nir.AvgPool2d(kernel_size=np.array([2, 2]), **kind) for kind in (window, pairs)]
    assert equal(*(make({**ports(3), "p": pool}, []) for pool in pools))


def paths() -> list[tuple[str, str]]:
    graph = varied()
    return [
        (name, field)
        for name, node in graph.nodes.items()
        if not isinstance(node, nir.NIRGraph)
        for field in node_fields(node)
        if field != "shape"
    ]


@given(place=st.sampled_from(paths()), data=st.data())
def test_any_changed_value_changes_it(place: tuple[str, str], data: st.DataObject) -> None:
    graph = varied()
    before = digest(graph)
    name, field = place
    node: Any = graph.nodes[name]
    value = np.array(node_fields(node)[field], dtype=np.float64)
    at = data.draw(st.integers(0, value.size - 1))
    value.reshape(-1)[at] = np.nextafter(value.reshape(-1)[at], np.inf)
    setattr(node, field, value if value.ndim else float(value))
    assert digest(graph) != before
    assert not equal(graph, varied())


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("at", range(len(varied().edges)))
def test_any_changed_edge_changes_it(at: int, end: int) -> None:
    graph = varied()
    before = digest(graph)
    edge = list(graph.edges[at])
    edge[end] = "w" if edge[end] != "w" else "b"
    graph.edges[at] = (edge[0], edge[1])
    assert digest(graph) != before
    del graph.edges[at]
    assert digest(graph) != before


def test_names_types_ports_and_subgraphs_count() -> None:
    before = digest(varied())
    renamed = varied()
    renamed.nodes = {("W" if name == "w" else name): node for name, node in renamed.nodes.items()}
    retyped = varied()
    retyped.nodes["n"] = nir.Scale(scale=np.ones(3))
    wider = varied()
    wider.nodes["i"] = nir.Input(input_type={"input": np.array([4])})
    inner = varied()
    inner.nodes["g"].nodes["s"].scale = np.array([1.0, 2.5])
    reshaped = varied()
    reshaped.nodes["d"].delay = reshaped.nodes["d"].delay.reshape(1, 3)
    digests = [digest(graph) for graph in (renamed, retyped, wider, inner, reshaped)]
    assert len({before, *digests}) == 6


def test_equal_means_equal_digest() -> None:
    graph = varied()
    assert equal(graph, graph)
    assert equal(graph, copy(graph))
    assert equal(deepcopy(graph), graph)
    assert not equal(graph, worked())
