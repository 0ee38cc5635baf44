"""mlGeNN 2.3.1's step and EventProp, with exponentially weighted cross-entropy (EVENTPROP.md §3, §4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact.losses.kinds import cross_entropy
from nirbridge_eventprop.grid.network import GridNetwork
from nirbridge_eventprop.grid.parity import Parity, moments
from nirbridge_eventprop.grid.sums import Gradients

Floats = NDArray[np.float64]


def run(network: GridNetwork, spikes: Spikes, labels: NDArray[np.int64], **rate: float) -> Parity:
    """Loss, spikes and gradients of a batch: hidden LIF layers that reset to 0 and a LI read-out.

    rate: ``lambda`` and ``nu`` of that program's regularisation, none where missing. Of the network only
    weights, per-synapse delays, time constants and thresholds count; every connection takes a step besides
    its delay.
    """
    n = spikes.n_samples
    steps = spikes.n_steps(network.dt)
    samples = [_forward(network, spikes, b, steps) for b in range(n)]
    counts = np.mean([fired.sum(axis=0) for fired, _, _, _ in samples], axis=0)
    pull = np.zeros(len(network.cells.theta))
    if rate:
        pull = 1e3 * network.cells.tau_m * 1e3 * rate["lambda"] * (counts - rate["nu"])
        pull[network.n_hidden :] = 0.0
    weight = [np.zeros(c.weight.shape) for c in network.connections]
    delay = [np.zeros(c.weight.shape) for c in network.connections]
    losses, readouts, found = [], [], []
    for b, (fired, slack, given, z) in enumerate(samples):
        value, error = cross_entropy(z, int(labels[b]))
        losses.append(value)
        readouts.append(z)
        found.append(moments(fired))
        _backward(network, fired, slack, given, -error, pull, weight, delay)
    gradients = Gradients(
        tuple(w / n for w in weight), tuple(d / n for d in delay), tuple({} for _ in network.layers)
    )
    return Parity(float(np.mean(losses)), np.array(readouts), found, gradients)


def _steps_of(c: Any) -> NDArray[np.int64]:
    """Steps from a spike to its arrival, (n_pre, n_post)."""
    return np.broadcast_to(np.asarray(c.delay, np.int64), c.weight.shape) + 1


def _forward(
    network: GridNetwork, spikes: Spikes, b: int, steps: int
) -> tuple[NDArray[np.bool_], Floats, NDArray[np.int64], Floats]:
    """(spikes and I − V at them (steps, neurons), input (steps, units), z)."""
    cells, dt = network.cells, network.dt
    mine = slice(int(spikes.offsets[b]), int(spikes.offsets[b + 1]))
    given = np.zeros((steps, network.n_inputs), np.int64)
    np.add.at(given, (spikes.select([b]).steps(dt), spikes.units[mine]), 1)
    neurons = len(cells.theta)
    v, i = np.zeros(neurons), np.zeros(neurons)
    fired, slack = np.zeros((steps, neurons), np.bool_), np.zeros((steps, neurons))
    ahead = np.zeros((steps, neurons))
    out = network.slices[-1]
    z = np.zeros(network.n_outputs)
    gain = (1 - cells.alpha) * cells.tau_s / dt * (1 - cells.beta)
    for k in range(steps):
        i += ahead[k]
        v = cells.alpha * v + gain * i
        z += np.exp(-k / steps) / steps * v[out]
        fired[k] = v >= cells.theta
        fired[k, out] = False
        slack[k] = i - v
        v[fired[k]] = 0.0
        i *= cells.beta
        for c in network.connections:
            source = given[k] if c.pre == 0 else fired[k, network.slices[c.pre - 1]]
            for row in np.flatnonzero(source):
                then = k + _steps_of(c)[row]
                kept = np.flatnonzero(then < steps)
                first = network.slices[c.post - 1].start
                np.add.at(ahead, (then[kept], first + kept), source[row] * c.weight[row, kept])
    return fired, slack, given, z


def _backward(
    network: GridNetwork,
    fired: NDArray[np.bool_],
    slack: Floats,
    given: NDArray[np.int64],
    error: Floats,
    pull: Floats,
    weight: list[Floats],
    delay: list[Floats],
) -> None:
    """Add one sample's gradients; error (outputs,): 1[y] − p."""
    cells, dt = network.cells, network.dt
    steps, neurons = fired.shape
    lam_v, lam_i = np.zeros(neurons), np.zeros(neurons)
    later_v, later_i = np.zeros((steps + 1, neurons)), np.zeros((steps + 1, neurons))
    out = network.slices[-1]
    coupling = cells.tau_m / (cells.tau_m - cells.tau_s) * (cells.alpha - cells.beta)
    for k in range(steps - 1, -1, -1):
        # λ as it stands here is that of arrivals at k + 1
        later_v[k + 1], later_i[k + 1] = lam_v, lam_i
        jump = np.zeros(neurons)
        for c_at, c in enumerate(network.connections):
            source = given[k] if c.pre == 0 else fired[k, network.slices[c.pre - 1]]
            post = network.slices[c.post - 1]
            columns = np.arange(post.stop - post.start)
            for row in np.flatnonzero(source):
                then = np.minimum(k + _steps_of(c)[row], steps)  # λ is 0 after the last step
                at_v, at_i = later_v[then, post.start + columns], later_i[then, post.start + columns]
                weight[c_at][row] -= cells.tau_s[post] * at_i * source[row]
                change = c.weight[row] * (at_v - at_i)
                delay[c_at][row] += change * source[row]
                if c.pre:
                    jump[network.slices[c.pre - 1].start + row] += change.sum()
        drive = np.zeros(neurons)
        drive[out] = error * np.exp(-(k + 1) / steps) / (steps * dt)
        lam_i, lam_v = (
            drive + (lam_i - drive) * cells.beta + coupling * (lam_v - drive),
            drive + (lam_v - drive) * cells.alpha,
        )
        spiking = fired[k]
        add = (cells.theta * lam_v + jump) / np.where(spiking, slack[k], 1.0) - pull
        lam_v = np.where(spiking, lam_v + add, lam_v)
