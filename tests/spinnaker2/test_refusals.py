"""Every refusal with its code: what was found, what was expected, what to do."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.errors import BadInput, DoesNotFit, Finding, Unsupported, UsageError
from nirbridge.semantics import PROFILES, Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2 import Spinnaker2


def one_layer(
    build: Any, neurons: nir.NIRNode, n: int = 3, weight: Any = None, **semantics: Any
) -> nir.NIRGraph:
    nodes = build.ports(2, n) | {"w": weight or nir.Linear(weight=np.ones((n, 2))), "h": neurons}
    return build.graph(nodes, [("input", "w"), ("w", "h"), ("h", "output")], **semantics)


def found(graph: nir.NIRGraph, code: str, level: str = "error", **options: Any) -> Finding:
    matches = [f for f in Spinnaker2(**options).check(graph) if (f.code, f.level) == (code, level)]
    assert matches, [str(f) for f in Spinnaker2(**options).check(graph)]
    if level == "error":
        with pytest.raises(Unsupported):
            Spinnaker2(**options).compile(graph)
    return matches[0]


def test_legal_graph_has_no_findings(build: Any) -> None:
    assert Spinnaker2().check(one_layer(build, build.cuba(3))) == []


def test_unsupported_nodes_by_name(build: Any) -> None:
    nodes = build.ports(3, 3) | {
        "t": nir.Threshold(threshold=np.ones(3)),
        "s": nir.Scale(scale=np.ones(3)),
        "h": build.lif(3),
    }
    graph = build.graph(nodes, [("input", "t"), ("t", "s"), ("s", "h"), ("h", "output")])
    findings = Spinnaker2().check(graph)
    assert [(f.code, f.node) for f in findings] == [("NB201", "s"), ("NB201", "t")]
    assert "Threshold" in findings[1].message and "CubaLIF" in str(findings[1].fix)


def test_delay(build: Any) -> None:
    nodes = build.ports(2, 2) | {
        "d": nir.Delay(delay=np.full(2, 0.01)),
        "w": nir.Linear(weight=np.eye(2)),
        "h": build.lif(2),
    }
    graph = build.graph(nodes, [("input", "d"), ("d", "w"), ("w", "h"), ("h", "output")])
    finding = found(graph, "NB208")
    assert finding.node == "d"
    assert "up to 0.01 s (10 steps)" in finding.message


def test_folded_delays(build: Any) -> None:
    node = nir.Linear(weight=np.eye(2))
    node.metadata["nirbridge_delay"] = np.array([[3, 0], [0, 7]])
    nodes = build.ports(2, 2) | {"w": node, "h": build.lif(2)}
    graph = build.graph(nodes, [("input", "w"), ("w", "h"), ("h", "output")])
    assert "up to 7 steps a synapse" in found(graph, "NB208").message


def test_conv_into_cubalif(build: Any) -> None:
    conv = nir.Conv2d(
        input_shape=(4, 4),
        weight=np.ones((1, 1, 1, 1)),
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=np.zeros(1),
    )
    nodes = {
        "input": nir.Input(input_type={"input": np.array([1, 4, 4])}),
        "c": conv,
        "h": nir.CubaLIF(
            **{
                key: np.full((1, 4, 4), value)
                for key, value in (
                    ("tau_mem", 0.02),
                    ("tau_syn", 0.005),
                    ("r", 1.0),
                    ("w_in", 1.0),
                    ("v_leak", 0.0),
                    ("v_threshold", 1.0),
                    ("v_reset", 0.0),
                )
            }
        ),
        "output": nir.Output(output_type={"output": np.array([1, 4, 4])}),
    }
    graph = build.graph(nodes, [("input", "c"), ("c", "h"), ("h", "output")])
    assert "Conv2d 'c' feeds 'h' (CubaLIF), expected LIF or IF" in found(graph, "NB202").message


def test_pool_beside_weights(build: Any) -> None:
    two = np.array([2, 2])
    nodes = {
        "input": nir.Input(input_type={"input": np.array([1, 2, 2])}),
        "pool": nir.SumPool2d(kernel_size=two, stride=two, padding=np.array([0, 0])),
        "flat": nir.Flatten(input_type={"input": np.array([1, 2, 2])}, start_dim=0, end_dim=-1),
        "pflat": nir.Flatten(input_type={"input": np.array([1, 1, 1])}, start_dim=0, end_dim=-1),
        "w": nir.Linear(weight=np.ones((1, 4))),
        "h": build.lif(1),
        "output": build.ports(1, 1)["output"],
    }
    edges = [("input", "pool"), ("pool", "pflat"), ("pflat", "h"), ("input", "flat"), ("flat", "w")]
    graph = build.graph(nodes, [*edges, ("w", "h"), ("h", "output")])
    assert "beside other nodes" in found(graph, "NB202").message


def test_two_inputs(build: Any) -> None:
    nodes = build.ports(2, 2) | {
        "second": nir.Input(input_type={"input": np.array([2])}),
        "a": nir.Linear(weight=np.eye(2)),
        "b": nir.Linear(weight=np.eye(2)),
        "h": build.lif(2),
    }
    edges = [("input", "a"), ("second", "b"), ("a", "h"), ("b", "h"), ("h", "output")]
    assert "needs one Input node, got 2" in found(build.graph(nodes, edges), "NB202").message


def test_weights_in_series(build: Any) -> None:
    nodes = build.ports(2, 2) | {
        "a": nir.Linear(weight=np.eye(2)),
        "b": nir.Linear(weight=np.eye(2)),
        "h": build.lif(2),
    }
    graph = build.graph(nodes, [("input", "a"), ("a", "b"), ("b", "h"), ("h", "output")])
    finding = found(graph, "NB202")
    assert "'a' (Linear) and 'b' (Linear)" in finding.message


def test_input_straight_to_neurons(build: Any) -> None:
    graph = build.graph(build.ports(2, 2) | {"h": build.lif(2)}, [("input", "h"), ("h", "output")])
    finding = found(graph, "NB202")
    assert finding.fix == "put an identity Linear between them"


def test_output_without_neurons(build: Any) -> None:
    nodes = build.ports(2, 2) | {
        "a": nir.Linear(weight=np.eye(2)),
        "h": build.lif(2),
        "b": nir.Linear(weight=np.eye(2)),
    }
    graph = build.graph(nodes, [("input", "a"), ("a", "h"), ("h", "b"), ("b", "output")])
    assert "'b' (Linear)" in found(graph, "NB202").message


def test_output_of_two_populations(build: Any) -> None:
    nodes = build.ports(2, 2)
    edges = []
    for name in ("a", "b"):
        nodes |= {f"w{name}": nir.Linear(weight=np.eye(2)), name: build.lif(2)}
        edges += [("input", f"w{name}"), (f"w{name}", name), (name, "output")]
    assert "sums 2 nodes" in found(build.graph(nodes, edges), "NB202").message


def test_shared_weight_node(build: Any) -> None:
    nodes = build.ports(2, 2) | {
        "w": nir.Linear(weight=np.eye(2)),
        "a": build.lif(2),
        "b": build.lif(2),
        "wb": nir.Linear(weight=np.eye(2)),
    }
    edges = [("input", "w"), ("w", "a"), ("w", "b"), ("a", "wb"), ("wb", "b"), ("b", "output")]
    finding = found(build.graph(nodes, edges), "NB202")
    assert finding.node == "w" and "a, b" in finding.message


def test_readout_that_feeds_neurons(build: Any) -> None:
    nodes = build.ports(2, 2) | {
        "w": nir.Linear(weight=np.eye(2)),
        "li": build.cubali(2),
        "w2": nir.Linear(weight=np.eye(2)),
        "h": build.lif(2),
    }
    edges = [("input", "w"), ("w", "li"), ("li", "w2"), ("w2", "h"), ("h", "output")]
    assert found(build.graph(nodes, edges), "NB202").node == "li"


def test_v_reset(build: Any) -> None:
    graph = one_layer(build, build.cuba(3, v_reset=np.array([0.0, -0.2, -0.2])))
    finding = found(graph, "NB204")
    assert "needs v_reset = 0, got -0.2 at 2 of 3 neurons" in finding.message
    assert found(graph, "NB204", level="warning", v_reset="ignore")
    program = Spinnaker2(v_reset="ignore").compile(graph)
    assert np.all(program.graph.nodes["h"].v_reset == 0)


@pytest.mark.parametrize("field", ["r", "w_in", "v_threshold"])
def test_parameters_must_be_positive(build: Any, field: str) -> None:
    graph = one_layer(build, build.cuba(3, **{field: np.array([1.0, 0.0, -1.0])}))
    assert f"needs {field} > 0, got 0 at 2 of 3" in found(graph, "NB212").message


def test_weights_out_of_range(build: Any) -> None:
    graph = one_layer(build, build.lif(3), weight=nir.Linear(weight=np.full((3, 2), 200.0)))
    assert "|q| reaches 200" in found(graph, "NB212", scale_weights=False).message
    assert Spinnaker2().check(graph) == []


def test_stored_minus_128(build: Any) -> None:
    node = nir.Linear(weight=np.full((3, 2), -128.0, np.float32))
    node.metadata["nirbridge_q"] = {
        "q": np.full((3, 2), -128, np.int8),
        "scale": np.ones(1, np.float32),
        "zero_point": 0,
        "bits": 8,
        "axis": -1,
    }
    assert "|q| reaches 128" in found(one_layer(build, build.lif(3), weight=node), "NB212").message


def test_edited_integers(build: Any) -> None:
    node = nir.Linear(weight=np.full((3, 2), 0.5, np.float32))
    node.metadata["nirbridge_q"] = {
        "q": np.ones((3, 2), np.int8),
        "scale": np.ones(1, np.float32),
        "zero_point": 0,
        "bits": 8,
        "axis": -1,
    }
    graph = one_layer(build, build.lif(3), weight=node)
    assert [f.code for f in Spinnaker2().check(graph)] == ["NB403"]
    with pytest.raises(BadInput, match="NB403"):
        Spinnaker2().compile(graph)


@pytest.mark.parametrize(
    "rule", [{"order": "voltage-first"}, {"syn_input": "before"}, {"multi_spike": True}, {"floor": "zero"}]
)
def test_step_rules(build: Any, rule: dict[str, Any]) -> None:
    assert next(iter(rule)) in found(one_layer(build, build.cuba(3), **rule), "NB210").message


@pytest.mark.parametrize("profile", sorted(set(PROFILES) - {"canonical", "genn", "spinnaker2"}))
def test_profiles_of_other_readers(build: Any, profile: str) -> None:
    """Their own lines compute something else, also where every field is as here (snntorch, ode)."""
    graph = with_semantics(one_layer(build, build.cuba(3)), Semantics.of_profile(profile, dt=1e-3))
    assert f"those of profile '{profile}'" in found(graph, "NB210").message
    for own in ("genn", "spinnaker2"):
        ours = with_semantics(graph, Semantics.of_profile(own, dt=1e-3))
        assert not any(f.level == "error" for f in Spinnaker2().check(ours))


def test_what_runs_otherwise_is_said(build: Any) -> None:
    assert found(one_layer(build, build.cuba(3), compare=">="), "NB210", level="info")
    affine = nir.Affine(weight=np.ones((3, 2)), bias=np.ones(3))
    assert found(one_layer(build, build.cuba(3), weight=affine), "NB207", level="warning")
    assert Spinnaker2().check(one_layer(build, build.cuba(3), weight=affine, bias_path="membrane")) == []
    assert Spinnaker2().check(one_layer(build, build.lif(3), weight=affine)) == []


def test_loop_over_two_layers_comes_late(build: Any) -> None:
    nodes = build.ports(2, 2)
    for name in ("a", "b"):
        nodes |= {f"w{name}": nir.Linear(weight=np.eye(2)), name: build.lif(2)}
    nodes["back"] = nir.Linear(weight=np.eye(2))
    edges = [
        ("input", "wa"),
        ("wa", "a"),
        ("a", "wb"),
        ("wb", "b"),
        ("b", "back"),
        ("back", "a"),
        ("b", "output"),
    ]
    finding = found(build.graph(nodes, edges), "NB211", level="warning")
    assert "spikes of 'b' reach 'a' 1 steps later" in finding.message
    assert Spinnaker2().check(build.graph(nodes, edges, feedforward_delay=1)) == []


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("stride", (1, 2), "stride 1×2"),
        ("padding", (0, 1), "padding 0×1"),
        ("padding", "same", "padding 'same'"),
        ("dilation", 2, "dilation 2"),
        ("groups", 2, "groups 2"),
    ],
)
def test_convolutions_beyond_the_import(build: Any, field: str, value: Any, text: str) -> None:
    options: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | {field: value}
    weight = np.ones((2, 2 // options["groups"], 3, 3), np.float32)
    nodes = build.ports(1, 1) | {
        "input": nir.Input(input_type={"input": np.array([2, 8, 8])}),
        "c": nir.Conv2d(input_shape=(8, 8), weight=weight, bias=np.zeros(2), **options),
        "h": build.lif(1),
    }
    graph = build.graph(nodes, [("input", "c"), ("c", "h"), ("h", "output")])
    finding = found(graph, "NB209")
    assert finding.node == "c" and text in finding.message


def test_overlapping_pool(build: Any) -> None:
    pool = nir.SumPool2d(kernel_size=np.array([3, 3]), stride=np.array([2, 2]), padding=np.array([0, 0]))
    graph = build.graph(build.ports(1, 1) | {"p": pool}, [("input", "p"), ("p", "output")])
    assert "kernel 3×3 with stride 2×2" in found(graph, "NB209").message


def test_unknown_dt(build: Any) -> None:
    graph = one_layer(build, build.lif(3))
    graph.metadata.clear()
    assert [f.code for f in Spinnaker2().check(graph)] == ["NB301"]
    with pytest.raises(BadInput):
        Spinnaker2().compile(graph)


def test_fan_in_beyond_a_pe(build: Any) -> None:
    nodes = build.ports(20_000, 2) | {"w": nir.Linear(weight=np.zeros((2, 20_000))), "h": build.lif(2)}
    graph = build.graph(nodes, [("input", "w"), ("w", "h"), ("h", "output")])
    finding = found(graph, "NB601")
    assert "164,132 B" in finding.message and "94,208 B" in finding.message
    assert "rows with 80,004 B" in finding.message
    assert finding.fix == "give the node at most 11,259 sources (now 20,000)"
    with pytest.raises(DoesNotFit) as caught:
        Spinnaker2().compile(graph)
    assert not caught.value.placement.fits


@pytest.mark.parametrize(("sources", "fits"), [(11_259, True), (11_260, False)])
def test_the_stated_fan_in_is_the_largest(build: Any, sources: int, fits: bool) -> None:
    nodes = build.ports(sources, 1) | {"w": nir.Linear(weight=np.ones((1, sources))), "h": build.lif(1)}
    graph = build.graph(nodes, [("input", "w"), ("w", "h"), ("h", "output")])
    assert Spinnaker2().check(graph) == [] if fits else found(graph, "NB601")


def test_records_beyond_a_pe(build: Any) -> None:
    """The stated number of ticks fits, one more does not; of a PE that holds one neuron."""
    graph = one_layer(build, build.lif(3))
    finding = found(graph, "NB601", record_ticks=30_000)
    assert "the largest region is record with 120,000 B" in finding.message
    most = int(str(finding.fix).rpartition("=")[2])
    assert not [f for f in Spinnaker2(record_ticks=most).check(graph) if f.level == "error"]
    assert found(graph, "NB601", record_ticks=most + 1)


def test_router_entries(build: Any) -> None:
    """Every PE that sends spikes takes an entry of the chip's 16,384."""
    n = 16_400
    nodes = build.ports(1, 1) | {"w": nir.Linear(weight=np.ones((n, 1))), "h": build.lif(n)}
    nodes |= {"w2": nir.Linear(weight=np.zeros((1, n))), "o": build.lif(1)}
    edges = [("input", "w"), ("w", "h"), ("h", "w2"), ("w2", "o"), ("o", "output")]
    finding = found(build.graph(nodes, edges), "NB603", max_atoms=1, chips=120)
    assert "needs 16,401 routing entries, there are 16,384" in finding.message


