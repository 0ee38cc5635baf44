"""Gradients of the general engine in mode `substep` against central differences, for every parameter.

Random small networks; a difference counts only where no spike appears or vanishes and none changes its
step, since the loss is smooth there and the adjoint its exact derivative. Samples with a spike whose time is
interpolated (EVENTPROP.md §3: an arrival of the same round came after the crossing) are left out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nirbridge.errors import BadInput, Unsupported
from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact.flow import factors
from nirbridge_eventprop.exact.losses import LOSSES
from nirbridge_eventprop.exact.network import Layer
from nirbridge_eventprop.grid import Engine, GridConnection, by_parameter, grid_network

DT, STEPS, INPUTS, HIDDEN, OUTPUTS = 1e-3, 40, 4, 5, 3
NEURON = ("tau_mem", "tau_syn", "v_th", "v_reset", "v_leak", "alif_b", "alif_tau")
KINDS = (*NEURON, "w", "bias", "delay")
TARGET = np.random.default_rng(3).normal(0, 0.3, (4, OUTPUTS))
MEMBRANE = {
    "xent-sum": {},
    "xent-mean": {"logit_scale": 3.0},
    "xent-exp": {"logit_scale": 3.0},
    "xent-linear": {},
    "xent-sigmoid": {},
    "xent-max": {},
    "xent-timestep": {},
    "mse-trace": {"target": TARGET},
}
SPIKING = {
    "ttfs-xent": {"tau0": 5e-3, "tau1": 1e-2, "alpha": 0.1},
    "ttfs-mse": {"target": np.full((OUTPUTS, OUTPUTS), 8e-3), "t_scale": 1e-2},
    "ttfs-rel-mse": {"delta": 5e-3, "t_scale": 1e-2, "rectify": False},
}


def layer(rng, n, *, spiking, equal=False, adapts=False, theta=1.0):
    tau_m = rng.uniform(0.01, 0.03, n)
    return Layer(
        spiking=spiking,
        tau_mem=tau_m,
        tau_syn=tau_m.copy() if equal else rng.uniform(0.003, 0.012, n),
        v_th=rng.uniform(0.8, 1.2, n) * theta,
        v_reset=rng.uniform(-0.3, 0.2, n),
        v_leak=rng.uniform(-0.1, 0.1, n),
        t_ref=np.zeros(n),
        alif_b=rng.uniform(0.03, 0.12, n) if adapts else np.zeros(n),
        alif_tau=rng.uniform(0.02, 0.05, n),
    )


def random_network(seed, *, spiking, equal, adapts, delays):
    """Two hidden layers with recurrence and feedback, and a read-out fed by both."""
    rng = np.random.default_rng(seed)
    layers = [
        layer(rng, HIDDEN, spiking=True, equal=equal, adapts=adapts),
        layer(rng, HIDDEN, spiking=True, adapts=adapts),
        layer(rng, OUTPUTS, spiking=spiking, theta=0.4),
    ]
    sizes = [INPUTS, HIDDEN, HIDDEN, OUTPUTS]
    means = {(0, 1): (1.2, 0.4), (1, 2): (0.8, 0.3), (2, 3): (0.5, 0.3), (1, 3): (0.4, 0.2)}
    pairs = [*means, (1, 1), (2, 1), (2, 2)]
    connections = []
    for pre, post in pairs:
        mean, spread = means.get((pre, post), (0.0, 0.2))
        shape = (sizes[pre], sizes[post])
        steps = rng.integers(0, 5, shape) if delays and pre != 1 else 0
        weight = rng.normal(mean, spread, shape)
        connections.append(GridConnection(pre=pre, post=post, weight=weight, delay=steps, moves=delays))
    bias = rng.normal(0, 0.01, 2 * HIDDEN + OUTPUTS)
    return grid_network(INPUTS, layers, connections, DT, bias=bias)


def random_input(seed):
    """Two samples; times lie between the steps."""
    rng = np.random.default_rng(seed + 1)
    n = 20
    sample = np.sort(rng.integers(0, 2, n))
    return Spikes.from_events(
        rng.uniform(1e-3, 0.025, n),
        rng.integers(0, INPUTS, n),
        sample,
        n_samples=2,
        n_units=INPUTS,
        duration=STEPS * DT,
    )


def moved(network, kind, at, by):
    """The network with one number of one parameter changed; at: (layer or connection, index)."""
    where, index = at
    if kind == "w":
        weights = network.wires.weights.copy()
        weights[network.places[where].start + index] += by
        return network.changed(weights=weights)
    if kind == "bias":
        bias = network.cells.bias.copy()
        bias[network.slices[where].start + index] += by
        return network.changed(bias=bias)
    layers = list(network.layers)
    values = getattr(layers[where], kind).copy()
    values[index] += by
    layers[where] = replace(layers[where], **{kind: values})
    return network.changed(layers=layers)


def fingerprint(batch):
    return [(step.tolist(), neuron.tolist()) for step, neuron, _ in batch.spikes]


def engine_for(network, name, sigma=0.0):
    options = {**MEMBRANE, **SPIKING}[name]
    loss = LOSSES[name](**options)
    return Engine(network, loss, mode="substep", sigma=sigma, inside=True, slope_floor=1e-9)


def all_cross(engine, spikes):
    """Whether V = θ + B at every spike, flowing the end state of its step backwards."""
    cells = engine.network.cells
    for b in range(spikes.n_samples):
        tape, used = engine._tape(engine._events(spikes, b, STEPS, "substep"), STEPS, "substep", False)
        for s in range(used):
            j, x = tape.unit[s], tape.x[s]
            em, es, kappa = factors(-x, cells.tau_m[j], cells.tau_s[j])
            then = cells.leak[j] + (tape.end[s] - cells.leak[j]) * em + kappa * tape.current[s] / es
            if abs(then - cells.theta[j] - tape.adapted[s]) > 1e-9:
                return False
    return True


def differences(network, name, kind, places, spikes, labels, sigma=0.0):
    """[(gradient, difference)] where both ends keep the spikes."""
    engine = engine_for(network, name, sigma)
    first = engine.run(spikes, labels, keep=True)
    gradients = by_parameter(network, engine.total(), spikes.n_samples)
    found = []
    step = 1e-7 * (DT if kind.startswith("tau") or kind == "alif_tau" else 1.0)
    step *= 100 if kind.startswith("tau") or kind == "alif_tau" else 1
    for where, index in places:
        ends = []
        for side in (step, -step):
            engine.network = moved(network, kind, (where, index), side)
            ends.append(engine.run(spikes, labels, learn=False, keep=True))
        if all(fingerprint(end) == fingerprint(first) for end in ends):
            expected = (ends[0].loss.mean() - ends[1].loss.mean()) / (2 * step)
            value = gradients.weight[where].reshape(-1) if kind == "w" else gradients.layer[where][kind]
            found.append((value[index], expected))
    engine.close()
    return first, found


@st.composite
def cases(draw):
    return {
        "seed": draw(st.integers(0, 10_000)),
        "equal": draw(st.booleans()),
        "adapts": draw(st.booleans()),
        "delays": draw(st.booleans()),
    }


def places_of(network, kind, rng, many=6):
    if kind == "w":
        return [(c, int(rng.integers(0, x.weight.size))) for c, x in enumerate(network.connections)]
    last = 3 if kind in ("tau_mem", "tau_syn", "v_leak", "bias") or network.spiking_output else 2
    return [
        (where, int(rng.integers(0, len(network.layers[where].tau_mem))))
        for where in rng.integers(0, last, many).tolist()
    ]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "delay"])
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(case=cases(), name=st.sampled_from([*MEMBRANE, *SPIKING]))
def test_gradient_equals_the_difference(kind, case, name):
    network = random_network(spiking=name in SPIKING, **case)
    assume(case["adapts"] or not kind.startswith("alif"))
    rng = np.random.default_rng(case["seed"])
    assume(all_cross(engine_for(network, name), random_input(case["seed"])))
    labels = rng.integers(0, OUTPUTS, 2)
    places = places_of(network, kind, rng)
    first, found = differences(network, name, kind, places, random_input(case["seed"]), labels)
    assert first.clamped == 0
    size = max((abs(expected) for _, expected in found), default=0.0)
    for value, expected in found:
        assert value == pytest.approx(expected, rel=2e-4, abs=2e-4 * size + 1e-7)


def test_the_networks_spike_and_most_differences_count():
    spikes, counted, wanted = [], 0, 0
    for seed in range(12):
        network = random_network(seed, spiking=False, equal=False, adapts=True, delays=True)
        if not all_cross(engine_for(network, "xent-exp"), random_input(seed)):
            continue
        places = places_of(network, "w", np.random.default_rng(seed))
        first, found = differences(network, "xent-exp", "w", places, random_input(seed), np.array([0, 1]))
        spikes.append(first.counts.sum())
        counted, wanted = counted + len(found), wanted + len(places)
        assert any(value != 0 for value, _ in found)
    assert len(spikes) >= 6 and np.mean(spikes) > 15
    assert counted > 0.8 * wanted


def test_delays_of_continuous_time_are_what_the_steps_sample():
    """The gradient by a delay, from a shift of one input spike that only its own synapses feel.

    A unit with a single spike: later by h in its time or by h in all its delays is the same network.
    """
    network = random_network(7, spiking=False, equal=False, adapts=False, delays=True)
    rng = np.random.default_rng(8)
    n = 12
    units = np.arange(n) % INPUTS
    times = np.sort(rng.uniform(2e-3, 0.02, n))
    alone = 0
    keep = (units != alone) | (np.arange(n) == alone)

    def run(shift):
        moved_times = np.where((units == alone) & keep, times + shift, times)[keep]
        spikes = Spikes.from_events(
            moved_times,
            units[keep],
            np.zeros(keep.sum(), int),
            n_samples=1,
            n_units=INPUTS,
            duration=STEPS * DT,
        )
        engine = engine_for(network, "xent-exp")
        batch = engine.run(spikes, np.array([1]), keep=True)
        return engine, batch

    engine, first = run(0.0)
    delay = by_parameter(network, engine.total(), 1).delay[0]
    h = 1e-8
    ends = [run(side)[1] for side in (h, -h)]
    assert all(fingerprint(end) == fingerprint(first) for end in ends)
    expected = (ends[0].loss[0] - ends[1].loss[0]) / (2 * h)
    assert delay[alone].sum() == pytest.approx(expected, rel=1e-5)
    assert abs(expected) > 1e-6


@pytest.mark.parametrize("kind", ["w", "v_th", "tau_mem", "tau_syn", "v_leak"])
def test_the_rescue_term_pulls_silent_neurons(kind):
    """Weights too small for any spike: all of the gradient is that of the largest V."""
    network = random_network(5, spiking=False, equal=False, adapts=False, delays=False)
    quiet = network.changed(weights=0.15 * np.abs(network.wires.weights))
    places = [(0, index) for index in range(5)]
    labels = np.array([0, 1])
    first, found = differences(quiet, "xent-mean", kind, places, random_input(5), labels, sigma=0.7)
    assert first.counts.sum() == 0 and len(found) == 5
    assert max(abs(value) for value, _ in found) > 1e-3
    for value, expected in found:
        assert value == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_the_rescue_term_in_mode_step():
    network = random_network(5, spiking=False, equal=False, adapts=False, delays=False)
    loops = [replace(c, latency=1 if c.pre >= c.post else 0) for c in network.connections]
    network = grid_network(INPUTS, network.layers, loops, DT)
    network = network.changed(weights=0.15 * np.abs(network.wires.weights))
    engine = Engine(network, LOSSES["xent-mean"](), mode="step", sigma=0.7)
    spikes, labels = random_input(5), np.array([0, 1])
    engine.run(spikes, labels)
    gradients = by_parameter(network, engine.total(), 2)
    for kind in ("tau_mem", "tau_syn", "v_leak", "v_th", "w"):
        step = 1e-8 if kind.startswith("tau") else 1e-6
        ends = []
        for side in (step, -step):
            engine.network = moved(network, kind, (0, 2), side)
            ends.append(engine.run(spikes, labels, learn=False).loss.mean())
        value = gradients.weight[0].reshape(-1)[2] if kind == "w" else gradients.layer[0][kind][2]
        assert value == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5), kind


@pytest.mark.parametrize("mode", ["step", "substep"])
def test_a_silent_output_is_woken_where_it_is_the_label_s(mode):
    """Hidden neurons spike, outputs do not: what moves the loss of the label's output is its largest V."""
    network = random_network(5, spiking=True, equal=False, adapts=False, delays=False)
    loops = [replace(c, latency=int(mode == "step" and c.pre >= c.post)) for c in network.connections]
    network = grid_network(INPUTS, network.layers, loops, DT)
    into = [c for c, connection in enumerate(network.connections) if connection.post == 3]
    weights = network.wires.weights.copy()
    for c in into:
        weights[network.places[c]] *= 0.05
    network = network.changed(weights=weights)
    engine = Engine(network, LOSSES["ttfs-xent"](), mode=mode, wake=0.5, slope_floor=1e-9)
    spikes, labels = random_input(5), np.array([0, 1])
    first = engine.run(spikes, labels, keep=True)
    assert first.counts[:, : network.n_hidden].sum() > 5
    assert not first.counts[:, network.n_hidden :].any()
    weight = by_parameter(network, engine.total(), 2).weight
    for c in into:
        assert not weight[c][:, 2].any() and weight[c][:, :2].any(), "no label 2, so nothing pulls there"
        assert weight[c].max() <= 0, "more weight would make it fire"
    places = [(c, at) for c in into for at in range(0, 15, 2)]
    places += [(0, at) for at in range(9)] if mode == "substep" else []
    compared = 0
    for c, at in places:
        ends = []
        for side in (1e-7, -1e-7):
            engine.network = moved(network, "w", (c, at), side)
            ends.append(engine.run(spikes, labels, learn=False, keep=True))
        if all(fingerprint(end) == fingerprint(first) for end in ends):
            slope = (ends[0].loss.mean() - ends[1].loss.mean()) / 2e-7
            assert weight[c].reshape(-1)[at] == pytest.approx(slope, rel=2e-4, abs=1e-6)
            compared += abs(slope) > 1e-4
    assert compared > 5


