"""Backpropagation through time written by hand in PyTorch, and the same with its cell compiled.

The input is dense float32, given for free. One product x·W serves all steps; the loop has `addmm` for the
recurrence, reset by multiplication, and the read-out. Surrogate: 1/(1 + 10·|V − 1|)².
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from peers import BETA1, BETA2, EPS, RATE
from peers.workload import read


class Spike(torch.autograd.Function):
    """V ≥ 1, with the surrogate's slope backwards."""

    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(v)
        return (v >= 1).to(v.dtype)

    @staticmethod
    def backward(ctx, grad):
        (v,) = ctx.saved_tensors
        return grad / (1 + 10 * (v - 1).abs()) ** 2


class Torch:
    """The network and its Adam; ``wrap`` is applied to the function of one step."""

    def __init__(self, path: Path, wrap: Callable[[Callable], Callable]) -> None:
        torch.set_num_threads(1)
        load = read(path)
        self.load = load
        self.x = torch.from_numpy(load.dense())
        self.label = torch.from_numpy(load.label)
        start = [load.w, load.u] if load.r is None else [load.w, load.u, load.r]
        self.start = [torch.from_numpy(item) for item in start]
        self.spikes: list[torch.Tensor] = []
        a, s = load.a, load.s
        left = 1 - a

        def read_out(z, vo, io, u):
            io = torch.addmm(s * io, z, u)
            vo = a * vo + left * io
            return vo, io

        def hidden(v, i):
            v = a * v + left * i
            z = Spike.apply(v)
            return v * (1 - z), z

        def recurrent(drive, v, i, z, vo, io, u, r):
            vo, io = read_out(z, vo, io, u)
            i = torch.addmm(s * i + drive, z, r)
            v, z = hidden(v, i)
            return v, i, z, vo, io

        def forward_only(drive, v, i, z, vo, io, u):
            vo, io = read_out(z, vo, io, u)
            i = s * i + drive
            v, z = hidden(v, i)
            return v, i, z, vo, io

        self.cell = wrap(forward_only if load.r is None else recurrent)
        self.restart()

    def restart(self) -> None:
        self.weights = [torch.nn.Parameter(item.clone()) for item in self.start]
        self.adam = torch.optim.Adam(self.weights, lr=RATE, betas=(BETA1, BETA2), eps=EPS)

    def loss(self) -> torch.Tensor:
        w, u, *r = self.weights
        load = self.load
        drive = (self.x.view(-1, w.shape[0]) @ w).view(load.steps, load.batch, -1)
        v = i = z = torch.zeros(load.batch, load.hidden)
        vo = io = total = torch.zeros(load.batch, u.shape[1])
        self.spikes = []
        for now in drive.unbind(0):
            v, i, z, vo, io = self.cell(now, v, i, z, vo, io, u, *r)
            total = total + vo
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


def eager(path: Path) -> Torch:
    return Torch(path, lambda cell: cell)


def compiled(path: Path) -> Torch:
    return Torch(path, lambda cell: torch.compile(cell, fullgraph=True, dynamic=False))
