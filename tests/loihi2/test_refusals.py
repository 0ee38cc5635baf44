"""What the target refuses, each with its code, all findings at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.errors import DoesNotFit, Unsupported, UsageError
from nirbridge.graph import make, replace_nodes
from nirbridge.graph.quantization import KEY, quantization_of
from nirbridge.passes import Pipeline, QuantizeWeights
from nirbridge.semantics import PROFILES, Semantics, with_semantics
from nirbridge_loihi2 import Loihi2
from nirbridge_loihi2.netx_lower import to_network


def codes(graph: nir.NIRGraph) -> list[str]:
    found = Loihi2().check(graph)
    errors = [f.code for f in found if f.level == "error"]
    if errors:
        with pytest.raises(Unsupported) as raised:
            Loihi2().compile(graph)
        assert raised.value.code == errors[0]
        assert len(raised.value.findings) == len(errors) - 1
    return errors


def test_floats_are_refused_by_name_with_the_command(build: SimpleNamespace) -> None:
    graph = build.recurrent()
    assert codes(graph) == ["NB212"] * 3
    finding = Loihi2().check(graph)[0]
    assert finding.node == "w_in"
    assert finding.fix == "nirbridge convert IN OUT --for loihi2"


def test_reset_voltage(build: SimpleNamespace) -> None:
    v_reset = np.zeros(32)
    v_reset[5:19] = -0.2
    node = build.cubalif(32)
    node.v_reset = v_reset
    graph = build.recurrent(hidden=node)
    (finding,) = [f for f in Loihi2().check(graph) if f.code == "NB204"]
    assert finding.message == (
        "node 'hidden' (CubaLIF): target 'loihi2' needs v_reset = 0, got -0.2 at 14 of 32 neurons"
    )
    assert "shift-reset" in str(finding.fix)


def test_subtractive_reset(build: SimpleNamespace) -> None:
    assert "NB210" in codes(build.quantised(build.recurrent(reset="subtract")))


@pytest.mark.parametrize("profile", sorted(set(PROFILES) - {"canonical", "genn"}))
def test_profiles_of_other_readers(build: SimpleNamespace, profile: str) -> None:
    """Their own lines compute something else, also where every field is as here (snntorch, ode)."""
    graph = build.quantised(build.recurrent())
    read = with_semantics(graph, Semantics.of_profile(profile, dt=build.dt))
    (finding,) = [f for f in Loihi2().check(read) if f.code == "NB201"]
    assert f"those of profile '{profile}'" in finding.message
    with pytest.raises(Unsupported):
        Loihi2().compile(read)
    with pytest.raises(Unsupported):
        to_network(read)
    genn = with_semantics(graph, Semantics.of_profile("genn", dt=build.dt))
    assert not any(f.level == "error" for f in Loihi2().check(genn))


def test_weights_of_fewer_bits_are_left_alone(build: SimpleNamespace) -> None:
    """A user's own 4 bits take less memory than 8, and another rounding would only add error."""
    graph = Pipeline((QuantizeWeights(bits=4),))(build.recurrent())
    before = {name: quantization_of(node, name) for name, node in graph.nodes.items()}
    for target in (Loihi2(), Loihi2(split="packed")):
        lowered = Pipeline(tuple(target.passes(graph)))(graph)
        target.compile(lowered)
        for name, q in before.items():
            after = quantization_of(lowered.nodes[name], name)
            assert (q is None) == (after is None)
            if q is not None and after is not None:
                assert after.bits == 4
                np.testing.assert_array_equal(after.q, q.q)


def test_order_of_updates(build: SimpleNamespace) -> None:
    assert "NB201" in codes(build.quantised(build.recurrent(order="voltage-first")))


def test_unknown_types_are_all_named(build: SimpleNamespace) -> None:
    graph = build.recurrent()
    nodes = {**graph.nodes, "late": nir.Delay(np.full(32, 0.01)), "gain": nir.Scale(np.ones(32))}
    other = make(
        nodes, [*graph.edges, ("hidden", "late"), ("late", "gain"), ("gain", "w_rec")], graph.metadata
    )
    found = Loihi2().check(other)
    assert [(f.code, f.node) for f in found] == [("NB201", "gain"), ("NB208", "late")]
    assert codes(other) == ["NB201", "NB208"]


def test_wiring(build: SimpleNamespace) -> None:
    graph = build.recurrent()
    edges = [e for e in graph.edges if e != ("readout", "output")]
    series = make({**graph.nodes, "w_end": nir.Linear(np.eye(4))},
                  [*edges, ("readout", "w_end"), ("w_end", "output")], graph.metadata)  # fmt: skip
    assert "NB202" in codes(series)
    nodes = {"input": nir.Input(np.array([4])), "lif": build.cubalif(4), "output": nir.Output(np.array([4]))}
    bare = with_semantics(make(nodes, [("input", "lif"), ("lif", "output")]), build.semantics())
    assert codes(bare) == ["NB202"]


def test_values_are_not_messages(build: SimpleNamespace) -> None:
    assert "NB202" in codes(build.recurrent(hidden=build.cubali(32)))


def test_different_scales_into_one_population(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent())
    node = graph.nodes["w_rec"]
    node.metadata[KEY]["scale"] = node.metadata[KEY]["scale"] * 2
    node.weight = node.weight * 2
    assert codes(graph) == ["NB212"]


