"""Laws of the gradient: finite differences, linearity in the samples, threads, tapes that grow."""

from __future__ import annotations

import numpy as np
import pytest

from nirbridge_eventprop.executor import Executor

LABELS = [0, 1, 2]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("loss", ["xent-mean", "xent-exp", "xent-sum"])
@pytest.mark.parametrize("read_out", ["cubali", "li"])
def test_the_read_out_s_gradient_is_that_of_finite_differences(
    make_stack, make_spikes, run_batch, read_out, loss, seed
):
    """The loss is smooth in the read-out's weights, since no spike depends on them."""
    rng = np.random.default_rng(seed)
    stack, spikes = make_stack(rng, read_out=read_out), make_spikes(rng)
    result, gradient = run_batch(stack, spikes, LABELS, loss=loss)
    assert result.counts.sum() > 20, "too few spikes to test anything"
    place = stack.nodes[-1]
    assert place.name == "w_out"
    h = 1e-5
    for row in range(place.rows):
        for column in range(place.columns):
            at = place.offset + row * place.width + column
            values = []
            for step in (-h, h):
                moved = stack.weights.copy()
                moved[at] += step
                values.append(run_batch(stack, spikes, LABELS, loss=loss, weights=moved)[0].loss.mean())
            expected = (values[1] - values[0]) / (2 * h)
            assert gradient[at] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("slope", ["start", "crossing"])
@pytest.mark.parametrize("hidden", [(10,), (7, 9)])
def test_the_gradient_of_a_batch_is_the_mean_of_its_samples(
    make_stack, make_spikes, run_batch, hidden, slope
):
    rng = np.random.default_rng(1)
    stack, spikes = make_stack(rng, hidden=hidden), make_spikes(rng, 5)
    labels = rng.integers(0, 3, 5)
    whole, gradient = run_batch(stack, spikes, labels, slope=slope)
    parts = [run_batch(stack, spikes.select([b]), labels[b : b + 1], slope=slope) for b in range(5)]
    np.testing.assert_array_equal(whole.loss, [part.loss[0] for part, _ in parts])
    mean = np.mean([part for _, part in parts], axis=0)
    np.testing.assert_allclose(gradient, mean, rtol=1e-11, atol=1e-15)
    assert np.abs(mean).max() > 0


def test_padding_has_no_gradient(make_stack, make_spikes, run_batch):
    rng = np.random.default_rng(2)
    stack, spikes = make_stack(rng), make_spikes(rng)
    _, gradient = run_batch(stack, spikes, LABELS)
    for place in stack.nodes:
        block = gradient[place.offset : place.offset + place.rows * place.width]
        assert not block.reshape(place.rows, place.width)[:, place.columns :].any()


@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
def test_shards_change_no_spike_and_the_gradient_only_by_rounding(
    make_stack, make_spikes, run_batch, arithmetic
):
    rng = np.random.default_rng(3)
    stack, spikes = make_stack(rng, arithmetic=arithmetic), make_spikes(rng, 7)
    labels = rng.integers(0, 3, 7)
    one, gradient = run_batch(stack, spikes, labels)
    for shards in (2, 4, 9):
        many, other = run_batch(stack, spikes, labels, shards=shards)
        np.testing.assert_array_equal(many.counts, one.counts)
        np.testing.assert_array_equal(many.logits, one.logits)
        small = 1e-12 if arithmetic == "float64" else 1e-5
        assert np.linalg.norm(other - gradient) <= small * np.linalg.norm(gradient)


def test_threads_change_no_bit(make_stack, make_spikes, run_batch):
    rng = np.random.default_rng(4)
    stack, spikes = make_stack(rng, arithmetic="float32"), make_spikes(rng, 9)
    labels = rng.integers(0, 3, 9)
    one, gradient = run_batch(stack, spikes, labels, shards=4)
    for threads in (2, 3, 8):
        many, other = run_batch(stack, spikes, labels, shards=4, threads=threads)
        np.testing.assert_array_equal(other, gradient)
        np.testing.assert_array_equal(many.counts, one.counts)
        np.testing.assert_array_equal(many.loss, one.loss)


@pytest.mark.parametrize("slope", ["crossing", "substep"])
@pytest.mark.parametrize("hidden", [(1200,), (1100, 70)])
def test_a_tape_that_grows_gives_the_same_gradient(make_stack, make_spikes, run_batch, hidden, slope):
    """More than 1000 neurons that spike in almost every step overflow the first tape in each sample."""
    rng = np.random.default_rng(5)
    stack = make_stack(rng, hidden=hidden, recurrent=False, arithmetic="float32")
    loud = stack.weights.copy()
    first = stack.nodes[0]
    loud[first.offset : first.offset + first.rows * first.width] *= 40
    spikes = make_spikes(rng, 3)
    grown, gradient = run_batch(stack, spikes, LABELS, weights=loud, slope=slope)
    assert (grown.counts.sum(axis=1) > 16384 + 1300).all()
    wide, expected = run_batch(stack, spikes, LABELS, weights=loud, slope=slope, capacity=1 << 18)
    np.testing.assert_array_equal(grown.counts, wide.counts)
    np.testing.assert_array_equal(gradient, expected)
    tiny, again = run_batch(stack, spikes, LABELS, weights=loud, slope=slope, capacity=1)
    np.testing.assert_array_equal(tiny.counts, wide.counts)
    np.testing.assert_array_equal(again, expected)


def test_the_grown_tape_is_kept(make_stack, make_spikes):
    rng = np.random.default_rng(6)
    stack, spikes = make_stack(rng, arithmetic="float32"), make_spikes(rng)
    executor = Executor(stack, threads=1, shards=1, slope="start", slope_floor=0.01)
    executor._capacity = 1
    omega = np.ones(40)
    executor.run(spikes, None, stack.weights, omega=omega, omega_read=omega)
    grown = executor._capacity
    executor.run(spikes, None, stack.weights, omega=omega, omega_read=omega)
    assert grown > 1 and executor._capacity == grown
    executor.close()