def test_shards_change_only_the_order_of_sums():
    network = random_network(2, spiking=False, equal=False, adapts=True, delays=True)
    spikes = random_input(2)
    spikes = spikes.select([0, 1, 0, 1, 1])
    labels = np.array([0, 1, 2, 0, 1])
    whole = engine_for(network, "xent-exp")
    one = whole.run(spikes, labels)
    parts = Engine(
        network,
        LOSSES["xent-exp"](logit_scale=3.0),
        mode="substep",
        inside=True,
        slope_floor=1e-9,
        shards=3,
        threads=2,
    )
    many = parts.run(spikes, labels)
    np.testing.assert_array_equal(one.loss, many.loss)
    for a, b in zip(vars(whole.total()).values(), vars(parts.total()).values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)


def test_what_a_mode_or_loss_cannot_do_is_refused():
    network = random_network(0, spiking=False, equal=False, adapts=False, delays=False)
    with pytest.raises(BadInput, match="does not fit"):
        Engine(network, LOSSES["ttfs-xent"](), mode="substep")
    with pytest.raises(Unsupported, match="loop without latency"):
        Engine(network, LOSSES["xent-sum"](), mode="step")
    held = [replace(layer, t_ref=np.full(len(layer.tau_mem), 2e-3)) for layer in network.layers]
    refractory = grid_network(INPUTS, held, network.connections, DT)
    with pytest.raises(Unsupported, match="refractory"):
        Engine(refractory, LOSSES["xent-sum"](), mode="substep")
