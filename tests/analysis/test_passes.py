"""What `applied` says of a pass: what it changed, its law, what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
import pytest

from nirbridge.analysis import applied, calibration, histogram
from nirbridge.graph import digest, inline, make, replace_nodes
from nirbridge.passes import (
    FoldDelays,
    FoldInputWeight,
    FuseAffine,
    Inline,
    LowerDelays,
    QuantizeDecays,
    QuantizeThresholds,
    QuantizeWeights,
    Rename,
    RescaleLif,
    RescaleTime,
    RoundDelays,
    SetNirVersion,
)
from nirbridge.report.sections.weights import calibration_page
from nirbridge.semantics import Semantics, with_semantics

W1 = np.array([[1.0, -0.5, 0.25], [0.75, 0.1, -1.27]])
W2 = np.array([[2.54, 1.0], [0.02, -0.02], [0.0, 0.5]])


def port(kind: str, n: int) -> nir.NIRNode:
    shape = {kind: np.array([n])}
    return nir.Input(shape) if kind == "input" else nir.Output(shape)


def cuba(n: int) -> nir.CubaLIF:
    values = {"tau_mem": 0.02, "tau_syn": 0.005, "r": 1.5, "v_leak": 0.0, "v_threshold": 1.0, "w_in": 2.0}
    return nir.CubaLIF(**{name: np.full(n, value) for name, value in values.items()}, v_reset=np.zeros(n))


def series() -> nir.NIRGraph:
    """Two weight nodes before the neurons: their rows differ in number."""
    return make(
        {
            "input": port("input", 3),
            "w1": nir.Linear(weight=W1),
            "w2": nir.Linear(weight=W2),
            "n": cuba(3),
            "output": port("output", 3),
        },
        [("input", "w1"), ("w1", "w2"), ("w2", "n"), ("n", "output")],
    )


def single() -> nir.NIRGraph:
    return make(
        {
            "input": port("input", 3),
            "w": nir.Linear(weight=W1),
            "n": cuba(2),
            "output": port("output", 2),
        },
        [("input", "w"), ("w", "n"), ("n", "output")],
    )


def nested() -> nir.NIRGraph:
    inner = make(
        {"input": port("input", 3), "w": nir.Linear(weight=W1), "n": cuba(2), "output": port("output", 2)},
        [("input", "w"), ("w", "n"), ("n", "output")],
    )
    return make(
        {"input": port("input", 3), "sub": inner, "output": port("output", 2)},
        [("input", "sub"), ("sub", "output")],
    )


def timed(graph: nir.NIRGraph) -> nir.NIRGraph:
    return with_semantics(graph, Semantics(dt=1e-3, decay="exact"))


def test_a_quantisation_states_scale_clipped_share_and_noise() -> None:
    after, (result,), steps = applied([QuantizeWeights(bits=8)], timed(single()))
    assert (result.name, result.changed) == ("quantize-weights", "1 arrays")
    assert result.options["bits"] == 8
    assert result.law == "error ≤ half a step where not clipped"
    noise = np.sum((W1 - after.nodes["w"].weight) ** 2)
    decibel = 10 * np.log10(np.sum(W1**2) / noise)
    assert result.result == f"w: scale 0.01, clipped 0.0 %, {decibel:.0f} dB"
    assert [digest(graph) for graph in steps[0][1:]] == [digest(single()), digest(after)]


def test_clipped_weights_are_counted_at_their_own_scale() -> None:
    weight = np.array([[1.0] * 5 + [100.0], [100.0] * 5 + [1.0]])
    graph = replace_nodes(single(), {"w": nir.Linear(weight=weight[:, :3])})
    _, (result,), _ = applied(
        [QuantizeWeights(scheme="percentile", percentile=1e-3, granularity="channel")], graph
    )
    assert "scales 0.00787 to 0.787, clipped 0.0 %" in result.result
    graph = replace_nodes(
        single(), {"w": nir.Linear(weight=np.array([[1.0, 1.0, 50.0], [100.0, 100.0, 100.0]]))}
    )
    _, (result,), _ = applied(
        [QuantizeWeights(scheme="percentile", percentile=50, granularity="channel")], graph
    )
    assert "clipped 16.7 %" in result.result


def test_exact_weights_have_no_noise_and_a_second_run_changes_nothing() -> None:
    graph = replace_nodes(single(), {"w": nir.Linear(weight=np.array([[127.0, 1, 0], [0, -3, 5]]))})
    _, results, _ = applied([QuantizeWeights(), QuantizeWeights()], timed(graph))
    assert [r.result for r in results] == ["w: scale 1, clipped 0.0 %, exact", "already so"]
    assert [r.changed for r in results] == ["1 arrays", "nothing"]


def test_weights_of_two_scales_are_told_apart() -> None:
    _, (result,), _ = applied([QuantizeWeights(granularity="tensor")], series())
    assert result.changed == "2 arrays"
    assert [part.partition(":")[0] for part in result.result.split("; ")] == ["w1", "w2"]


@pytest.mark.parametrize("graph", [single(), series(), nested()], ids=["single", "series", "nested"])
@pytest.mark.parametrize("item", [RescaleLif(), FoldInputWeight()], ids=lambda item: item.name)
def test_a_rescaling_keeps_the_gain_of_every_synapse(item: Any, graph: nir.NIRGraph) -> None:
    after, (result,), _ = applied([item], timed(graph))
    assert result.law == "spike times unchanged"
    assert result.changed == ("sub.n" if "sub.n" in after.nodes else "n")
    words = result.result.split()
    assert words[:2] == ["W·gain", "within"]
    assert float(words[2]) < 1e-6


def test_a_graph_without_dt_is_measured_all_the_same() -> None:
    _, (result,), _ = applied([FoldInputWeight()], single())
    assert float(result.result.split()[2]) < 1e-6


@dataclass(frozen=True)
class Double:
    """Doubles the weight and nothing else."""

    name: ClassVar[str] = "double"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        return replace_nodes(graph, {"w": nir.Linear(weight=2 * W1)})


def test_a_gain_that_changed_is_measured() -> None:
    _, (result,), _ = applied([Double()], timed(single()))
    assert (result.changed, result.law) == ("w", "")
    assert result.result == "W·gain within 1 of the largest"


def test_a_nested_graph_is_compared_inlined() -> None:
    after, (result,), steps = applied([QuantizeWeights()], timed(nested()))
    assert result.changed == "1 arrays"
    assert result.result.startswith("sub.w: scale 0.01")
    assert set(steps[0][1].nodes) == set(steps[0][2].nodes) == set(inline(nested()).nodes)
    assert "sub.w" in after.nodes


def test_a_histogram_counts_every_weight_on_one_axis() -> None:
    graph = single()
    after = QuantizeWeights(scheme="percentile", percentile=50)(graph)
    found = histogram("w", "chip", graph.nodes["w"], after.nodes["w"])
    assert sum(found.before) == sum(found.after) == W1.size
    assert (found.edges[0], found.edges[-1]) == (-1.27, 1.0)
    assert len(found.edges) == len(found.before) + 1 == len(found.after) + 1
    assert found.clipped_share == pytest.approx(3 / 6)
    assert found.scale == float(np.float32(np.median(np.abs(W1)) / 127))
    plain = histogram("w", "chip", graph.nodes["w"], graph.nodes["w"])
    assert (plain.scale, plain.clipped_share) == (None, 0.0)


def test_delays_decays_and_thresholds_say_what_moved() -> None:
    graph = with_semantics(single(), Semantics(dt=1e-3, decay="exact"))
    line = {**graph.nodes, "d": nir.Delay(np.full(3, 0.0042))}
    edges = [e for e in graph.edges if e != ("input", "w")] + [("input", "d"), ("d", "w")]
    passes = (
        RoundDelays(),
        FoldDelays(),
        RescaleLif(),
        QuantizeWeights(),
        QuantizeDecays(),
        QuantizeThresholds(),
    )
    _, results, _ = applied((*passes, LowerDelays()), make(line, edges, graph.metadata))
    found = {r.name: (r.changed, r.result) for r in results}
    assert found["round-delays"] == ("d", "moved by 0.2 steps at most")
    assert found["fold-delays"] == ("1 Delay node, now 0", "w: 4 to 4 steps")
    assert found["lower-delays"] == ("0 Delay nodes, now 1", "each delay a node")
    assert found["quantize-weights"][0] == "1 arrays"
    assert found["rescale-lif"][1].startswith("W·gain within")
    assert found["quantize-decays"][0] == "n"
    assert "tau_mem within 0.1" in found["quantize-decays"][1]
    assert found["quantize-thresholds"][1].startswith("v_threshold within ")


def test_every_scale_is_told_with_its_noise_and_histograms() -> None:
    graph = timed(series())
    _, _, ((_, before, after),) = applied([QuantizeWeights(bits=4, granularity="channel")], graph)
    scales = calibration(before, after)
    assert [(s.nodes, s.channel) for s in scales] == [
        (("w1",), 0), (("w1",), 1), (("w2",), 0), (("w2",), 1), (("w2",), 2),
    ]  # fmt: skip
    for item in scales:
        old = np.asarray(graph.nodes[item.nodes[0]].weight)[item.channel]
        new = after.nodes[item.nodes[0]].weight[item.channel].astype(np.float64)
        noise = np.sum((old - new) ** 2)
        expected = None if noise == 0 else pytest.approx(10 * np.log10(np.sum(old**2) / noise))
        assert item.sqnr_db == expected
        assert item.scale == np.float32(np.abs(old).max() / 7)
        assert (item.bits, item.count, item.clipped_share) == (4, old.size, 0.0)
        assert item.zero_share == np.mean(new == 0)
        assert sum(item.before) == sum(item.after) == old.size
        assert len(item.edges) == len(item.before) + 1


def test_arrays_of_one_scale_are_one_entry_and_clipping_is_counted() -> None:
    graph = timed(
        make(
            {**single().nodes, "r": nir.Linear(weight=np.array([[0.5, 4.0], [-4.0, 0.25]]))},
            [*single().edges, ("n", "r"), ("r", "n")],
        )
    )
    item = QuantizeWeights(scheme="percentile", percentile=50)
    _, results, ((_, before, after),) = applied([item], graph)
    (scale,) = calibration(before, after)
    joined = np.concatenate([graph.nodes[n].weight.reshape(-1) for n in ("r", "w")])
    assert scale.nodes == ("r", "w")
    assert scale.scale == pytest.approx(np.median(np.abs(joined)) / 127)
    assert scale.clipped_share == np.mean(np.abs(joined) > np.median(np.abs(joined)) * (1 + 0.5 / 127))
    assert scale.clipped_share == 0.5
    assert f"clipped {100 * scale.clipped_share:.1f} %" in results[0].result
    assert calibration(after, item(after)) == ()


def test_the_last_negative_integer_of_mlgenn_netx_is_no_clipping() -> None:
    weight = np.array([[0.99, -1.0, 0.5], [0.25, -0.5, 0.75]])  # scale 2^-7: −1 is −128, which only it has
    graph = replace_nodes(timed(single()), {"w": nir.Linear(weight=weight)})
    _, _, ((_, before, after),) = applied([QuantizeWeights(scheme="mlgenn-netx", percentile=99)], graph)
    (scale,) = calibration(before, after)
    assert (scale.scale, after.nodes["w"].metadata["nirbridge_q"]["q"].min()) == (2**-7, -128)
    assert scale.clipped_share == 0.0


def test_nodes_that_went_or_have_other_names_are_listed() -> None:
    def said(item: Any, graph: nir.NIRGraph) -> tuple[str, str]:
        _, (result,), _ = applied([item], graph)
        return result.changed, result.result

    assert said(FuseAffine(), timed(series())) == ("5 nodes, now 4", "without w1; w2 rewritten")
    assert said(Rename(old="n", new="hidden"), timed(single())) == ("n", "n → hidden")
    assert said(Inline(), timed(nested())) == ("1 subgraph, now 0", "the same network inlined")
    assert said(SetNirVersion(), timed(single())) == ("1 nodes", "v_reset = 0 left out")
    changed, result = said(RescaleTime(unit="ms"), timed(single()))
    assert changed == "n"
    assert "within 1e" not in result.replace("W·gain within 1e", "")


def test_the_page_of_scales_draws_each_and_escapes_names() -> None:
    nodes = {**single().nodes, "<b>": single().nodes["w"]}
    del nodes["w"]
    graph = timed(make(nodes, [("input", "<b>"), ("<b>", "n"), ("n", "output")]))
    _, _, ((_, before, after),) = applied([QuantizeWeights(bits=4)], graph)
    page = calibration_page(calibration(before, after), "weights")
    assert page.count("<svg") == 1
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert "SQNR" in page
    assert "No weights were quantised" in calibration_page((), "weights")
