"""Training for integer weights: what is trained is what the pass makes of the graph."""

from __future__ import annotations

import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.errors import UsageError
from nirbridge.graph import digest, read_metadata
from nirbridge.graph.quantization import quantization_of
from nirbridge.network import build
from nirbridge.passes.quantize_weights import QuantizeWeights
from nirbridge.plugins import load
from nirbridge_eventprop import EventProp
from nirbridge_eventprop.quantised import Rounding
from nirbridge_eventprop.stack import stack_of, with_weights


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("scheme", ["max", "percentile", "mse", "power-of-two"])
def test_the_rounded_weights_are_those_of_the_pass(graph, bits, scheme):
    stack = stack_of(build(graph))
    rounded = Rounding(stack, graph, bits, scheme).weights(stack.weights)
    expected = QuantizeWeights(bits=bits, scheme=scheme)(graph)
    assert rounded.tobytes() == stack_of(build(expected)).weights.tobytes()
    assert digest(with_weights(stack, graph, rounded)) == digest(
        with_weights(stack, graph, stack_of(build(expected)).weights)
    )


@pytest.mark.parametrize("bits", [8, 3])
@pytest.mark.parametrize("mode", ["step", "substep"])
def test_the_graph_carries_the_integers_that_were_trained(graph, data, bits, mode):
    """Its spikes on the reference are the trainer's, its accuracy the one that was validated."""
    trainer = EventProp(epochs=2, batch=5, bits=bits, mode=mode, lr=1e-2, ease_in=1.0)
    trained = trainer.fit(graph, data, rng=np.random.default_rng(0), validation=data)
    for name in ("w1", "r1", "w_out"):
        assert quantization_of(trained.nodes[name], name).bits == bits
    assert digest(QuantizeWeights(bits=bits)(trained)) == digest(trained)
    conformance.check_forward_equals_reference(trainer, load("targets", "reference")(), trained, data)
    scores, _ = trainer.forward(trained, data.spikes)
    expected = read_metadata(trained).training["valid_accuracy"]
    assert (scores.argmax(axis=1) == data.labels).mean() == expected


def test_the_gradient_is_that_of_the_rounded_weights_and_moves_the_exact_ones(
    weights_by_epoch, graph, data, tmp_path
):
    """One batch of SGD from w gives w + the step that the same batch makes from the rounded weights."""
    options = {"optimiser": "sgd", "momentum": 0.0, "lr": 0.01, "ease_in": 1.0, "batch": 12, "lift": 0.0}
    trainer = EventProp(epochs=1, bits=3, **options)
    exact = weights_by_epoch(trainer, graph, data, tmp_path / "a.npz")
    rounded = QuantizeWeights(bits=3)(graph)
    plain = weights_by_epoch(EventProp(epochs=1, **options), rounded, data, tmp_path / "b.npz")
    start, moved = exact[0]["weights"], plain[0]["weights"]
    assert not np.array_equal(start, moved)
    np.testing.assert_allclose(exact[1]["weights"] - start, plain[1]["weights"] - moved, rtol=1e-3, atol=2e-7)
    assert np.abs(exact[1]["weights"] - start).max() > 1e-4


def test_fine_tuning_wins_back_what_two_bits_lose():
    graph = conformance.example_graph(np.random.default_rng(5))
    many = conformance.example_data(np.random.default_rng(7), samples=90)
    options = {"batch": 10, "lr": 1e-2, "ease_in": 1.0, "logit_scale": 30.0, "loss": "xent-exp"}
    trained = EventProp(epochs=5, **options).fit(graph, many, rng=np.random.default_rng(0))
    rounded = QuantizeWeights(bits=2)(trained)
    tuned = EventProp(epochs=5, bits=2, **options).fit(trained, many, rng=np.random.default_rng(1))
    accuracy = []
    for found in (rounded, tuned):
        scores, _ = EventProp().forward(found, many.spikes)
        accuracy.append((scores.argmax(axis=1) == many.labels).mean())
    assert accuracy[1] > accuracy[0]
    assert accuracy[1] > 0.8


@pytest.mark.parametrize("bits", [1, 9, -8])
def test_bits_out_of_range(bits):
    with pytest.raises(UsageError, match="bits"):
        EventProp(bits=bits)
