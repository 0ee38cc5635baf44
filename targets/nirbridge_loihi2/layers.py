"""An integer network: what the compiled time loop runs, whether it came from a graph or a NetX file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nirbridge_loihi2.convolution import Window

INPUT = -1
MAX_DELAY = 62
MAX_THRESHOLD = 131071

Ints = NDArray[np.int64]
Kind = Literal["lif", "delta", "sigma-delta", "sigma", "rf", "rf-iz"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Layer:
    """A population of neurons in Lava's fixed-point form (LOIHI2.md §1).

    decay_u, decay_v: (n,) of 4096, d_u and d_v; threshold: (n,) mantissa, a spike is
    ``v > threshold << 6``; bias: (n,) as it is added to v in every step.
    spiking False: a read-out that is never reset. reset_interval 0: states are never reset, else
    u = v = 0 before the update of step t where ``t mod interval = offset mod interval``.
    weight_bits: num_weight_bits of the weights that arrive (LOIHI2.md §2), for the memory they take.

    kind: ``lif``; ``delta``, an encoder that reads the input channels one to one in the same step;
    ``sigma-delta``; ``sigma``, a read-out that sums; ``rf`` and ``rf-iz``, resonate-and-fire neurons,
    whose decay_u and decay_v hold the sine and the cosine (of 4096) and into which connections have
    2n rows, the real part first. spike_exp, state_exp: exponents of the sigma-delta kinds, whose
    threshold is ``threshold << (spike_exp + state_exp)`` and whose bias is shifted alike.
    driven: the input channels are added to the sums one to one, a step later: values that the host writes
    as bias mantissas, no synapses.
    A shape (C, H, W) is cut into cores by columns, any other by neurons.
    """

    name: str
    shape: tuple[int, ...]
    decay_u: Ints
    decay_v: Ints
    threshold: Ints
    bias: Ints
    spiking: bool = True
    reset_interval: int = 0
    reset_offset: int = 0
    weight_bits: int = 8
    kind: Kind = "lif"
    spike_exp: int = 6
    state_exp: int = 6
    driven: bool = False

    @property
    def ports(self) -> int:
        """Sums that arrive at one neuron: two (real, imaginary) for resonate-and-fire neurons."""
        return 2 if self.kind in ("rf", "rf-iz") else 1

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Connection:
    """Synapses from a source (index of a layer, or `INPUT`) to the layer ``target``.

    weight: (n_post, n_pre) stored integers; exponent: shift of the sum (left where positive);
    delay: (n_post, n_pre) further steps, 0 to 62, or None ((1, 1) for a convolution, which has one);
    graded: a message carries its value, else every message counts 1. window: a convolution, then weight
    is its kernel (O, C/G, kH, kW), there is no exponent and the sum is wrapped to 24 bit. shared: its
    synapses stand in the rows of an earlier connection from this source into this layer: one message
    reaches both.
    """

    name: str
    source: int
    target: int
    weight: Ints
    exponent: int = 0
    delay: Ints | None = None
    graded: bool = False
    window: Window | None = None
    shared: bool = False

    @property
    def max_delay(self) -> int:
        return 0 if self.delay is None else int(self.delay.max(initial=0))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class IntegerNetwork:
    """Layers in execution order, the connections between them, and the number of input channels."""

    n_inputs: int
    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]

    def into(self, target: int) -> tuple[Connection, ...]:
        """The connections that arrive at a layer."""
        return tuple(c for c in self.connections if c.target == target)

    def source_size(self, connection: Connection) -> int:
        """Number of neurons or channels that a connection comes from."""
        return self.n_inputs if connection.source == INPUT else self.layers[connection.source].size


def filled(value: int, size: int) -> Ints:
    """The one value for every neuron of a layer, (size,) int64."""
    return np.full(size, value, dtype=np.int64)
