"""A `lax.scan` over the steps in JAX, jitted with its backward pass and Adam.

Dense input, one product x·W for all steps; surrogate 1/(1 + 10·|V − 1|)².
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from peers import BETA1, BETA2, EPS, RATE
from peers.workload import read


@jax.custom_vjp
def spike(v):
    """V ≥ 1, with the slope 1/(1 + 10·|V − 1|)² backwards."""
    return (v >= 1).astype(v.dtype)


spike.defvjp(
    lambda v: (spike(v), v),
    lambda v, grad: (grad / (1 + 10 * jnp.abs(v - 1)) ** 2,),
)


class JaxScan:
    def __init__(self, path: Path) -> None:
        load = read(path)
        names = {"w": load.w, "u": load.u} if load.r is None else {"w": load.w, "u": load.u, "r": load.r}
        self.start = {name: np.asarray(item) for name, item in names.items()}
        self.x = jnp.asarray(load.dense())
        self.label = jnp.asarray(load.label)
        a, s, left = np.float32(load.a), np.float32(load.s), np.float32(1 - load.a)

        def run(weights, x, look):
            drive = x @ weights["w"]

            def cell(state, now):
                v, i, z, vo, io, total = state
                io = s * io + z @ weights["u"]
                vo = a * vo + left * io
                i = s * i + now
                if "r" in weights:
                    i = i + z @ weights["r"]
                v = a * v + left * i
                z = spike(v)
                v = v * (1 - z)
                return (v, i, z, vo, io, total + vo), look(z)

            h, o = jnp.zeros((load.batch, load.hidden)), jnp.zeros((load.batch, load.u.shape[1]))
            (*_, total), seen = jax.lax.scan(cell, (h, h, h, o, o, o), drive)
            return total / load.steps, seen

        def loss(weights, x, label):
            logits, _ = run(weights, x, lambda z: None)
            return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(load.batch), label])

        @jax.jit
        def step(weights, m, v, count, x, label):
            value, grad = jax.value_and_grad(loss)(weights, x, label)
            m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grad)
            v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grad)
            c1, c2 = 1 - BETA1**count, 1 - BETA2**count
            weights = jax.tree.map(
                lambda w, m, v: w - RATE * (m / c1) / (jnp.sqrt(v / c2) + EPS), weights, m, v
            )
            return weights, m, v, value

        self.run = step
        self.count_spikes = jax.jit(lambda weights, x: run(weights, x, jnp.sum)[1].sum())
        self.restart()

    def restart(self) -> None:
        self.weights = {name: jnp.array(item) for name, item in self.start.items()}
        self.m = {name: jnp.zeros_like(item) for name, item in self.weights.items()}
        self.v = {name: jnp.zeros_like(item) for name, item in self.weights.items()}
        self.count = 0
        jax.block_until_ready((self.weights, self.m, self.v))

    def step(self) -> float:
        self.count += 1
        found = self.run(self.weights, self.m, self.v, float(self.count), self.x, self.label)
        self.weights, self.m, self.v, loss = jax.block_until_ready(found)
        return float(loss)

    def hidden_spikes(self) -> float:
        self.restart()
        return float(self.count_spikes(self.weights, self.x))
