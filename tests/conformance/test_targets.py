"""Every installed target, held to the laws of `nirbridge.conformance`."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.plugins import available, load
from nirbridge.spikes import Spikes

TARGETS = [plugin.name for plugin in available("targets")]
LAWS = [
    "check_no_input_no_spikes",
    "check_batch_equals_samples",
    "check_repeatable",
    "check_leaves_its_input_alone",
    "check_counts",
    "check_cost",
]
# Share of spike cells that an emulator must have in common with the reference on its own lowered graph:
# spinnaker2 computes the same float steps; loihi2 truncates states toward zero, and nothing else is left
# to differ. Measured for loihi2, smallest share of any layer of the one- and two-layer graphs of seeds 0 to 5
# with the data of this file: 0.9437, 0.9645, 0.9800, 0.9699, 0.9433, 0.9593. The bound is for these graphs
# and data only: other data bring single layers down to 0.90.
SEEDS = range(6)
BOUND = {"reference": 1.0, "loihi2": 0.94, "spinnaker2": 0.999}


@pytest.fixture(params=[(1, True), (2, False)], ids=["recurrent", "two-layers"])
def graph(request):
    layers, recurrent = request.param
    return conformance.example_graph(np.random.default_rng(5), layers=layers, recurrent=recurrent)


@pytest.fixture
def data():
    return conformance.example_data(np.random.default_rng(6))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", TARGETS)
def test_law(name, law, graph, data):
    getattr(conformance, law)(load("targets", name)(), graph, data.spikes)


@pytest.mark.parametrize("law", ["check_batch_equals_samples", "check_repeatable"])
@pytest.mark.parametrize("name", TARGETS)
def test_law_of_traces(name, law, graph, data):
    getattr(conformance, law)(load("targets", name)(), graph, data.spikes, traces=True)


@pytest.mark.parametrize("name", TARGETS)
def test_passes_are_idempotent(name, graph):
    conformance.check_passes_idempotent(load("targets", name)(), graph)


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "reference"])
def test_every_neuron_is_placed_once(name, graph):
    conformance.check_placement(load("targets", name)(), graph)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", TARGETS)
def test_agrees_with_the_reference_on_the_same_lowered_graph(name, seed, layers, data):
    graph = conformance.example_graph(np.random.default_rng(seed), layers=layers, recurrent=layers == 1)
    reference = load("targets", "reference")()
    share = BOUND.get(name, 0.9)
    conformance.check_agrees_with_reference(
        load("targets", name)(), reference, graph, data.spikes, share=share
    )


@pytest.mark.parametrize("name", TARGETS)
def test_threads_change_nothing(name, graph, data):
    cls = load("targets", name)
    one, two = (cls(threads=n) for n in (1, 2))
    programs = [t.compile(_lowered(t, graph)) for t in (one, two)]
    a, b = (p.run(data.spikes, record=["hidden1"]) for p in programs)
    assert len(a.spikes["hidden1"].times) > 0
    assert np.array_equal(a.spikes["hidden1"].times, b.spikes["hidden1"].times)
    assert np.array_equal(a.spikes["hidden1"].units, b.spikes["hidden1"].units)
    assert np.array_equal(a.output, b.output)


def _lowered(target, graph):
    from nirbridge.passes import Pipeline

    return Pipeline(tuple(target.passes(graph)))(graph)


class Broken:
    """A target whose recordings or costs are spoiled, to see that the laws can fail."""

    def __init__(self, inner, run=lambda recording, at: recording, cost=lambda cost: cost):
        self.inner, self.spoil_run, self.spoil_cost = inner, run, cost
        self.runs = 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def compile(self, graph):
        program = self.inner.compile(graph)
        return SimpleNamespace(
            graph=program.graph,
            placement=program.placement,
            run=lambda spikes, **options: self._run(program.run(spikes, **options)),
            cost=lambda recording: self.spoil_cost(program.cost(recording)),
        )

    def _run(self, recording):
        self.runs += 1
        return self.spoil_run(recording, self.runs)


def _spiking_output(recording, at, **changed):
    """The output replaced by spikes; from the second run on with fields of it changed."""
    one = {
        "times": np.array([0.001]),
        "units": np.zeros(1, np.int32),
        "offsets": np.array([0, 1, *[1] * (recording.n_samples - 1)]),
    }
    fields = one | (changed if at > 1 else {})
    return replace(recording, output=Spikes(**fields, n_units=3, duration=0.06))


def _shifted_trace(recording, at):
    return replace(recording, traces={name: trace + at for name, trace in recording.traces.items()})


def test_a_target_that_moves_without_input_fails(graph, data):
    def moving(recording, at):
        return replace(recording, output=recording.output + 1)

    for run, words in ((moving, "output moves"), (_spiking_output, "output spikes 1 times")):
        broken = Broken(load("targets", "reference")(), run)
        with pytest.raises(AssertionError, match=f"the {words}.* without input"):
            conformance.check_no_input_no_spikes(broken, graph, data.spikes)


@pytest.mark.parametrize(
    "changed",
    [
        {"times": np.array([0.002])},
        {"units": np.ones(1, np.int32)},
        {"offsets": np.array([0, 0, *[1] * 11])},
        {"values": np.full(1, 2, np.int32)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_other_output_spikes_fail(changed, graph, data):
    steady = Broken(load("targets", "reference")(), _spiking_output)
    conformance.check_repeatable(steady, graph, data.spikes)
    moved = Broken(load("targets", "reference")(), lambda r, at: _spiking_output(r, at, **changed))
    with pytest.raises(AssertionError, match="second run: output"):
        conformance.check_repeatable(moved, graph, data.spikes)


def test_other_traces_fail(graph, data):
    broken = Broken(load("targets", "reference")(), _shifted_trace)
    with pytest.raises(AssertionError, match="second run: trace of 'hidden1:v'"):
        conformance.check_repeatable(broken, graph, data.spikes, traces=True)


def _spoil_first(field, **changed):
    def spoil(cost):
        first, *rest = getattr(cost, field)
        return replace(cost, **{field: (replace(first, **changed), *rest)})

    return spoil


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (_spoil_first("latency_terms", quantity=1.0), "'base' is no quantity times 't_0'"),
        (_spoil_first("energy_terms", coefficient="P_x"), "unknown coefficient 'P_x'"),
        (lambda c: replace(c, latency_terms=c.latency_terms[1:]), "add up to the latency"),
        (lambda c: replace(c, energy_terms=c.energy_terms[1:]), "add up to the energy"),
    ],
)
def test_a_cost_that_does_not_follow_from_its_terms_fails(cost, words, graph, data, monkeypatch):
    target = load("targets", "loihi2")()
    monkeypatch.setattr(Broken, "__module__", type(target).__module__)
    conformance.check_cost(Broken(target), graph, data.spikes)
    with pytest.raises(AssertionError, match=words):
        conformance.check_cost(Broken(target, cost=cost), graph, data.spikes)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("reference", {"device": "jetson-orin-nano", "batch": 4}),
        ("loihi2", {"static_scope": "chip"}),
        ("spinnaker2", {"board_mw": 80.0}),
        ("spinnaker2", {"idle_pes": "off", "chips": 2}),
        ("spinnaker2", {"tick_s": 5e-6}),
    ],
)
def test_costs_under_other_options_obey_the_law(name, options, graph, data):
    conformance.check_cost(load("targets", name)(**options), graph, data.spikes)
