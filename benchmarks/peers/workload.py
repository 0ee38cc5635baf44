"""A layered workload as dense arrays, with its own loss and spikes from a plain NumPy pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Workload:
    """Weights w (inputs, H), r (H, H) or None, u (H, O) [pre, post]; a, s: decays of V and I over a step.

    A step is, with threshold 1 and z the spikes: I += x·w + z₋·r; Io += z₋·u; V = a·V + (1−a)·I; z = V ≥ 1;
    V = 0 where z; I = s·I; Vo = a·Vo + (1−a)·Io; Io = s·Io. Logits are means of Vo over the steps.
    """

    name: str
    ptr: NDArray[np.int32]
    idx: NDArray[np.int32]
    label: NDArray[np.int64]
    w: NDArray[np.float32]
    r: NDArray[np.float32] | None
    u: NDArray[np.float32]
    steps: int
    dt: float
    a: float
    s: float

    @property
    def batch(self) -> int:
        return len(self.ptr)

    @property
    def hidden(self) -> int:
        return self.w.shape[1]

    def dense(self) -> NDArray[np.float32]:
        """The input spikes, (steps, batch, inputs)."""
        x = np.zeros((self.steps, self.batch, self.w.shape[0]), np.float32)
        for b, ptr in enumerate(self.ptr):
            np.add.at(x[:, b], (np.repeat(np.arange(self.steps), np.diff(ptr)), self.idx[b, : ptr[-1]]), 1.0)
        return x

    def reference(self, *, read_out_mean: bool = False) -> tuple[float, float]:
        """Mean loss and hidden spikes of the whole batch at the file's weights.

        read_out_mean: as a canonical NIR step has it: the read-out hears a spike in its own step, and Vo
        counts by its exact mean over it, (A·V₀ + C·I₀)/dt, A = τm(1−a), C = K(dt) = τs(1−s) − τm·κ(dt).
        """
        f = np.float32
        a, s, left = f(self.a), f(self.s), f(1 - self.a)
        tau_m, tau_s = -self.dt / math.log(self.a), -self.dt / math.log(self.s)
        kappa = tau_s / (tau_m - tau_s) * (self.a - self.s)  # I₀ = I·(1 − a)/κ: both end the step at one V
        mean_v = f(tau_m * (1 - self.a) / self.dt)
        mean_i = f((tau_s * (1 - self.s) - tau_m * kappa) / self.dt * (1 - self.a) / kappa)
        v, i, z = (np.zeros((self.batch, self.hidden), f) for _ in range(3))
        vo, io, total = (np.zeros((self.batch, self.u.shape[1]), f) for _ in range(3))
        spikes = 0.0
        for x in self.dense():
            i += x @ self.w
            if self.r is not None:
                i += z @ self.r
            if not read_out_mean:
                io += z @ self.u
            v = a * v + left * i
            z = (v >= 1).astype(f)
            v[z > 0] = 0
            i *= s
            if read_out_mean:
                io += z @ self.u
                total += mean_v * vo + mean_i * io
            vo = a * vo + left * io
            io *= s
            if not read_out_mean:
                total += vo
            spikes += float(z.sum())
        logits = total.astype(np.float64) / self.steps
        top = logits.max(axis=1, keepdims=True)
        rows = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
        return float(np.mean(rows - logits[np.arange(self.batch), self.label])), spikes

    def facts(self) -> dict[str, object]:
        """Size and density of the workload."""
        events = float(self.ptr[:, -1].mean())
        return {
            "inputs": self.w.shape[0],
            "hidden": self.hidden,
            "recurrent": self.r is not None,
            "outputs": self.u.shape[1],
            "steps": self.steps,
            "dt_ms": self.dt,
            "batch": self.batch,
            "input_spikes_per_sample": round(events, 2),
            "input_density": round(events / self.steps / self.w.shape[0], 5),
        }

    def rate(self, spikes: float) -> float:
        """Hidden rate [Hz] of so many spikes of the batch."""
        return spikes / self.batch / self.hidden / (self.steps * self.dt * 1e-3)


def read(path: Path) -> Workload:
    """A file of `make_workloads.py` with a layered network (W1, W2, W3)."""
    with np.load(path) as z:
        dt = float(z["dt"])
        return Workload(
            name=path.stem,
            ptr=z["ptr"],
            idx=z["idx"],
            label=z["label"],
            w=z["W"],
            r=z["R"] if z["rec"] else None,
            u=z["U"],
            steps=int(z["T"]),
            dt=dt,
            a=math.exp(-dt / float(z["tau_mem"])),
            s=math.exp(-dt / float(z["tau_syn"])),
        )
