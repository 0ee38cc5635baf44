"""The adjoint: against its definition in dense arrays, and against finite differences as dt goes to 0."""

from __future__ import annotations

import numpy as np
import pytest

from nirbridge.graph.spiking_stack import spiking_stack
from nirbridge.network import build
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2.training.executor import Executor, events_of
from nirbridge_spinnaker2.training.formats import Format
from nirbridge_spinnaker2.training.structure import matrices, stack_of


def stack(rng, *, hidden, recurrent, dt=1e-3, **weights):
    graph = spiking_stack(inputs=4, hidden=hidden, outputs=3, dt=dt, rng=rng, recurrent=recurrent, **weights)
    semantics = Semantics(dt=dt, decay="exact", feedforward_delay=1, arithmetic="float64")
    return stack_of(build(with_semantics(graph, semantics)))


def dense(own, spikes, labels, options):
    """Gradients by node of a stack, every state of every step in arrays (T, n), one sample.

    A recurrent layer is by definition a feed-forward one whose sources are the layer before and itself, and
    whose own part of E is part of its G.
    """
    weight = matrices(own, own.weights)
    names = list(weight)
    steps = len(spikes)
    layers, below = [], spikes
    for n, _, _, _, r_at in own.layers:
        w = weight[names.pop(0)]
        r = weight[names.pop(0)] if r_at >= 0 else np.zeros((n, n))
        alpha, _, beta, _, threshold, tau = own.coef[len(layers)]
        s = {"in": below, "w": w, "r": r, "own": r_at >= 0, "k": (alpha, beta, tau)}
        s["I"], s["V"], s["Z"] = np.zeros((3, steps, n))
        v = np.zeros(n)
        for i in range(1, steps):
            s["I"][i] = alpha * s["I"][i - 1] + w @ below[i - 1] + r @ s["Z"][i - 1]
            s["V"][i] = beta * v + (1 - beta) * s["I"][i]
            s["Z"][i] = s["V"][i] > threshold
            v = np.where(s["Z"][i] == 1, 0, s["V"][i])
        layers.append(s)
        below = s["Z"]
    xi, alpha_r, beta_r = options
    t = np.where(below.any(0), below.argmax(0), steps)
    p = np.exp(-t / xi) / np.exp(-t / xi).sum()
    right = np.eye(len(t))[labels[0]]
    g = -(p - right) / xi + right * alpha_r / beta_r * np.exp(t @ right / beta_r)
    into = np.zeros_like(below)
    for k, first in enumerate(t):
        if first <= steps - 2:
            into[first, k] = g[k]
    gradients = []
    for s in layers[::-1]:
        alpha, beta, tau = s["k"]
        lv, li = np.zeros((2, steps, len(s["w"])))
        joint = np.concatenate([s["w"], s["r"]], axis=1)
        sources = np.concatenate([s["in"], s["Z"]], axis=1)
        gw, error = np.zeros_like(joint), np.zeros_like(sources)
        into = into.copy()
        m = s["w"].shape[1]
        for i in range(steps - 2, -1, -1):
            error[i] = joint.T @ (lv[i + 1] - li[i + 1])
            into[i] += error[i, m:]
            li[i] = alpha * li[i + 1] + (1 - alpha) * lv[i + 1]
            jump = (lv[i + 1] + into[i + 1]) / (s["I"][i + 1] - s["V"][i + 1] + 1e-10)
            lv[i] = beta * lv[i + 1] + s["Z"][i + 1] * jump
            gw -= tau * np.outer(li[i], sources[i])
        gradients = [gw[:, :m], *([gw[:, m:]] if s["own"] else []), *gradients]
        into = error[:, :m]
    return gradients, [s["Z"] for s in layers]


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("hidden", [(), (9,), (9, 7), (6, 7, 5)], ids=str)
def test_equals_its_definition(hidden, recurrent):
    """Any depth, with and without loops; several samples, input spikes that share a step and a channel."""
    rng = np.random.default_rng(11)
    own = stack(
        rng, hidden=hidden, recurrent=recurrent, input_mean=4.0, hidden_mean=3.0, output_mean=4.0,
        recurrent_sd=2.0,
    )  # fmt: skip
    grid = (rng.random((4, 40, 4)) < 0.2).astype(int) + (rng.random((4, 40, 4)) < 0.03)
    labels = np.array([0, 2, 1, 0])
    options = (1.5, 0.01, 30.0)
    executor = Executor(own, Format("float64"), xi=1.5, alpha_r=0.01, beta_r=30.0, threads=1)
    events = events_of(Spikes.from_dense(grid, 1e-3), own)
    result = executor.run(events, np.arange(4), labels, own.weights, learn=True, spikes=True)
    found = list(matrices(own, executor.gradients).values())
    executor.close()
    for b in range(4):
        expected, spikes = dense(own, grid[b].astype(float), labels[b : b + 1], options)
        assert all(z.any() for z in spikes), "a layer is silent: this says nothing"
        np.testing.assert_array_equal(result.spikes[b], np.concatenate(spikes, axis=1))
        for got, want in zip(found, expected, strict=True):
            np.testing.assert_allclose(got[b] * 4, want, rtol=1e-9, atol=1e-12 * np.abs(want).max() + 1e-30)
    assert all(np.abs(got).max() > 0 for got in found)


