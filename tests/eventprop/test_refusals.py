"""What the trainer does not train: the code, the node's name, before any step is made."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest

from nirbridge.data import Dataset
from nirbridge.errors import BadInput, Unsupported, UsageError
from nirbridge.graph import make
from nirbridge.semantics import semantics_of, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_eventprop import EventProp


def fit(graph, data, **options):
    return EventProp(**{"epochs": 1, "batch": 6, **options}).fit(graph, data, rng=np.random.default_rng(0))


def changed(graph, nodes, add=(), drop=()):
    """The graph with other nodes and edges."""
    edges = [edge for edge in map(tuple, graph.edges) if edge not in drop]
    return make({**graph.nodes, **nodes}, [*edges, *add], graph.metadata)


def full(n, *names, **values):
    return {name: np.full(n, 1.0) for name in names} | {k: np.full(n, v) for k, v in values.items()}


def lif_hidden(graph):
    return changed(graph, {"hidden1": nir.LIF(**full(24, "r", "v_threshold", tau=0.02, v_leak=0))})


def spiking_read_out(graph):
    out = nir.CubaLIF(**full(3, "r", "w_in", "v_threshold", tau_mem=0.02, tau_syn=0.005, v_leak=0))
    return changed(graph, {"out": out})


def delay_behind_weights(graph):
    nodes = {"late": nir.Delay(delay=np.full(24, 0.003)), "more": nir.Linear(weight=np.eye(24))}
    add = [("w1", "late"), ("late", "more"), ("more", "hidden1")]
    return changed(graph, nodes, add=add, drop=[("w1", "hidden1")])


def read_out_inside(graph):
    """The read-out feeds back: it sends no spikes."""
    return changed(
        graph, {"back": nir.Linear(weight=np.ones((24, 3)))}, add=[("out", "back"), ("back", "hidden1")]
    )


DERIVED = {"input_type", "output_type", "metadata"}


def scale(graph):
    return changed(graph, {"r1": nir.Scale(scale=np.full(24, 0.1))})


def after_the_read_out(graph):
    add = [("out", "post"), ("post", "output")]
    return changed(graph, {"post": nir.Linear(weight=np.eye(3))}, add=add, drop=[("out", "output")])


def past_the_read_out(graph):
    node = nir.Linear(weight=np.ones((3, 24)))
    return changed(graph, {"skip": node}, add=[("hidden1", "skip"), ("skip", "output")])


def shared_weights(graph):
    nodes = {"input": nir.Input(input_type={"input": np.array([24])}), "w1": nir.Linear(weight=np.eye(24))}
    without = {name: node for name, node in graph.nodes.items() if name != "r1"}
    edges = [edge for edge in map(tuple, graph.edges) if "r1" not in edge]
    return make({**without, **nodes}, [*edges, ("hidden1", "w1")], graph.metadata)


def no_weights(graph):
    node = nir.Flatten(input_type={"input": np.array([24])}, start_dim=0, end_dim=-1)
    return changed(graph, {"r1": node})


GRAPHS = [
    (lif_hidden, "NB201", "hidden1"),
    (spiking_read_out, "NB201", "out"),
    (delay_behind_weights, "NB208", "late"),
    (read_out_inside, "NB202", "back"),
    (scale, "NB201", "r1"),
    (after_the_read_out, "NB202", "output"),
    (past_the_read_out, "NB202", "output"),
    (shared_weights, "NB202", "w1"),
    (no_weights, "NB202", "hidden1"),
]


@pytest.mark.parametrize(("change", "code", "node"), GRAPHS, ids=[g[0].__name__ for g in GRAPHS])
def test_a_graph_outside_the_stack(graph, data, change, code, node):
    with pytest.raises(Unsupported) as caught:
        fit(change(graph), data)
    assert caught.value.code == code
    assert [finding.node for finding in caught.value.findings] == [node]
    assert f"'{node}'" in caught.value.message


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("decay", "euler", "NB201"),
        ("reset", "subtract", "NB210"),
        ("feedforward_delay", 1, "NB201"),
        ("order", "voltage-first", "NB201"),
        ("v_init", "leak", "NB201"),
        ("multi_spike", True, "NB201"),
    ],
)
def test_other_semantics(graph, data, field, value, code):
    other = with_semantics(graph, replace(semantics_of(graph), **{field: value}))
    with pytest.raises(Unsupported) as caught:
        fit(other, data)
    assert caught.value.code == code


def unlabelled(data):
    return replace(data, labels=None)


def labels_beyond(data):
    return replace(data, labels=np.where(data.labels == 2, 3, data.labels), classes=("a", "b", "c", "d"))


def empty(data):
    return data.select([])


def more_units(data):
    return data.with_spikes(data.spikes.with_units(21))


def graded(data):
    s = data.spikes
    values = np.full(len(s.times), 2)
    return data.with_spikes(Spikes(s.times, s.units, s.offsets, s.n_units, s.duration, values))


DATA = [
    (unlabelled, "NB503"),
    (labels_beyond, "NB503"),
    (empty, "NB503"),
    (more_units, "NB501"),
    (graded, "NB501"),
]


@pytest.mark.parametrize(("change", "code"), DATA, ids=[d[0].__name__ for d in DATA])
def test_data_that_do_not_fit(graph, data, change, code):
    with pytest.raises(BadInput) as caught:
        fit(graph, change(data))
    assert caught.value.code == code
    with pytest.raises(BadInput) as caught:
        EventProp().fit(graph, data, validation=change(data), rng=np.random.default_rng(0))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "option",
    [
        {"epochs": 0},
        {"batch": 0},
        {"lr": -1e-3},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"logit_scale": 0.0},
        {"shards": 0},
        {"threads": -1},
        {"clip": -1.0},
        {"rate_upper": -1.0},
        {"beta2": 1.0},
        {"ema": 1.0},
        {"ease_in": 0.99},
        {"ease_in": float("nan")},
        {"decay": 0.0},
        {"slope": "end"},
        {"loss": "mse"},
        {"schedule": "step"},
    ],
    ids=str,
)
def test_an_option_out_of_range_is_named(option):
    with pytest.raises(UsageError) as caught:
        EventProp(**option)
    assert caught.value.code == "NB701"
    assert f"option {next(iter(option))} " in caught.value.message


def test_a_loss_that_stops_being_finite_names_the_batch(graph, data):
    last = graph.nodes["w_out"]
    loud = changed(graph, {"w_out": nir.Linear(weight=np.full_like(last.weight, 1e38))})
    with pytest.raises(BadInput, match="epoch 1, batch 1: the loss") as caught:
        fit(loud, data)
    assert caught.value.code == "NB510"


def test_one_bad_sample_is_found_in_its_batch(graph, data):
    """Only the sample with two spikes of the last channel at once meets weights whose sum overflows."""
    weight = graph.nodes["w1"].weight.copy()
    weight[:, 19] = 3e38
    s = data.spikes
    quiet = s.units != 19
    offsets = np.concatenate([[0], np.cumsum(quiet)])[s.offsets]
    calm = data.with_spikes(Spikes(s.times[quiet], s.units[quiet], offsets, 20, s.duration))
    loud = changed(graph, {"w1": nir.Linear(weight=weight)})
    assert np.isfinite(fit(loud, calm).nodes["w1"].weight).all()
    two = Spikes(np.array([0.01, 0.01]), np.array([19, 19]), np.array([0, 2]), 20, s.duration)
    spoilt = Dataset(Spikes.join([calm.spikes, two]), np.append(calm.labels, 0), calm.classes)
    order = np.random.default_rng(0).permutation(13)
    with pytest.raises(
        BadInput, match=f"batch {int(np.flatnonzero(order == 12)[0]) + 1}: the loss"
    ) as caught:
        fit(loud, spoilt, batch=1)
    assert caught.value.code == "NB510"


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered")
def test_a_weight_that_stops_being_finite_is_not_returned(graph, data):
    """With this input weight a step of the largest float is twice that in the file's own weights."""
    hidden = graph.nodes["hidden1"]
    fields = {name: value for name, value in vars(hidden).items() if name not in DERIVED}
    weak = changed(graph, {"hidden1": nir.CubaLIF(**fields | {"w_in": hidden.w_in / 2})})
    with pytest.raises(BadInput, match="epoch 1, batch 1: a weight") as caught:
        fit(weak, data, lr=3e38, ease_in=1.0, batch=12)
    assert caught.value.code == "NB510"
