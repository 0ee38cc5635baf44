"""`fold-scale`: where a Scale goes, and where it stays."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.graph import digest, make
from nirbridge.passes import FoldScale, QuantizeWeights
from nirbridge.semantics import Semantics, with_semantics

S = np.array([2.0, -3.0])


def chain(*nodes: nir.NIRNode, shape: tuple[int, ...] = (2,), out: tuple[int, ...] = (2,)) -> nir.NIRGraph:
    """input -> n0 -> n1 … -> output."""
    names = ["input", *(f"n{k}" for k in range(len(nodes))), "output"]
    ends = nir.Input({"input": np.array(shape)}), nir.Output({"output": np.array(out)})
    return make(dict(zip(names, [ends[0], *nodes, ends[1]], strict=True)), pairwise(names))


def linear() -> nir.Linear:
    return nir.Linear(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))


def lif(**fields: Any) -> nir.LIF:
    one = np.ones(2)
    values = {"tau": 0.02 * one, "r": 4 * one, "v_leak": 0 * one, "v_threshold": one, "v_reset": 0 * one}
    return nir.LIF(**(values | fields))


def cuba() -> nir.CubaLI:
    one = np.ones(2)
    return nir.CubaLI(tau_syn=0.005 * one, tau_mem=0.02 * one, r=one, v_leak=0 * one, w_in=5 * one)


def conv(n_in: int = 2, groups: int = 1) -> nir.Conv2d:
    weight = np.arange(2.0 * n_in // groups).reshape(2, n_in // groups, 1, 1) + 1
    return nir.Conv2d(input_shape=(3, 3), weight=weight, stride=1, padding=1, dilation=1, groups=groups,
                      bias=np.array([1.0, 2.0]))  # fmt: skip


def test_into_the_weights_in_front_row_by_row() -> None:
    weight = linear().weight
    after = FoldScale()(chain(nir.Affine(weight, np.array([10.0, 20.0])), nir.Scale(S)))
    assert set(after.nodes) == {"input", "n0", "output"}
    np.testing.assert_array_equal(after.nodes["n0"].weight, [[2, 4], [-9, -12]])
    np.testing.assert_array_equal(after.nodes["n0"].bias, [20, -60])
    assert after.nodes["n0"].weight.dtype == np.float32


def test_into_the_weights_behind_column_by_column() -> None:
    after = FoldScale()(chain(nir.Scale(S), linear()))
    np.testing.assert_array_equal(after.nodes["n1"].weight, [[2, -6], [6, -12]])


def test_several_in_a_row_become_one() -> None:
    after = FoldScale()(chain(nir.Scale(S), nir.Scale(S), nir.Threshold(np.ones(2))))
    (name,) = set(after.nodes) - {"input", "output", "n2"}
    np.testing.assert_array_equal(after.nodes[name].scale, [4, 9])


def test_into_r_and_w_in() -> None:
    positive = nir.Scale(np.abs(S))
    np.testing.assert_array_equal(FoldScale()(chain(positive, lif())).nodes["n1"].r, [8, 12])
    np.testing.assert_array_equal(FoldScale()(chain(nir.Scale(S), cuba())).nodes["n1"].w_in, [10, -15])


def test_a_conv_takes_one_factor_a_channel() -> None:
    a_channel = np.ones((2, 5, 5)) * S[:, None, None]
    front = FoldScale()(chain(conv(), nir.Scale(a_channel), shape=(2, 3, 3), out=(2, 5, 5)))
    np.testing.assert_array_equal(front.nodes["n0"].weight[:, :, 0, 0], [[2, 4], [-9, -12]])
    np.testing.assert_array_equal(front.nodes["n0"].bias, [2, -6])
    a_channel = np.ones((2, 3, 3)) * S[:, None, None]
    behind = FoldScale()(chain(nir.Scale(a_channel), conv(groups=2), shape=(2, 3, 3), out=(2, 5, 5)))
    np.testing.assert_array_equal(behind.nodes["n1"].weight[:, :, 0, 0], [[2], [-6]])


def test_each_output_of_a_grouped_conv_takes_its_own_group_s_factor() -> None:
    weight = np.ones((4, 1, 1, 1))
    node = nir.Conv2d(input_shape=(3, 3), weight=weight, stride=1, padding=0, dilation=1, groups=2,
                      bias=np.zeros(4))  # fmt: skip
    scale = np.ones((2, 3, 3)) * S[:, None, None]
    after = FoldScale()(chain(nir.Scale(scale), node, shape=(2, 3, 3), out=(4, 3, 3)))
    assert after.nodes["n1"].weight.reshape(-1).tolist() == [2, 2, -3, -3]


def test_ones_go_anywhere() -> None:
    after = FoldScale()(chain(nir.Delay(np.ones(2)), nir.Scale(np.ones(2)), nir.Threshold(np.ones(2))))
    assert set(after.nodes) == {"input", "n0", "n2", "output"}
    assert ("n0", "n2") in after.edges


def shared() -> nir.NIRGraph:
    """The weight feeds the Scale and the output, the neuron hears both."""
    graph = chain(linear(), nir.Scale(S), lif())
    graph.edges.append(("n0", "n2"))
    return graph


def two_sources() -> nir.NIRGraph:
    """The neuron hears the Scale and a weight."""
    graph = chain(nir.Scale(np.abs(S)), lif())
    graph.nodes["side"] = linear()
    graph.edges += [("input", "side"), ("side", "n1")]
    return graph


def ones_beside_an_edge() -> nir.NIRGraph:
    """Without the Scale the edge from n0 to n2 would stand twice."""
    graph = chain(linear(), nir.Scale(np.ones(2)), lif())
    graph.edges.append(("n0", "n2"))
    return graph


def varying() -> nir.NIRGraph:
    scale = 1.0 + np.arange(50.0).reshape(2, 5, 5)
    return chain(conv(), nir.Scale(scale), shape=(2, 3, 3), out=(2, 5, 5))


def unit() -> nir.NIRGraph:
    return with_semantics(chain(nir.Scale(np.abs(S)), lif()), Semantics(dt=1e-3, gain="unit"))


@pytest.mark.parametrize(
    "graph",
    [
        shared(),
        two_sources(),
        ones_beside_an_edge(),
        varying(),
        unit(),
        chain(nir.Scale(S), lif()),  # a negative r
        QuantizeWeights()(chain(linear(), nir.Scale(S), nir.Threshold(np.ones(2)))),
        chain(nir.Scale(np.full(2, 1e30)), nir.Linear(np.full((2, 2), 1e30, np.float32))),
        chain(nir.Scale(S), nir.Threshold(np.ones(2))),
    ],
    ids=[
        "shared",
        "two sources",
        "twice",
        "in-a-channel",
        "unit",
        "negative",
        "quantised",
        "overflow",
        "threshold",
    ],
)
def test_where_no_neighbour_can_take_it_it_stays(graph: nir.NIRGraph) -> None:
    assert digest(FoldScale()(graph)) == digest(graph)
