"""What a batch in continuous time must keep: samples add up, threads change nothing, bad input is named."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from nirbridge.errors import BadInput, Unsupported
from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact import Connection, Engine, event_network
from nirbridge_eventprop.exact.losses import LOSSES

sys.path.insert(0, str(Path(__file__).parent))

from exact_networks import END, INPUTS, Parameters, layer, network, spikes


def run(net, data, labels, fit="xent-exp", **options):
    engine = Engine(net, LOSSES[fit](), **options)
    result = engine.run(data, np.asarray(labels))
    engine.close()
    return result, engine.sums


def test_the_sums_of_a_batch_are_those_of_its_samples():
    rng = np.random.default_rng(0)
    net, data = network(rng, delays=True, refractory=True, adaptive=True), spikes(rng, 5)
    labels = rng.integers(0, 3, 5)
    whole, sums = run(net, data, labels, shards=3)
    parts = [run(net, data.select([b]), labels[b : b + 1]) for b in range(5)]
    np.testing.assert_array_equal(whole.loss, [part.loss[0] for part, _ in parts])
    for name in ("weight", "delay", "cell", "read_weight", "read_delay", "read_cell"):
        added = sum(getattr(part, name) for _, part in parts)
        np.testing.assert_allclose(getattr(sums, name), added, rtol=1e-11, atol=1e-13)
    assert whole.counts.sum() > 20


def test_threads_change_no_bit():
    rng = np.random.default_rng(1)
    net, data = network(rng, hidden=2), spikes(rng, 7)
    labels = rng.integers(0, 3, 7)
    one, sums = run(net, data, labels, shards=4)
    for threads in (2, 5):
        many, other = run(net, data, labels, shards=4, threads=threads)
        np.testing.assert_array_equal(many.loss, one.loss)
        np.testing.assert_array_equal(other.weight, sums.weight)


def test_a_tape_and_a_queue_that_grow_give_the_same_gradient():
    rng = np.random.default_rng(2)
    net, data = network(rng, delays=True), spikes(rng, 2)
    wide, sums = run(net, data, [0, 1])
    small = Engine(net, LOSSES["xent-exp"]())
    small._room = (1, 2)
    result = small.run(data, np.array([0, 1]))
    small.close()
    assert small._room > (8, 8) and wide.counts.sum() > 16
    np.testing.assert_array_equal(result.counts, wide.counts)
    np.testing.assert_array_equal(small.sums.weight, sums.weight)
    np.testing.assert_array_equal(small.sums.delay, sums.delay)


def test_the_order_of_input_events_plays_no_role():
    rng = np.random.default_rng(3)
    net, data = network(rng), spikes(rng, 1)
    tied = Spikes(np.round(data.times, 3), data.units, data.offsets, INPUTS, END)
    order = np.lexsort((-tied.units, tied.times))
    other = Spikes(tied.times[order], tied.units[order], tied.offsets, INPUTS, END)
    np.testing.assert_array_equal(run(net, tied, [0])[1].weight, run(net, other, [0])[1].weight)


def test_samples_without_spikes_have_no_gradient_and_the_loss_of_chance():
    net = network(np.random.default_rng(4))
    zero = Parameters(net)
    for at, item in enumerate(net.layers):  # no leak, so nothing moves at all
        zero = Parameters(zero.moved(f"v_leak_{at}", -item.v_leak))
    nothing = Spikes(np.zeros(0), np.zeros(0, np.int32), np.zeros(3, np.int64), INPUTS, END)
    result, sums = run(zero.network, nothing, [0, 2])
    np.testing.assert_allclose(result.loss, np.log(3))
    assert not result.counts.any() and not sums.weight.any() and not sums.read_weight.any()
    result, sums = run(zero.network, nothing.select([]), np.zeros(0, int))
    assert result.loss.shape == (0,) and not sums.weight.any()


def test_a_silent_output_is_woken_where_it_is_the_label_s():
    rng = np.random.default_rng(5)
    net = network(rng, recurrent=False, spiking_output=True)
    quiet = Parameters(net).moved("w_1", -0.97 * net.connections[1].weight)
    data = spikes(rng, 1)
    result, sums = run(quiet, data, [1], "ttfs-xent")
    assert result.readout[0, 1] == END and not result.counts[0, -3:].any()
    assert not sums.weight.any()
    _, sums = run(quiet, data, [1], "ttfs-xent", wake=1.0)
    output = sums.weight[quiet.places[1][1]].reshape(quiet.connections[1].weight.shape)
    spiked = result.counts[0, :-3] > 0
    assert (output[:, 1] <= 0).all() and (output[spiked, 1] < 0).any(), "more weight would make it fire"
    assert not output[:, [0, 2]].any() and not output[~spiked].any()


def test_a_loss_that_does_not_fit_the_read_out_is_refused():
    rng = np.random.default_rng(6)
    with pytest.raises(BadInput, match="'TtfsXent' does not fit a non-spiking read-out"):
        Engine(network(rng), LOSSES["ttfs-xent"]())
    with pytest.raises(BadInput, match="'XentMax' does not fit a spiking read-out"):
        Engine(network(rng, spiking_output=True), LOSSES["xent-max"]())


def test_each_class_has_a_trace_of_its_own():
    rng = np.random.default_rng(9)
    target = rng.normal(size=(3, 4, 2))
    t, share, v = np.sort(rng.uniform(0, END, 20)), np.full(20, END / 20), rng.normal(size=(20, 2))
    values = []
    for label in range(3):
        value, _, impulse = LOSSES["mse-trace"](target).at_nodes(t, share, v, label, END)
        alone = LOSSES["mse-trace"](target[label])
        expected, _, pull = alone.at_nodes(t, share, v, 0, END)
        assert value == expected
        np.testing.assert_array_equal(impulse, pull)
        np.testing.assert_array_equal(alone.edges(END), LOSSES["mse-trace"](target).edges(END))
        values.append(value)
    assert len(set(values)) == 3


def test_a_layer_that_does_not_spike_must_be_the_last():
    rng = np.random.default_rng(7)
    layers = [layer(rng, 3, spiking=s, refractory=False, adaptive=False) for s in (False, True)]
    connections = [
        Connection(pre=0, post=1, weight=np.ones((2, 3))),
        Connection(pre=1, post=2, weight=np.ones((3, 3))),
    ]
    with pytest.raises(Unsupported, match="must be the last one"):
        event_network(2, layers, connections)


def test_runaway_activity_is_named(monkeypatch):
    monkeypatch.setattr("nirbridge_eventprop.exact.engine.MOST_SPIKES", 5000)
    rng = np.random.default_rng(8)
    net = network(rng)
    loud = Parameters(net).moved("w_2", np.full(net.connections[2].weight.shape, 50.0))
    with pytest.raises(BadInput, match="more than 5000 spikes") as caught:
        run(loud, spikes(rng, 1), [0])
    assert caught.value.code == "NB510"
