"""Exact gradients equal central finite differences wherever a small move keeps every spike."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nirbridge_eventprop.exact import Engine, by_parameter
from nirbridge_eventprop.exact.losses import LOSSES

sys.path.append(str(Path(__file__).parent))

from exact_networks import Parameters, gradient_of, loss, network, spikes, value_of

MEMBRANE = sorted(name for name in LOSSES if not name.startswith("ttfs"))
FIRST_SPIKE = sorted(name for name in LOSSES if name.startswith("ttfs"))


def slope_along(parameters, name, direction, fit, data, labels, options, counts):
    """dL/dh along a direction from a stencil of fourth order; None where a spike comes or goes, or where the
    stencil of half the width disagrees: the loss is not smooth there."""
    found = []
    for h in (2e-5, 1e-5):
        value = {}
        for k in (-2, -1, 1, 2):
            value[k], there = value_of(
                parameters.moved(name, k * h * direction), fit, data, labels, **options
            )
            if not np.array_equal(there, counts):
                return None
        found.append((8 * (value[1] - value[-1]) - (value[2] - value[-2])) / (12 * h))
    if abs(found[0] - found[1]) > 1e-6 * abs(found[1]) + 1e-9:
        return None
    return found[1]


def compare(net, rng, fit_name, **options):
    """Share of the parameters whose gradient along a random direction could be compared.

    None where the network is nearly silent, too loud, or has no silent neuron for a rescue term.
    """
    data, fit, labels = spikes(rng), loss(rng, fit_name), rng.integers(0, 3, 2)
    engine = Engine(net, fit, **options)
    result = engine.run(data, labels)
    engine.close()
    if not 2 <= result.counts.sum() <= 300 or (options and (result.counts > 0).all()):
        return None
    gradients = by_parameter(net, engine.sums, 2)
    parameters = Parameters(net)
    compared, arrays = 0, parameters.arrays()
    for name, value in arrays.items():
        direction = rng.normal(size=value.shape) * np.abs(value).mean()
        found = float((gradient_of(gradients, name) * direction).sum())
        expected = slope_along(parameters, name, direction, fit, data, labels, options, result.counts)
        if expected is not None:
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-7), name
            compared += 1
    return compared / len(arrays)


SEEDS = st.integers(0, 2**32 - 1)


@given(
    seed=SEEDS,
    fit=st.sampled_from(MEMBRANE),
    hidden=st.integers(1, 2),
    delays=st.booleans(),
    refractory=st.booleans(),
    adaptive=st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_losses_on_the_membrane(seed, fit, hidden, delays, refractory, adaptive):
    rng = np.random.default_rng(seed)
    net = network(rng, hidden=hidden, delays=delays, refractory=refractory, adaptive=adaptive)
    share = compare(net, rng, fit)
    assume(share is not None)
    assert share > 0


@given(
    seed=SEEDS,
    fit=st.sampled_from(FIRST_SPIKE),
    hidden=st.integers(1, 2),
    delays=st.booleans(),
    refractory=st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_losses_on_the_first_spike(seed, fit, hidden, delays, refractory):
    rng = np.random.default_rng(seed)
    net = network(rng, hidden=hidden, delays=delays, refractory=refractory, spiking_output=True)
    share = compare(net, rng, fit)
    assume(share is not None)
    assert share > 0


@given(seed=SEEDS, delays=st.booleans())
@settings(max_examples=10, deadline=None)
def test_the_rescue_of_silent_neurons(seed, delays):
    rng = np.random.default_rng(seed)
    net = quieter(network(rng, delays=delays))
    share = compare(net, rng, "xent-exp", sigma=0.1)
    assume(share is not None)
    assert share > 0


@given(seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_the_rescue_of_a_silent_output(seed):
    rng = np.random.default_rng(seed)
    net = network(rng, spiking_output=True)
    net = Parameters(net).moved("w_1", -0.6 * net.connections[1].weight)
    share = compare(net, rng, "ttfs-xent", wake=0.5)
    assume(share is not None)
    assert share > 0


def quieter(net):
    """With every second hidden neuron driven less, so that it stays silent."""
    factor = np.where(np.arange(net.connections[0].weight.shape[1]) % 2, 1.0, 0.3)
    return Parameters(net).moved("w_0", net.connections[0].weight * (factor - 1.0))


@pytest.mark.parametrize("fit", sorted(LOSSES))
def test_nearly_all_parameters_of_fixed_networks_are_compared(fit):
    """The tests above skip what is not smooth; here that is bounded."""
    shares = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        spiking = fit in FIRST_SPIKE
        net = network(
            rng, hidden=2, delays=True, refractory=True, adaptive=not spiking, spiking_output=spiking
        )
        shares.append(compare(net, rng, fit))
    assert np.mean(shares) > 0.8
