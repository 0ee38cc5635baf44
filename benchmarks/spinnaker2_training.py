"""CPU time of one on-chip training step against PyTorch, on one thread: 5-120-3, T 27, batch 22.

    python benchmarks/spinnaker2_training.py [--rounds 200] [--trained NET.nir] [--json FILE]

A step is forward, loss, backward and Adam. The PyTorch side is written here from the same equations: a
custom autograd function a layer with a loop over time, arrays (T, batch, neurons), float32, its own Adam.
Both take the same batches in turn; the figure is the minimum of process CPU time. Before it is
taken, both must have the same first spikes and gradients. Needs the extra ``bench``.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from nirbridge.graph.spiking_stack import spiking_stack
from nirbridge.io import read_graph
from nirbridge.io.yin_yang import yin_yang_steps
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_spinnaker2 import ChipEventProp
from nirbridge_spinnaker2.training.structure import matrices
from nirbridge_spinnaker2.training.training import Training

STEPS, BATCH, DT, TAU_M, TAU_S = 27, 22, 1e-3, 20e-3, 5e-3
ALPHA, BETA = math.exp(-DT / TAU_S), math.exp(-DT / TAU_M)


class Layer(torch.autograd.Function):
    """Spikes (T, B, m) and weights (n, m) to spikes (T, B, n); the backward pass is the adjoint."""

    @staticmethod
    def forward(ctx, spikes, weight):
        steps, batch, _ = spikes.shape
        current = torch.zeros(steps, batch, len(weight))
        voltage = torch.zeros(steps, batch, len(weight))
        before_reset = torch.zeros(steps, batch, len(weight))
        out = torch.zeros(steps, batch, len(weight))
        for i in range(1, steps):
            current[i] = ALPHA * current[i - 1] + spikes[i - 1] @ weight.t()
            before_reset[i] = BETA * voltage[i - 1] + (1 - BETA) * current[i]
            out[i] = (before_reset[i] > 1.0).float()
            voltage[i] = (1 - out[i]) * before_reset[i]
        ctx.save_for_backward(spikes, weight, current, before_reset, out)
        return out

    @staticmethod
    def backward(ctx, grad):
        spikes, weight, current, before_reset, out = ctx.saved_tensors
        lv, li = torch.zeros_like(out), torch.zeros_like(out)
        error = torch.zeros_like(spikes)
        total = torch.zeros_like(weight)
        for i in range(len(out) - 2, -1, -1):
            error[i] = (lv[i + 1] - li[i + 1]) @ weight
            li[i] = ALPHA * li[i + 1] + (1 - ALPHA) * lv[i + 1]
            slope = current[i + 1] - before_reset[i + 1] + 1e-10
            lv[i] = BETA * lv[i + 1] + out[i + 1] * (lv[i + 1] + grad[i + 1]) / slope
            total -= TAU_S * (li[i].t() @ spikes[i])
        return error, total


class FirstSpike(torch.autograd.Function):
    """Spikes (T, B, n) to first steps (B, n), T where silent; the gradient goes to the first spike."""

    @staticmethod
    def forward(ctx, spikes):
        steps = len(spikes)
        first = torch.where(spikes.any(dim=0), spikes.argmax(dim=0), steps)
        ctx.save_for_backward(first, spikes)
        return first.float()

    @staticmethod
    def backward(ctx, grad):
        first, spikes = ctx.saved_tensors
        hit = torch.arange(len(spikes)).view(-1, 1, 1) == first.unsqueeze(0)
        hit[-1] = False  # a spike in the last step teaches nothing
        return hit * grad.unsqueeze(0)


class Peer:
    """The PyTorch training."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        self.weights = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in weights]
        self.adam = torch.optim.Adam(self.weights, lr=1.9e-3, weight_decay=6.5e-7)
        self.rate = torch.optim.lr_scheduler.StepLR(self.adam, 1, gamma=0.95 ** (1 / 227))

    def step(self, spikes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One update; returns the first spikes."""
        hidden = Layer.apply(spikes, self.weights[0])
        first = FirstSpike.apply(Layer.apply(hidden, self.weights[1]))
        loss = torch.nn.functional.cross_entropy(-first / 1.5, labels)
        late = first.gather(1, labels.view(-1, 1))
        loss = loss + 0.01 * (torch.exp(late / 100.0) - 1).mean()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.rate.step()
        return first.detach()


def measure(graph, rounds: int) -> dict[str, object]:
    """Milliseconds of CPU per step of both, from the same weights."""
    data = yin_yang_steps("train", 5000, STEPS)
    training = Training(ChipEventProp(threads=1), graph, data, None, np.random.default_rng(0), None, None)
    peer = Peer([np.asarray(graph.nodes[name].weight, np.float32) for name in ("w1", "w_out")])
    order = np.random.default_rng(1).permutation(len(data))
    best = {"nirbridge": math.inf, "pytorch": math.inf}
    spikes = 0.0
    for at in range(rounds):
        samples = order[(at * BATCH) % 4950 :][:BATCH]
        dense = data.spikes.select(samples).to_dense(DT).transpose(1, 0, 2)
        given = torch.from_numpy(np.ascontiguousarray(dense, dtype=np.float32))
        labels = torch.from_numpy(data.labels[samples])
        began = time.process_time()
        result = training.step(training.events, samples, training.labels)
        middle = time.process_time()
        first = peer.step(given, labels)
        ended = time.process_time()
        if at == 0:
            _check_equal(training, peer, result.first, first.numpy())
        if at < 3:
            continue
        spikes += float(result.counts.sum()) / BATCH / (rounds - 3)
        best["nirbridge"] = min(best["nirbridge"], middle - began)
        best["pytorch"] = min(best["pytorch"], ended - middle)
    training.executor.close()
    return {
        "nirbridge_ms": round(1e3 * best["nirbridge"], 4),
        "pytorch_ms": round(1e3 * best["pytorch"], 4),
        "ratio": round(best["pytorch"] / best["nirbridge"], 1),
        "spikes_per_sample": round(spikes, 1),
        "rounds": rounds,
    }


def _check_equal(training: Training, peer: Peer, first: np.ndarray, other: np.ndarray) -> None:
    """From equal weights: the same first spikes, gradients within 1e-5 of the largest."""
    own = matrices(training.stack, training.total)
    for weight, gradient in zip(peer.weights, (own["w1"], own["w_out"]), strict=True):
        found = weight.grad.numpy()
        off = float(np.abs(found - gradient).max() / np.abs(found).max())
        if not np.array_equal(first, other) or off > 1e-5:
            raise SystemExit(f"the two gradients differ by {off:g} of the largest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--trained", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    graph = spiking_stack(inputs=5, hidden=[120], outputs=3, dt=DT, rng=np.random.RandomState(42))
    starts = {"start": with_semantics(graph, Semantics(dt=DT, decay="exact", feedforward_delay=1))}
    if options.trained:
        starts["trained"] = read_graph(options.trained)
    rows = {name: measure(start, options.rounds) for name, start in starts.items()}
    for name, row in rows.items():
        print(name, "  ".join(f"{key} {value}" for key, value in row.items()))
    if options.json:
        versions = {name: version(name) for name in ("nirbridge", "numpy", "numba", "torch")}
        text = {"versions": versions, "processor": platform.machine(), "rows": rows}
        options.json.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