@pytest.mark.parametrize(
    ("n", "options", "fix"),
    [(600, {"max_atoms": 1}, "max_atoms=5"), (6000, {"record_ticks": 20_000}, "record_ticks=0")],
)
def test_too_many_pes(build: Any, n: int, options: dict[str, int], fix: str) -> None:
    graph = one_layer(build, build.lif(n), n=n)
    finding = found(graph, "NB602", **options)
    assert finding.fix == f"spinnaker2:{fix}"
    assert "there are 148" in finding.message


def test_more_chips(build: Any) -> None:
    nodes = build.ports(9000, 2000) | {"w": nir.Linear(weight=np.zeros((2000, 9000))), "h": build.lif(2000)}
    graph = build.graph(nodes, [("input", "w"), ("w", "h"), ("h", "output")])
    assert found(graph, "NB602").fix == "spinnaker2:chips=14"
    assert Spinnaker2(chips=14).compile(graph).placement.fits


def test_overruns_are_predicted(build: Any) -> None:
    graph = one_layer(build, build.lif(256), n=256)
    finding = found(graph, "NB604", level="warning", tick_s=5e-5)
    assert "256 neurons take 17,360 cycles of a tick's 15,000" in finding.message
    assert finding.fix == "max_atoms=216 (now 256 on a PE) or tick_s=5.8e-05 (now 5e-05 s)"
    assert "more than 1 of 2 sources" in found(graph, "NB604", level="info", tick_s=9e-5).message


