"""`fuse-affine` and `fold-batchnorm`: two weight nodes in series become one."""

from __future__ import annotations

from itertools import pairwise

import nir
import numpy as np
import pytest

from nirbridge.graph import digest, make
from nirbridge.graph.delays import KEY as DELAYS
from nirbridge.network import build
from nirbridge.passes import FoldBatchnorm, FuseAffine, QuantizeWeights
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_reference import Reference


def chain(*nodes: nir.NIRNode, shape: tuple[int, ...], out: tuple[int, ...]) -> nir.NIRGraph:
    names = ["input", *(f"n{k}" for k in range(len(nodes))), "output"]
    ends = nir.Input({"input": np.array(shape)}), nir.Output({"output": np.array(out)})
    graph = make(dict(zip(names, [ends[0], *nodes, ends[1]], strict=True)), pairwise(names))
    return with_semantics(graph, Semantics(dt=1e-3, arithmetic="float64"))


def output(graph: nir.NIRGraph) -> np.ndarray:
    rng = np.random.default_rng(0)
    size = int(np.prod(graph.nodes["input"].input_type["input"]))
    return Reference().compile(graph).run_values(rng.normal(size=(2, 5, size))).output


RNG = np.random.default_rng(1)
A = nir.Affine(RNG.normal(size=(4, 3)), RNG.normal(size=4))
B = nir.Affine(RNG.normal(size=(2, 4)), RNG.normal(size=2))
LINEAR = nir.Linear(RNG.normal(size=(2, 2)))


def test_a_chain_becomes_one_affine_under_the_last_name() -> None:
    graph = chain(A, B, LINEAR, shape=(3,), out=(2,))
    after = FuseAffine()(graph)
    assert set(after.nodes) == {"input", "n2", "output"}
    np.testing.assert_allclose(after.nodes["n2"].weight, LINEAR.weight @ B.weight @ A.weight)
    np.testing.assert_allclose(after.nodes["n2"].bias, LINEAR.weight @ (B.weight @ A.bias + B.bias))
    np.testing.assert_allclose(output(after), output(graph), rtol=1e-5, atol=1e-6)


def test_two_linears_stay_linear_and_blocks_multiply_block_by_block() -> None:
    blocks = nir.Linear(RNG.normal(size=(3, 2, 4))), nir.Linear(RNG.normal(size=(3, 5, 2)))
    after = FuseAffine()(chain(*blocks, shape=(3, 4), out=(3, 5)))
    assert isinstance(after.nodes["n1"], nir.Linear)
    np.testing.assert_allclose(after.nodes["n1"].weight, blocks[1].weight @ blocks[0].weight)


def fan_out() -> nir.NIRGraph:
    graph = chain(A, B, shape=(3,), out=(2,))
    graph.nodes["side"] = nir.Linear(RNG.normal(size=(2, 4)))
    graph.edges += [("n0", "side"), ("side", "output")]
    return graph


def fan_in() -> nir.NIRGraph:
    graph = chain(A, B, shape=(3,), out=(2,))
    graph.nodes["side"] = nir.Linear(RNG.normal(size=(4, 3)))
    graph.edges += [("input", "side"), ("side", "n1")]
    return graph


def folded() -> nir.NIRGraph:
    late = nir.Linear(B.weight, metadata={DELAYS: np.ones((2, 4), np.int32)})
    return chain(A, late, shape=(3,), out=(2,))


@pytest.mark.parametrize("item", [FuseAffine(), FoldBatchnorm()], ids=lambda item: item.name)
@pytest.mark.parametrize(
    "graph",
    [fan_out(), fan_in(), folded(), QuantizeWeights()(chain(A, B, shape=(3,), out=(2,)))],
    ids=["fan-out", "fan-in", "delays", "quantised"],
)
def test_where_others_read_or_feed_they_stay_two(
    item: FuseAffine | FoldBatchnorm, graph: nir.NIRGraph
) -> None:
    assert digest(item(graph)) == digest(graph)


