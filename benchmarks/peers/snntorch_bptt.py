"""snnTorch: `Synaptic` neurons with reset to zero in the step of the spike, recurrence by a `Linear`.

`RSynaptic` is not used: its reset waits for the next step and drops that step's input. The weights carry
the workload's factor 1 − a; snnTorch's membrane is V = β·V + I. The input product serves all steps at once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import snntorch
import torch
from snntorch import surrogate

from peers import BETA1, BETA2, EPS, RATE
from peers.workload import read


class SnnTorch:
    def __init__(self, path: Path) -> None:
        torch.set_num_threads(1)
        load = read(path)
        self.load = load
        self.x = torch.from_numpy(load.dense())
        self.label = torch.from_numpy(load.label)
        start = [load.w, load.u] if load.r is None else [load.w, load.u, load.r]
        self.start = [torch.from_numpy(np.ascontiguousarray((1 - load.a) * item.T)) for item in start]
        self.linear = [torch.nn.Linear(item.shape[1], item.shape[0], bias=False) for item in self.start]
        self.hidden = snntorch.Synaptic(
            alpha=load.s, beta=load.a, spike_grad=surrogate.fast_sigmoid(10), reset_mechanism="zero",
            reset_delay=False,
        )  # fmt: skip
        self.out = snntorch.Synaptic(alpha=load.s, beta=load.a, reset_mechanism="none")
        self.spikes: list[torch.Tensor] = []
        self.restart()

    def restart(self) -> None:
        for layer, item in zip(self.linear, self.start, strict=True):
            layer.weight = torch.nn.Parameter(item.clone())
        weights = [layer.weight for layer in self.linear]
        self.adam = torch.optim.Adam(weights, lr=RATE, betas=(BETA1, BETA2), eps=EPS)

    def loss(self) -> torch.Tensor:
        w, u, *r = self.linear
        load = self.load
        syn = mem = z = torch.zeros(load.batch, load.hidden)
        syn_out = mem_out = total = torch.zeros(load.batch, u.out_features)
        self.spikes = []
        for now in w(self.x).unbind(0):
            _, syn_out, mem_out = self.out(u(z), syn_out, mem_out)
            z, syn, mem = self.hidden(now + r[0](z) if r else now, syn, mem)
            total = total + mem_out
            self.spikes.append(z.detach())
        return torch.nn.functional.cross_entropy(total / load.steps, self.label)

    def step(self) -> float:
        self.adam.zero_grad()
        loss = self.loss()
        loss.backward()
        self.adam.step()
        return float(loss.detach())

    def hidden_spikes(self) -> float:
        self.restart()
        with torch.no_grad():
            self.loss()
        return float(sum(z.sum() for z in self.spikes))
