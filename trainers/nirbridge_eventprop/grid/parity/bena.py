"""The discretisation of the public pytorch-eventprop, as it runs on SpiNNaker2 (SPINNAKER2.md §6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirbridge.spikes import Spikes
from nirbridge_eventprop.grid.network import GridNetwork
from nirbridge_eventprop.grid.parity import Parity, moments
from nirbridge_eventprop.grid.sums import Gradients

Floats = NDArray[np.float64]


def run(
    network: GridNetwork,
    spikes: Spikes,
    labels: NDArray[np.int64],
    *,
    xi: float,
    alpha: float,
    beta: float,
) -> Parity:
    """Loss, spikes and gradients of a batch of a feed-forward stack of LIF layers that reset to 0.

    xi, beta in steps; −ln softmax(−t/ξ)[y] + α(e^(t_y/β) − 1) with t the first spike's step, K if silent.
    Of the network only weights, time constants and thresholds count.
    """
    cells = network.cells
    n, steps = spikes.n_samples, spikes.n_steps(network.dt)
    neurons, out = len(cells.theta), network.slices[-1]
    sent = np.zeros((n, steps, network.n_inputs))
    sample = np.repeat(np.arange(n), spikes.counts())
    np.add.at(sent, (sample, spikes.steps(network.dt), spikes.units), 1.0)
    fired = np.zeros((n, steps, neurons))
    slack = np.zeros((n, steps, neurons))
    v, i = np.zeros((n, neurons)), np.zeros((n, neurons))
    for k in range(1, steps):
        arrived = np.zeros((n, neurons))
        for c in network.connections:
            source = sent[:, k - 1] if c.pre == 0 else fired[:, k - 1, network.slices[c.pre - 1]]
            arrived[:, network.slices[c.post - 1]] += source @ c.weight
        i = cells.beta * i + arrived
        v = cells.alpha * v + (1 - cells.alpha) * i
        fired[:, k] = v > cells.theta
        slack[:, k] = i - v + 1e-10
        v = np.where(fired[:, k] > 0, 0.0, v)
    first = np.where(fired[:, :, out].any(axis=1), fired[:, :, out].argmax(axis=1), steps)
    p = np.exp(-(first - first.min(axis=1, keepdims=True)) / xi)
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(n)
    late = np.exp(first[rows, labels] / beta)
    loss = -np.log(p[rows, labels]) + alpha * (late - 1)
    right = np.zeros_like(p)
    right[rows, labels] = 1.0
    slope = (-(p - right) / xi + right * (alpha / beta * late)[:, None]) / n
    pull = np.zeros((n, steps, neurons))
    for b, o in zip(*np.nonzero(first <= steps - 2), strict=True):
        pull[b, first[b, o], out.start + o] = slope[b, o]
    weight = _backward(network, sent, fired, slack, pull)
    found = [moments(one) for one in fired]
    gradients = Gradients(
        tuple(weight), tuple(np.zeros(w.shape) for w in weight), tuple({} for _ in network.layers)
    )
    return Parity(float(loss.mean()), first.astype(np.float64), found, gradients)


def _backward(network: GridNetwork, sent: Floats, fired: Floats, slack: Floats, pull: Floats) -> list[Floats]:
    """∂L/∂w of each connection; arrays (samples, steps, units)."""
    cells = network.cells
    n, steps, neurons = fired.shape
    weight = [np.zeros(c.weight.shape) for c in network.connections]
    lam_v, lam_i = np.zeros((n, neurons)), np.zeros((n, neurons))
    above = np.zeros((n, neurons))  # what spikes of the step before now were told
    for k in range(steps - 2, -1, -1):
        told = np.zeros((n, neurons))
        for c in network.connections:
            if c.pre:
                post = network.slices[c.post - 1]
                told[:, network.slices[c.pre - 1]] += (lam_v - lam_i)[:, post] @ c.weight.T
        drive = pull[:, k + 1] + above
        lam_v, lam_i = (
            cells.alpha * lam_v + np.where(fired[:, k + 1] > 0, (lam_v + drive) / slack[:, k + 1], 0.0),
            cells.beta * lam_i + (1 - cells.beta) * lam_v,
        )
        above = told
        for at, c in enumerate(network.connections):
            source = sent[:, k] if c.pre == 0 else fired[:, k, network.slices[c.pre - 1]]
            post = network.slices[c.post - 1]
            weight[at] -= source.T @ (cells.tau_s[post] * lam_i[:, post])
    return weight
