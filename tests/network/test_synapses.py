"""Weight matrices between populations, and the operators they come from."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.errors import BadInput, Unsupported
from nirbridge.graph import make
from nirbridge.network import Network, build, operator, synapses
from nirbridge.network.operators import output_shape
from nirbridge.semantics import Semantics

RNG = np.random.default_rng(0)


def neurons(n: int) -> nir.LIF:
    one = np.ones(n)
    return nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)


def network(edges: str, inputs: int | tuple[int, ...] = 3, outputs: int = 2, **nodes: Any) -> Network:
    """Edges as ``a>b b>c``; ``in`` and ``out`` are the ports."""
    ports = {
        "in": nir.Input(input_type={"input": np.atleast_1d(inputs)}),
        "out": nir.Output(output_type={"output": np.array([outputs])}),
    }
    wires = [(edge.partition(">")[0], edge.partition(">")[2]) for edge in edges.split()]
    return build(make({**ports, **nodes}, wires), Semantics(dt=0.1))


def test_weights_biases_delays_and_plain_edges() -> None:
    w, r, b = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 2)), RNG.normal(size=2)
    net = network(
        "in>w w>h h>r r>h h>h h>out", w=nir.Affine(weight=w, bias=b), r=nir.Linear(weight=r), h=neurons(2)
    )
    found = synapses(net, net.index("h"))
    assert [(s.name, net.populations[s.source].name, s.delay) for s in found] == [
        (None, "h", 1),
        ("r", "h", 1),
        ("w", "in", 0),
    ]
    plain, back, forth = found
    assert plain.weight is None
    assert plain.bias is None
    assert np.array_equal(back.weight, r)
    assert back.bias is None
    assert np.array_equal(forth.weight, w)
    assert np.array_equal(forth.bias, b)
    (last,) = synapses(net, net.index("out"))
    assert (last.name, last.delay) == (None, 0)


def test_a_bias_is_added_once_where_a_weight_node_sums_sources() -> None:
    affine = nir.Affine(weight=np.eye(2), bias=np.ones(2))
    net = network("in>a h>a a>h h>out", inputs=2, a=affine, h=neurons(2))
    found = synapses(net, net.index("h"))
    assert [(net.populations[s.source].name, s.bias is not None) for s in found] == [
        ("h", True),
        ("in", False),
    ]


def test_two_weight_nodes_in_series_are_refused() -> None:
    net = network(
        "in>a a>b b>h h>out",
        a=nir.Linear(weight=np.ones((4, 3))),
        b=nir.Linear(weight=np.ones((2, 4))),
        h=neurons(2),
    )
    with pytest.raises(Unsupported, match="'a' and 'b' stand in series") as caught:
        synapses(net, net.index("h"))
    assert caught.value.code == "NB202"
    assert [finding.node for finding in caught.value.findings] == ["b"]


@pytest.mark.parametrize(
    ("edges", "nodes", "words"),
    [
        ("in>w w>h h>out", {"w": nir.Linear(weight=np.ones((2, 4))), "h": neurons(2)}, "its input has shape"),
        ("in>w w>h h>out", {"w": nir.Linear(weight=np.ones((5, 3))), "h": neurons(2)}, "'h' has shape"),
        ("in>h h>out", {"h": neurons(2)}, "'h' has shape"),
        (
            "in>w in>h w>h h>out",
            {"w": nir.Linear(weight=np.ones((2, 3))), "h": neurons(2)},
            "'h' sums inputs of shapes",
        ),
        ("in>w w>h h>out", {"w": nir.Linear(weight=np.ones((3, 3))), "h": neurons(3)}, "'out' has shape"),
    ],
)
def test_shapes_that_do_not_agree_are_refused(edges: str, nodes: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported, match=words) as caught:
        network(edges, **nodes)
    assert caught.value.code == "NB109"


def test_an_unknown_population_lists_the_known_ones() -> None:
    net = network("in>w w>h h>out", w=nir.Linear(weight=np.ones((2, 3))), h=neurons(2))
    with pytest.raises(BadInput, match="no node 'w' with a state") as caught:
        net.index("w")
    assert (caught.value.code, caught.value.fix) == ("NB504", "use one of in, h, out")


def applied(node: nir.NIRNode, x: np.ndarray) -> np.ndarray:
    op = operator(node, "n", x.shape)
    assert op.out_shape == output_shape(node, "n", x.shape)
    y = x.reshape(-1) if op.matrix is None else op.matrix @ x.reshape(-1)
    return (y if op.bias is None else y + op.bias).reshape(op.out_shape)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_linear_nodes_act_on_the_last_axis(shape: tuple[int, ...]) -> None:
    weight, bias = RNG.normal(size=(*shape, 4, 5)), RNG.normal(size=(*shape, 4))
    x = RNG.normal(size=(*shape, 5))
    expected = np.einsum("...oi,...i->...o", weight, x)
    assert np.allclose(applied(nir.Linear(weight=weight), x), expected)
    assert np.allclose(applied(nir.Affine(weight=weight, bias=bias), x), expected + bias)


def test_scale_and_flatten() -> None:
    x = RNG.normal(size=(2, 3, 4))
    scale = RNG.normal(size=(2, 3, 4))
    assert np.allclose(applied(nir.Scale(scale=scale), x), scale * x)
    kind = {"input": np.array(x.shape)}
    for start, end, shape in ((0, -1, (24,)), (1, 2, (2, 12)), (-2, -1, (2, 12)), (0, 1, (6, 4))):
        flat = applied(nir.Flatten(input_type=kind, start_dim=start, end_dim=end), x)
        assert np.array_equal(flat, x.reshape(shape))
    with pytest.raises(Unsupported) as caught:
        operator(nir.Flatten(input_type=kind, start_dim=1, end_dim=3), "f", x.shape)
    assert caught.value.code == "NB116"


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups", "shape"),
    [
        ((3, 5), 1, 0, 1, 1, (4, 6, 2)),
        ((3, 3), 2, 1, 1, 2, (4, 4, 3)),
        ((2, 2), (1, 3), (0, 2), (3, 1), 1, (4, 5, 3)),
        ((2, 4), 1, "same", 1, 1, (4, 8, 6)),
        ((2, 4), 1, "valid", 2, 1, (4, 6, 0)),
    ],
)
def test_the_size_of_a_convolution(
    kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int, shape: Any
) -> None:
    weight = np.ones((4, 2 // groups, *kernel))
    node = nir.Conv2d(
        input_shape=None,
        weight=weight,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=np.zeros(4),
    )
    assert output_shape(node, "c", (2, 8, 6)) == shape
    with pytest.raises(Unsupported) as caught:
        output_shape(node, "c", (3, 8, 6))
    assert caught.value.code == "NB109"


def test_pools_keep_their_channels() -> None:
    pool = nir.SumPool2d(kernel_size=np.array([2, 3]), stride=np.array([2, 2]), padding=np.array([0, 1]))
    assert output_shape(pool, "p", (5, 8, 6)) == (5, 4, 3)