@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize("recurrent", [False, True])
def test_is_the_derivative_of_the_loss_as_the_step_goes_to_zero(recurrent, seed):
    """∇/dt against central differences, where no spike appears or vanishes (Wunderlich & Pehle 2021).

    At dt = 1 µs; what is left is the difference quotient's own step, a whole number of dt.
    """
    dt, change = 1e-6, 2e-2
    rng = np.random.default_rng(seed)
    own = stack(
        rng, hidden=(6,), recurrent=recurrent, dt=dt, input_mean=4.0, input_sd=2.0, output_sd=2.0,
        output_mean=5.0, recurrent_sd=2.0,
    )  # fmt: skip
    times = np.sort(rng.uniform(0, 0.012, 6))
    spikes = Spikes(times, rng.integers(0, 4, 6), np.array([0, 6]), 4, 0.03)
    executor = Executor(own, Format("float64"), xi=4e-3 / dt, alpha_r=0.0, beta_r=0.1 / dt, threads=1)
    events, label, one = events_of(spikes, own), np.array([1]), np.arange(1)
    start = executor.run(events, one, label, own.weights, learn=True)
    gradient = executor.gradients[0] / dt
    pairs = []
    for at in range(len(gradient)):
        sides = []
        for sign in (1, -1):
            weights = own.weights.copy()
            weights[at] += sign * change
            sides.append(executor.run(events, one, label, weights))
        if all(np.array_equal(side.counts, start.counts) for side in sides):
            quotient = (sides[0].loss[0, 0] - sides[1].loss[0, 0]) / (2 * change)
            pairs.append((gradient[at], quotient))
    executor.close()
    found, expected = np.array(pairs).T
    assert len(pairs) > 0.8 * len(gradient)
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine > 0.98
    assert 0.9 < np.linalg.norm(found) / np.linalg.norm(expected) < 1.1


def test_partial_sums_do_not_depend_on_threads():
    rng = np.random.default_rng(4)
    own = stack(rng, hidden=(9,), recurrent=True, input_mean=4.0, recurrent_sd=2.0)
    grid = (rng.random((7, 40, 4)) < 0.2).astype(int)
    found = []
    for threads in (1, 3):
        executor = Executor(own, Format("float32"), xi=1.5, alpha_r=0.01, beta_r=30.0, threads=threads)
        executor.worth_threads = 0
        events = events_of(Spikes.from_dense(grid, 1e-3), own)
        executor.run(events, np.arange(7), np.zeros(7, np.int64), own.weights, learn=True)
        found.append(executor.gradients.copy())
        executor.close()
    np.testing.assert_array_equal(*found)