def test_gain_that_differs_between_neurons(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent())
    node = graph.nodes["hidden"]
    node.r = node.r * np.linspace(1, 2, 32)
    assert codes(graph) == ["NB212"]


@pytest.mark.parametrize("threshold", [1e-9, 1e9])
def test_threshold_out_of_range(build: SimpleNamespace, threshold: float) -> None:
    graph = build.quantised(build.recurrent(hidden=build.cubalif(32, v_threshold=threshold)))
    assert codes(graph) == ["NB212"]


def test_time_constants_out_of_range(build: SimpleNamespace) -> None:
    assert codes(build.quantised(build.recurrent(hidden=build.cubalif(32, tau_syn=20.0)))) == ["NB212"]
    slow = build.quantised(build.recurrent(hidden=build.cubalif(32, tau_mem=20.0, r=20000)))
    assert [(f.code, f.level) for f in Loihi2().check(slow)] == [("NB212", "warning")]


def test_mixed_time_constants_warn_only(build: SimpleNamespace) -> None:
    node = build.cubalif(32)
    node.tau_mem = np.linspace(10e-3, 20e-3, 32)
    graph = build.quantised(build.recurrent(hidden=node))
    assert [(f.code, f.level) for f in Loihi2().check(graph)] == [("NB206", "warning")]
    Loihi2().compile(graph)


def test_a_bias_behind_a_synapse_warns(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent(affine=True))
    assert [(f.code, f.level) for f in Loihi2().check(graph)] == [("NB207", "warning")]


def test_every_range_names_its_neurons_and_a_fix(build: SimpleNamespace) -> None:
    def one(field: str, value: float) -> str:
        node = build.cubalif(32)
        getattr(node, field)[4:9] = value
        (found,) = [
            f for f in Loihi2().check(build.quantised(build.recurrent(hidden=node))) if f.code == "NB212"
        ]
        assert found.fix
        return found.message

    assert "at 5 of 32 neurons, expected 1 to 131071" in one("v_threshold", 1e6)
    assert "at 5 of 32 neurons, expected 1 to 131071" in one("v_threshold", 1e-6)
    assert "the synaptic decay becomes 0 of 4096 at 5 of 32 neurons" in one("tau_syn", 20.0)[0:999]
    bias = build.recurrent(hidden=build.cubalif(32, v_leak=0.0), affine=True)
    bias.nodes["w_in"].bias[7:10] = 1e4
    errors = [f for f in Loihi2().check(build.quantised(bias)) if f.level == "error"]
    assert [f.code for f in errors] == ["NB212"]
    assert "at 3 of 32 neurons, expected at most 524160" in errors[0].message
    assert "make biases" in str(errors[0].fix)


def test_a_loop_back_over_layers_is_refused(build: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    nodes = {
        "input": nir.Input(np.array([6])),
        "w1": nir.Linear(rng.normal(0, 1, (6, 6))),
        "one": build.cubalif(6),
        "w2": nir.Linear(rng.normal(0, 1, (6, 6))),
        "two": build.cubalif(6),
        "back": nir.Linear(rng.normal(0, 1, (6, 6))),
        "output": nir.Output(np.array([6])),
    }
    edges = [("input", "w1"), ("w1", "one"), ("one", "w2"), ("w2", "two"), ("two", "back"), ("back", "one"),
             ("two", "output")]  # fmt: skip
    graph = with_semantics(make(nodes, edges), build.semantics())
    assert codes(build.quantised(graph)) == ["NB211"]
    delayed = with_semantics(graph, build.semantics(feedforward_delay=1))
    assert codes(build.quantised(delayed)) == []


def test_too_large_for_the_board(build: SimpleNamespace) -> None:
    graph = build.recurrent(n_in=700, n=1400, n_out=20)
    found = Loihi2().check(graph)  # floats: judged on the graph after the target's passes
    (over,) = [f for f in found if f.code == "NB601"]
    assert "above the limit of 120 core" in over.message
    with pytest.raises(DoesNotFit) as raised:
        Loihi2().compile(build.quantised(graph))
    assert raised.value.code == "NB601"
    assert not raised.value.placement.fits
    assert Loihi2(board="kapoho-point").check(build.quantised(graph)) == []


def test_too_many_inputs_for_a_core(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent(n_in=12_500, n=4, n_out=2))
    assert "NB602" in codes(graph)


def test_missing_input_weights(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent())
    plain = replace_nodes(graph, {"w_out": nir.Linear(graph.nodes["w_out"].weight)})
    assert codes(plain) == ["NB212"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"threads": -1}, "option threads is -1, expected at least 0"),
        ({"neurons_per_core": 0}, "option neurons_per_core is 0, expected 1 to 4095"),
        ({"neurons_per_core": -4}, "option neurons_per_core is -4, expected 1 to 4095"),
        ({"board": "nahuku"}, "option board is 'nahuku', expected one of oheo-gulch"),
        ({"static_scope": "board"}, "option static_scope is 'board', expected one of attributed, chip"),
    ],
)
def test_options_out_of_range_are_refused(option: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        Loihi2(**option)
    assert caught.value.code == "NB701"
