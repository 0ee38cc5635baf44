"""`quantize-weights`: its law, its scales (NIR_TOOLKIT §8), what shares a scale, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nirbridge.errors import Unsupported, UsageError
from nirbridge.graph import copy, digest, equal, make
from nirbridge.graph.quantization import Quantization, quantization_of
from nirbridge.passes import QuantizeWeights

Random = Callable[..., nir.NIRGraph]
SCHEMES = ("max", "percentile", "mse", "power-of-two")
GRANULARITIES = ("tensor", "population", "channel")
matrices = arrays(
    st.sampled_from([np.float32, np.float64]),
    st.tuples(st.integers(1, 4), st.integers(1, 6)),
    elements=st.floats(-(2.0**100), 2.0**100, width=32),
)


def one(weight: np.ndarray) -> nir.NIRGraph:
    ports = {
        "input": nir.Input(input_type={"input": np.array([weight.shape[1]])}),
        "output": nir.Output(output_type={"output": np.array([weight.shape[0]])}),
    }
    return make({**ports, "w": nir.Linear(weight=weight)}, [("input", "w"), ("w", "output")])


def found(graph: nir.NIRGraph, name: str = "w") -> Quantization:
    result = quantization_of(graph.nodes[name], name)
    assert result is not None
    return result


def steps(quantization: Quantization, weight: np.ndarray) -> np.ndarray:
    """The scale of each weight, by broadcasting along the axis."""
    scale = quantization.scale.astype(np.float64)
    return np.broadcast_to(scale[:, None] if quantization.axis == 0 else scale, weight.shape)


@settings(max_examples=200)
@given(
    weight=matrices,
    bits=st.integers(2, 8),
    scheme=st.sampled_from(SCHEMES),
    granularity=st.sampled_from(GRANULARITIES),
)
def test_a_weight_errs_by_half_a_step_where_it_is_not_clipped(
    weight: np.ndarray, bits: int, scheme: Any, granularity: Any
) -> None:
    after = QuantizeWeights(bits=bits, scheme=scheme, granularity=granularity)(one(weight))
    integers = found(after)
    top = 2 ** (bits - 1) - 1
    assert integers.q.dtype == np.int8
    assert np.abs(integers.q.astype(int)).max() <= top
    assert (integers.bits, integers.zero_point) == (bits, 0)
    stored = after.nodes["w"].weight
    assert np.array_equal(stored, integers.weight())
    step = steps(integers, weight)
    rounding = np.abs(stored) * 2.0**-23 + 1e-45
    clipped = np.abs(weight.astype(np.float64)) > top * step
    assert np.all((np.abs(weight - stored.astype(np.float64)) <= step / 2 + rounding) | clipped)
    if scheme in ("max", "power-of-two"):
        assert np.all(np.abs(weight.astype(np.float64)) <= (top + 0.5) * step)


def plain_scale(w: np.ndarray, scheme: str, top: int, percentile: float = 99.9) -> float:
    """NIR_TOOLKIT §8, row by row of its table."""
    largest = float(np.abs(w).max())
    if scheme == "max":
        return largest / top
    if scheme == "percentile":
        return float(np.percentile(np.abs(w[w != 0]), percentile)) / top
    if scheme == "power-of-two":
        power = -200
        while 2.0**power < largest / top:
            power += 1
        return 2.0**power
    best, least = 0.0, np.inf
    for k in range(16, 65):
        s = float(np.float32(largest / top * k / 64))
        error = float(np.sum((w - np.clip(np.rint(w / s), -top, top) * s) ** 2))
        if error <= least:
            best, least = s, error
    return best


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_has_its_scale(scheme: Any, bits: int) -> None:
    for seed in range(5):
        w = np.random.default_rng(seed).standard_t(3, (7, 9))
        w[0, :4] = 0.0
        scale = found(QuantizeWeights(bits=bits, scheme=scheme)(one(w))).scale
        assert scale.tolist() == [float(np.float32(plain_scale(w, scheme, 2 ** (bits - 1) - 1)))]


def test_the_percentile_is_an_option() -> None:
    w = np.random.default_rng(0).normal(size=(20, 20))
    for percentile in (50.0, 90.0, 100.0):
        scale = found(QuantizeWeights(scheme="percentile", percentile=percentile)(one(w))).scale
        assert scale[0] == np.float32(plain_scale(w, "percentile", 127, percentile))


def test_the_best_scale_is_no_worse_than_the_largest() -> None:
    w = np.random.default_rng(1).standard_t(2, (30, 30))

    def error(scheme: Any) -> float:
        return float(np.sum((w - QuantizeWeights(bits=4, scheme=scheme)(one(w)).nodes["w"].weight) ** 2))

    assert error("mse") < error("max")


@pytest.mark.parametrize("weight", [np.zeros((2, 3)), np.full((2, 3), 1e-45)])
def test_weights_that_are_all_zero_have_scale_one(weight: np.ndarray) -> None:
    for scheme in SCHEMES:
        after = QuantizeWeights(scheme=scheme)(one(weight))  # type: ignore[arg-type]
        assert found(after).scale.tolist() == [1.0]
        assert not after.nodes["w"].weight.any()


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_second_run_changes_nothing(random: Random, bits: int, granularity: Any, scheme: Any) -> None:
    quantize = QuantizeWeights(bits=bits, scheme=scheme, granularity=granularity)
    once = quantize(random(0))
    twice = quantize(once)
    assert digest(twice) == digest(once)
    for name in ("w1", "ra", "w2", "rb", "w3"):
        assert found(twice, name).scale.tobytes() == found(once, name).scale.tobytes()


def test_other_bits_quantise_again(random: Random) -> None:
    eight = QuantizeWeights(bits=8)(random(0))
    four = QuantizeWeights(bits=4)(eight)
    assert found(four, "w1").bits == 4
    assert not equal(four, eight)


def scales(graph: nir.NIRGraph) -> dict[str, bytes]:
    return {name: found(graph, name).scale.tobytes() for name in ("w1", "ra", "w2", "rb", "w3")}


def test_what_enters_a_population_shares_its_scale(random: Random) -> None:
    population = scales(QuantizeWeights()(random(0)))
    assert population["w1"] == population["ra"]
    assert population["w2"] == population["rb"]
    assert len(set(population.values())) == 3
    assert len(set(scales(QuantizeWeights(granularity="tensor")(random(0))).values())) == 5
    channel = QuantizeWeights(granularity="channel")(random(0))
    for name in ("w1", "w3"):
        integers = found(channel, name)
        assert integers.axis == 0
        weight = np.abs(random(0).nodes[name].weight).max(axis=1)
        assert np.array_equal(integers.scale, (weight / 127).astype(np.float32))


def test_a_weight_behind_a_flatten_joins_the_others_of_its_target(random: Random) -> None:
    graph = random(0)
    graph.nodes["f"] = nir.Flatten(input_type={"input": np.array([8])}, start_dim=0, end_dim=0)
    graph.nodes["w4"] = nir.Linear(weight=np.full((8, 6), 99.0))
    graph.edges += [("input", "w4"), ("w4", "f"), ("f", "a")]
    after = QuantizeWeights()(graph)
    assert found(after, "w4").scale.tobytes() == found(after, "w1").scale.tobytes()
    assert found(after, "w4").scale[0] == np.float32(99 / 127)


def test_biases_and_the_input_stay(random: Random) -> None:
    graph = random(0)
    kept = copy(graph)
    after = QuantizeWeights(bits=2)(graph)
    assert equal(graph, kept)
    assert np.array_equal(after.nodes["w1"].bias, graph.nodes["w1"].bias)
    assert "nirbridge_q" not in graph.nodes["w1"].metadata


@pytest.mark.parametrize(
    "options", [{"bits": 1}, {"bits": 9}, {"percentile": 0.0}, {"percentile": 100.1}, {"percentile": np.nan}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected") as caught:
        QuantizeWeights(**options)
    assert caught.value.code == "NB701"


def test_weights_beyond_float32_are_refused() -> None:
    with pytest.raises(Unsupported, match="beyond float32") as caught:
        QuantizeWeights()(one(np.full((1, 1), 1e300)))
    assert caught.value.code == "NB212"


def test_mlgenn_netx_gives_that_programs_integers() -> None:
    """The scheme on the graph equals the published quantiser on the arrays (golden quant_* hold that one)."""
    from nirbridge.passes.mlgenn_netx import mlgenn_netx

    rng = np.random.default_rng(4)
    forward, recurrent = rng.normal(0.1, 0.4, (6, 5)), rng.normal(-0.2, 0.3, (6, 6))
    recurrent[0, 0] = -9.0  # beyond every percentile: clipped to −128
    nodes = {
        "in": nir.Input(np.array([5])),
        "w": nir.Linear(forward),
        "h": nir.IF(r=np.ones(6), v_threshold=np.ones(6)),
        "r": nir.Linear(recurrent),
        "out": nir.Output(np.array([6])),
    }
    edges = [("in", "w"), ("w", "h"), ("h", "r"), ("r", "h"), ("h", "out")]
    after = QuantizeWeights(scheme="mlgenn-netx", percentile=90)(make(nodes, edges))
    expected = mlgenn_netx([forward, recurrent], percentile=90)
    for name, q in zip(("w", "r"), expected.q, strict=True):
        found = after.nodes[name].metadata["nirbridge_q"]
        assert np.array_equal(found["q"], q)
        assert float(found["scale"][0]) == expected.scale
    assert any((q == -128).any() for q in expected.q)