@pytest.mark.parametrize(
    "option",
    [
        {"rounding": "up"},
        {"max_atoms": 0},
        {"tick_s": 0.0},
        {"used_rail": "1V"},
        {"chips": 0},
        {"board_mw": -1.0},
        {"phase": "both"},
        {"batch": 0},
        {"optimiser_pes": -1},
    ],
)
def test_options(option: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="NB701"):
        Spinnaker2(**option)


def test_data_that_do_not_fit_the_input(build: Any) -> None:
    program = Spinnaker2().compile(one_layer(build, build.lif(3)))
    with pytest.raises(BadInput, match="3 units"):
        program.run(Spikes.from_dense(np.zeros((1, 5, 3)), 1e-3))
    graded = Spikes.from_events([0.0], [0], [0], n_samples=1, n_units=2, duration=0.01, values=[3])
    with pytest.raises(BadInput, match="graded"):
        program.run(graded)


@pytest.mark.parametrize("name", ["x", "h:q", "h:i", "w"])
def test_unknown_records(build: Any, name: str) -> None:
    program = Spinnaker2().compile(one_layer(build, build.lif(3)))
    with pytest.raises(BadInput, match="NB504"):
        program.run(Spikes.from_dense(np.zeros((1, 5, 2)), 1e-3), record=[name])