GAMMA, BETA, MEAN, SD = (RNG.uniform(0.5, 2, 3) for _ in range(4))
S, T = GAMMA / SD, BETA - GAMMA / SD * MEAN


def conv(axes: int) -> nir.NIRNode:
    weight = RNG.normal(size=(3, 2, *[2] * axes))
    options = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "bias": RNG.normal(size=3)}
    if axes == 1:
        return nir.Conv1d(input_shape=4, weight=weight, **options)
    return nir.Conv2d(input_shape=(4, 4), weight=weight, **options)


def depthwise(axes: int, padding: int = 0) -> nir.NIRNode:
    weight = S.reshape(3, 1, *[1] * axes)
    options = {"stride": 1, "padding": padding, "dilation": 1, "groups": 3, "bias": T}
    if axes == 1:
        return nir.Conv1d(input_shape=5, weight=weight, **options)
    return nir.Conv2d(input_shape=(5, 5), weight=weight, **options)


def diagonal(*sizes: int) -> nir.Affine:
    """γ·(y − μ)/σ + β as matrices on the last axis, one for each leading index."""
    space = sizes[1:]
    scale = np.broadcast_to(S.reshape(3, *[1] * len(space)), (3, *space))
    shift = np.broadcast_to(T.reshape(3, *[1] * len(space)), (3, *space))
    return nir.Affine(scale[..., None] * np.eye(sizes[-1]), shift.copy())


@pytest.mark.parametrize(
    ("front", "norm", "shape", "out"),
    [
        (nir.Linear(RNG.normal(size=(3, 4))), [nir.Affine(np.diag(S), T)], (4,), (3,)),
        (nir.Linear(RNG.normal(size=(3, 4))), [nir.Scale(S), nir.Affine(np.eye(3), T)], (4,), (3,)),
        (conv(1), [depthwise(1)], (2, 4), (3, 5)),
        (conv(2), [depthwise(2)], (2, 4, 4), (3, 5, 5)),
        (conv(2), [diagonal(3, 5, 5)], (2, 4, 4), (3, 5, 5)),
        (conv(2), [nir.Scale(np.ones((3, 5, 5)) * S[:, None, None])], (2, 4, 4), (3, 5, 5)),
    ],
    ids=["linear", "scale-then-bias", "conv1d", "conv2d", "matrices", "scale"],
)
def test_batch_normalisation_goes_into_the_weights(front, norm, shape, out) -> None:
    graph = chain(front, *norm, shape=shape, out=out)
    after = FoldBatchnorm()(graph)
    assert set(after.nodes) == {"input", "n0", "output"}
    np.testing.assert_allclose(output(after), output(graph), rtol=1e-5, atol=1e-5)
    old = np.asarray(front.weight)
    np.testing.assert_allclose(after.nodes["n0"].weight, old * S.reshape(3, *[1] * (old.ndim - 1)))
    bias = getattr(front, "bias", np.zeros(3))
    shifted = S * bias + (T if not isinstance(norm[-1], nir.Scale) else 0)
    np.testing.assert_allclose(after.nodes["n0"].bias, shifted)
    assert build(after).populations


@pytest.mark.parametrize(
    "graph",
    [
        chain(nir.Linear(np.ones((3, 4))), nir.Affine(RNG.normal(size=(3, 3)), T), shape=(4,), out=(3,)),
        chain(conv(2), nir.Scale(RNG.normal(size=(3, 5, 5))), shape=(2, 4, 4), out=(3, 5, 5)),
        chain(conv(2), depthwise(2, padding=1), shape=(2, 4, 4), out=(3, 7, 7)),
    ],
    ids=["full matrix", "varies in a channel", "padded"],
)
def test_what_mixes_outputs_stays(graph: nir.NIRGraph) -> None:
    assert digest(FoldBatchnorm()(graph)) == digest(graph)
