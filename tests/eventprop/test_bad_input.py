"""Bad input and edge cases, the same for every engine: a named error before any step, or a stated result."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest

from nirbridge.data import Dataset
from nirbridge.errors import BadInput, UsageError
from nirbridge.graph import read_metadata, replace_nodes
from nirbridge.graph.stack import layered
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_eventprop import EventProp
from nirbridge_eventprop.dispatch import plan_or_stack
from nirbridge_eventprop.grid.plan import Plan

ENGINES = {
    "step": {"mode": "step"},
    "substep": {"mode": "substep"},
    "grid-step": {"mode": "step", "rescue": 1e-3},
    "grid-substep": {"mode": "substep", "rescue": 1e-3},
    "exact": {"mode": "exact"},
}
every_engine = pytest.mark.parametrize("engine", ENGINES)


def fit(graph, data, engine, **options):
    trainer = EventProp(**{"epochs": 1, "batch": 6, "threads": 1, **ENGINES[engine], **options})
    return trainer.fit(graph, data, rng=np.random.default_rng(0))


def spiking(graph, rng):
    """The graph with a read-out that spikes."""
    found = layered(
        inputs=20, hidden=[24], outputs=3, dt=1e-3, rng=rng, input_mean=0.9, output_mean=0.5, spiking=True
    )
    return with_semantics(found, Semantics(dt=1e-3, decay="exact"))


def test_the_names_are_those_of_the_engines(graph):
    found = {name: isinstance(plan_or_stack(EventProp(**o), graph), Plan) for name, o in ENGINES.items()}
    assert [name for name, plan in found.items() if plan] == ["grid-step", "grid-substep", "exact"]


@every_engine
@pytest.mark.parametrize("label", [3, 7])
def test_a_label_without_an_output(graph, data, engine, label):
    classes = tuple("abcdefgh")
    wrong = Dataset(data.spikes, np.where(data.labels == 2, label, data.labels), classes)
    with pytest.raises(BadInput, match=f"labels go up to {label}, the graph has 3 outputs") as caught:
        fit(graph, wrong, engine)
    assert caught.value.code == "NB503"


def test_a_negative_label(data):
    with pytest.raises(BadInput) as caught:
        Dataset(data.spikes, np.where(data.labels == 2, -1, data.labels), data.classes)
    assert caught.value.code == "NB503"


@pytest.mark.parametrize(
    ("times", "units", "says"),
    [
        ([0.01, 0.07], [0, 1], "times lie in"),
        ([-0.01, 0.02], [0, 1], "times lie in"),
        ([0.01, np.nan], [0, 1], "not finite"),
        ([0.01, 0.02], [0, 20], "units lie in"),
        ([0.01, 0.02], [-1, 3], "units lie in"),
    ],
)
def test_spikes_outside_the_duration_or_the_units(times, units, says):
    """`Spikes` takes none of them, so no engine meets them."""
    with pytest.raises(BadInput, match=says) as caught:
        Spikes(np.array(times), np.array(units), np.array([0, 2]), 20, 0.06)
    assert caught.value.code == "NB501"


@every_engine
def test_more_units_than_inputs(graph, data, engine):
    with pytest.raises(BadInput, match="21 units, the graph's input has 20") as caught:
        fit(graph, data.with_spikes(data.spikes.with_units(21)), engine)
    assert caught.value.code == "NB501"


@every_engine
def test_spikes_that_a_shorter_duration_leaves_out_play_no_role(graph, data, engine):
    """Cut at 30 ms: the result is that of the same samples without the later spikes."""
    cut, dropped = data.spikes.with_duration(0.03)
    assert dropped
    early = data.spikes.times < 0.03
    offsets = np.concatenate([[0], np.cumsum(early)])[data.spikes.offsets]
    same = Spikes(data.spikes.times[early], data.spikes.units[early], offsets, 20, 0.03)
    one, two = (fit(graph, data.with_spikes(spikes), engine) for spikes in (cut, same))
    for name in ("w1", "r1", "w_out"):
        np.testing.assert_array_equal(one.nodes[name].weight, two.nodes[name].weight)


@every_engine
def test_samples_without_spikes_are_trained_like_others(graph, data, engine):
    """One sample of three is empty: its loss is that of chance, and its share of the gradient is none."""
    spikes, labels = data.spikes.select([0, 1]), data.labels[:2]
    nothing = Spikes(np.zeros(0), np.zeros(0, np.int32), np.zeros(2, np.int64), 20, data.spikes.duration)
    both = Dataset(Spikes.join([spikes, nothing]), np.append(labels, 2), data.classes)
    alone = Dataset(nothing, np.array([2]), data.classes)
    curve = [read_metadata(fit(graph, d, engine)).training["curve"][0] for d in (both, alone)]
    full = read_metadata(fit(graph, Dataset(spikes, labels, data.classes), engine)).training["curve"][0]
    if "grid" not in engine:  # their rescue term counts where a neuron is silent
        assert curve[1]["loss"] == pytest.approx(np.log(3), rel=1e-6)
    assert curve[0]["loss"] == pytest.approx((2 * full["loss"] + curve[1]["loss"]) / 3, rel=1e-6)
    assert curve[1]["spikes_per_neuron"] == 0


@pytest.mark.parametrize("engine", ["grid-step", "grid-substep", "exact"])
@pytest.mark.parametrize(("loss", "wrong"), [("ttfs-xent", "non-spiking"), ("xent-max", "spiking")])
def test_a_loss_that_does_not_fit_the_read_out(graph, data, engine, loss, wrong):
    other = graph if wrong == "non-spiking" else spiking(graph, np.random.default_rng(0))
    with pytest.raises(
        UsageError, match=f"loss '{loss}' needs a read-out .*'out' is a {wrong} one"
    ) as caught:
        fit(other, data, engine, loss=loss)
    assert caught.value.code == "NB701"


@every_engine
def test_all_neurons_silent(graph, data, engine):
    """Nothing spikes, so every output stays at 0: a loss of chance, and no weight to the outputs moves."""
    quiet = replace_nodes(graph, {"w1": nir.Linear(weight=np.full_like(graph.nodes["w1"].weight, 1e-4))})
    found = fit(quiet, data, engine, epochs=2, lift=0.0)
    for entry in read_metadata(found).training["curve"]:
        assert entry["silent"] == 1.0 and entry["spikes_per_neuron"] == 0.0
        assert np.isfinite(entry["loss"])
    np.testing.assert_array_equal(found.nodes["w_out"].weight, graph.nodes["w_out"].weight)
    pulled = not np.array_equal(found.nodes["w1"].weight, quiet.nodes["w1"].weight)
    assert pulled == ("grid" in engine), "only a rescue term moves the weights of silent neurons"


@pytest.mark.parametrize("engine", ["grid-step", "grid-substep", "exact"])
def test_silent_outputs_of_a_first_spike_training(data, engine):
    """No output spikes: each counts as one at the end, and the loss stays finite."""
    graph = spiking(None, np.random.default_rng(0))
    weight = np.full_like(graph.nodes["w_out"].weight, 1e-4)
    quiet = replace_nodes(graph, {"w_out": nir.Linear(weight=weight)})
    found = fit(quiet, data, engine, loss="ttfs-xent")
    assert np.isfinite(read_metadata(found).training["curve"][0]["loss"])
    assert np.isfinite(found.nodes["w1"].weight).all()
    assert (found.nodes["w_out"].weight > weight).any(), "the label's outputs are woken"


@every_engine
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("node", ["w1", "w_out"])
def test_weights_that_are_not_finite(graph, data, engine, node, value):
    weight = graph.nodes[node].weight.copy()
    weight[1, 2] = value
    with pytest.raises(BadInput, match=f"'{node}': 1 of {weight.size} weights are not finite") as caught:
        fit(replace_nodes(graph, {node: nir.Linear(weight=weight)}), data, engine)
    assert caught.value.code == "NB120"


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((3, 4)), "shape \\(3, 4\\), expected \\(3, 3\\)"),
        (np.full((3, 3), -1e-3), "negative time"),
        (np.full((3, 3), np.nan), "not finite"),
        (np.array("early"), "no array that can be read"),
        (None, "no array that can be read"),
    ],
    ids=["shape", "negative", "nan", "text", "missing"],
)
def test_targets_that_are_none(data, array, says, tmp_path):
    graph = spiking(None, np.random.default_rng(0))
    path = tmp_path / "target.npy"
    if array is not None:
        np.save(path, array)
    with pytest.raises(UsageError, match=says) as caught:
        fit(graph, data, "exact", loss="ttfs-mse", target=str(path))
    assert caught.value.code == "NB701" and str(path) in caught.value.message


@every_engine
def test_a_sample_of_no_duration(graph, data, engine):
    nothing = Spikes(np.zeros(0), np.zeros(0, np.int32), np.zeros(4, np.int64), 20, 0.0)
    empty = replace(data, spikes=nothing, labels=data.labels[:3])
    with pytest.raises(BadInput, match="duration") as caught:
        fit(graph, empty, engine)
    assert caught.value.code == "NB501"
