"""Every installed target, held to the laws of `nirbridge.conformance`."""

from __future__ import annotations

import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.plugins import available, load

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
# loihi2 truncates states toward zero, and nothing else is left to differ (0.959 here, in the second layer;
# 0.943 is the worst of six seeds, the fixture among them); spinnaker2 computes the same float steps.
BOUND = {"reference": 1.0, "loihi2": 0.95, "spinnaker2": 0.999}


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


@pytest.mark.parametrize("name", TARGETS)
def test_passes_are_idempotent(name, graph):
    conformance.check_passes_idempotent(load("targets", name)(), graph)


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "reference"])
def test_every_neuron_is_placed_once(name, graph):
    conformance.check_placement(load("targets", name)(), graph)


@pytest.mark.parametrize("name", TARGETS)
def test_agrees_with_the_reference_on_the_same_lowered_graph(name, graph, data):
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


class NeverSilent:
    """A target that breaks a law, to see that the laws can fail."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def compile(self, graph):
        program = self.inner.compile(graph)
        run = program.run

        def broken(spikes, **options):
            from dataclasses import replace

            recording = run(spikes, **options)
            return replace(recording, output=recording.output + 1)

        program.run = broken
        return program


def test_a_broken_target_fails(graph, data):
    broken = NeverSilent(load("targets", "reference")())
    with pytest.raises(AssertionError, match="without input"):
        conformance.check_no_input_no_spikes(broken, graph, data.spikes)
