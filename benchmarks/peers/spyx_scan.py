"""spyx: `CuBaLIF` or `RCuBaLIF`, a `Linear` and two `LI` as the read-out's current and membrane, `nnx.jit`.

spyx's neurons reset by subtracting the threshold and fire one step after the crossing, which is when
the workload delivers. The weights carry the factor 1 − a; V = β·V + I. Decays stay as they are: only the
weights are differentiated. The input product serves all steps at once.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from spyx import axn, nn

from peers import BETA1, BETA2, EPS, RATE
from peers.workload import read


def is_weight(path, value) -> bool:
    """Whether a parameter is a matrix: the decays of a layer are scalars."""
    return isinstance(value, nnx.Param) and path[-1] in ("kernel", "recurrent_w")


class Network(nnx.Module):
    def __init__(self, inputs, hidden, outputs, *, recurrent, a, s, rngs) -> None:
        self.first = nnx.Linear(inputs, hidden, use_bias=False, rngs=rngs)
        kind = nn.RCuBaLIF if recurrent else nn.CuBaLIF
        self.rest = nn.Sequential(
            kind((hidden,), alpha=s, beta=a, activation=axn.superspike(10), rngs=rngs),
            nnx.Linear(hidden, outputs, use_bias=False, rngs=rngs),
            nn.LI((outputs,), beta=s, rngs=rngs),
            nn.LI((outputs,), beta=a, rngs=rngs),
        )

    def __call__(self, x):
        return nn.run(self.rest, self.first(x))[0]


class SpyxScan:
    def __init__(self, path: Path) -> None:
        load = read(path)
        self.start = [(1 - load.a) * item for item in (load.w, load.u, load.r) if item is not None]
        self.x = jnp.asarray(load.dense())
        self.label = jnp.asarray(load.label)
        self.model = Network(
            *load.w.shape, load.u.shape[1], recurrent=load.r is not None, a=load.a, s=load.s,
            rngs=nnx.Rngs(0),
        )  # fmt: skip

        def loss(model, x, label):
            logits = model(x).mean(axis=0)
            return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

        @nnx.jit
        def step(model, optimizer, x, label):
            value, grads = nnx.value_and_grad(loss, argnums=nnx.DiffState(0, is_weight))(model, x, label)
            optimizer.update(model, grads)
            return value

        @nnx.jit
        def spikes(model, x):
            return nn.run(model.rest.layers[0], model.first(x))[0].sum()

        self.adam = optax.adam(RATE, b1=BETA1, b2=BETA2, eps=EPS)  # once: another makes the jit trace again
        self.run, self.count_spikes = step, spikes
        self.restart()

    def restart(self) -> None:
        rest = self.model.rest.layers
        places = [self.model.first.kernel, rest[1].kernel]
        if len(self.start) > 2:
            places.append(rest[0].recurrent_w)
        for place, item in zip(places, self.start, strict=True):
            place[...] = jnp.asarray(np.asarray(item, np.float32))
        self.optimizer = nnx.Optimizer(self.model, self.adam, wrt=is_weight)
        jax.block_until_ready(nnx.state((self.model, self.optimizer)))

    def step(self) -> float:
        loss = self.run(self.model, self.optimizer, self.x, self.label)
        jax.block_until_ready(nnx.state((self.model, self.optimizer)))
        return float(loss)

    def hidden_spikes(self) -> float:
        self.restart()
        return float(self.count_spikes(self.model, self.x))
