"""An integer network as the flat arrays that the compiled time loop reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nirbridge_loihi2.convolution import by_source, operations
from nirbridge_loihi2.kernels import Tables
from nirbridge_loihi2.layers import INPUT, Connection, IntegerNetwork, Layer
from nirbridge_loihi2.scatter import CONV, DENSE, LISTED
from nirbridge_loihi2.somas import KINDS

_COLUMNS = (
    "kind", "target", "delay", "exponent", "acc_at", "graded", "weight_at", "list_at", "ops_at", "fan_at",
    "reach_at",
)  # fmt: skip
_ARRAYS = ("weights", "list_ptr", "post", "wait", "listed", "ops", "fan", "reach")
SPARSE_BELOW = 0.125  # share of nonzero weights below which a list is faster than whole rows


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A connection whose synapses the loop treats alike; ``counted`` weights say what they cost."""

    connection: Connection
    folded: bool
    counted: NDArray[np.int64] | None

    @property
    def uniform_delay(self) -> int:
        delay = self.connection.delay
        return 0 if delay is None else int(delay.flat[0])

    @property
    def listed(self) -> bool:
        c = self.connection
        if not self.folded or c.window is not None:
            return False
        varied = c.delay is not None and bool(np.any(c.delay != c.delay.flat[0]))
        return varied or bool(np.count_nonzero(c.weight) < SPARSE_BELOW * c.weight.size)


def _parts(connection: Connection) -> list[_Part]:
    """Fold the exponent into the weights where shift and sum commute, else one part per delay."""
    e, w = connection.exponent, connection.weight
    if connection.window is not None:
        return [_Part(connection, False, w)]
    if e >= 0:
        return [_Part(replace(connection, weight=w << e, exponent=0), True, w)]
    if not np.any(w & ((1 << -e) - 1)):
        return [_Part(replace(connection, weight=w >> -e, exponent=0), True, w)]
    if connection.delay is None:
        return [_Part(connection, False, w)]
    parts: list[_Part] = []
    for d in np.unique(connection.delay):
        here = connection.delay == d
        one = replace(connection, weight=np.where(here, w, 0), delay=np.full_like(connection.delay, d))
        parts.append(_Part(one, False, w if not parts else None))
    return parts


def tables(network: IntegerNetwork, per_core: Sequence[int] | None = None) -> Tables:
    """Flat arrays of a network; ``per_core`` gives the neurons a core of every layer, in layer order.

    Without ``per_core`` every layer stands on a core of its own; a layer of shape (C, H, W) is cut by
    columns, its ``per_core`` counts whole columns. Spikes do not depend on it.
    """
    layers = network.layers
    per_core = [layer.size for layer in layers] if per_core is None else list(per_core)
    first = np.concatenate([[0], np.cumsum([layer.size for layer in layers])]).astype(np.int64)
    width = np.array([layer.size * layer.ports for layer in layers], dtype=np.int64)
    core_n = np.array([-(-n.size // p) for n, p in zip(layers, per_core, strict=True)], dtype=np.int64)
    core_at = np.concatenate([[0], np.cumsum(core_n)]).astype(np.int64)
    ring_len = np.ones(len(layers), np.int64)
    for c in network.connections:
        ring_len[c.target] = max(ring_len[c.target], c.max_delay + 1)
    ring_at = np.concatenate([[0], np.cumsum(ring_len * width)]).astype(np.int64)
    source = [len(layers) if c.source == INPUT else c.source for c in network.connections]
    in_order = sorted(range(len(source)), key=source.__getitem__)
    parts = [(source[i], part) for i in in_order for part in _parts(network.connections[i])]
    source_at = np.searchsorted([s for s, _ in parts], np.arange(len(layers) + 2)).astype(np.int64)
    columns: dict[str, list[int]] = {name: [] for name in _COLUMNS}
    arrays: dict[str, list[NDArray[np.int64]]] = {name: [] for name in _ARRAYS}
    sizes = dict.fromkeys(_ARRAYS, 0)
    acc_size = 0

    def put(name: str, values: NDArray[np.int64]) -> int:
        at = sizes[name]
        arrays[name].append(values.reshape(-1))
        sizes[name] += values.size
        return at

    for _, part in parts:
        c = part.connection
        n_post, n_pre = int(width[c.target]), network.source_size(c)
        cores = int(core_n[c.target])
        columns["kind"].append(CONV if c.window is not None else LISTED if part.listed else DENSE)
        columns["target"].append(c.target)
        columns["delay"].append(part.uniform_delay)
        columns["exponent"].append(c.exponent)
        columns["graded"].append(int(c.graded))
        columns["acc_at"].append(-1 if part.folded else acc_size)
        acc_size += 0 if part.folded else n_post
        columns["weight_at"].append(sizes["weights"])
        columns["list_at"].append(sizes["list_ptr"])
        columns["reach_at"].append(-1 if c.shared else sizes["reach"])
        if c.window is not None:
            put("weights", by_source(c.weight, c.window))
            put("reach", c.window.columns_to_cores(_columns(layers[c.target], per_core[c.target]), cores))
        elif part.listed:
            pre, post = np.nonzero(c.weight.T)
            put("list_ptr", sizes["post"] + np.searchsorted(pre, np.arange(n_pre + 1)))
            put("post", post)
            put("wait", np.zeros(len(pre), np.int64) if c.delay is None else c.delay[post, pre])
            put("listed", c.weight[post, pre])
        else:
            put("weights", np.ascontiguousarray(c.weight.T))
        if part.counted is None:
            columns["ops_at"].append(-1)
            columns["fan_at"].append(-1)
            continue
        on_core, real = _operations(part, layers[c.target], per_core[c.target], cores)
        columns["ops_at"].append(put("ops", on_core))
        columns["fan_at"].append(put("fan", real))

    def joined(name: str) -> NDArray[np.int64]:
        return np.concatenate(arrays[name]) if arrays[name] else np.zeros(0, np.int64)

    def column(name: str) -> NDArray[np.int64]:
        return np.array(columns[name], dtype=np.int64)

    return Tables(
        first=first,
        decay_u=np.concatenate([layer.decay_u for layer in layers]),
        decay_v=np.concatenate([layer.decay_v for layer in layers]),
        threshold=np.concatenate([layer.threshold << _shifts(layer)[0] for layer in layers]),
        bias=np.concatenate([layer.bias for layer in layers]),
        soma=np.array([KINDS[layer.kind] for layer in layers], dtype=np.int64),
        shift=np.array([_shifts(layer) for layer in layers], dtype=np.int64),
        spiking=np.array([layer.spiking for layer in layers], dtype=np.bool_),
        driven=np.array([layer.driven for layer in layers], dtype=np.bool_),
        reset_interval=np.array([layer.reset_interval for layer in layers], dtype=np.int64),
        reset_offset=np.array([layer.reset_offset for layer in layers], dtype=np.int64),
        ring_at=ring_at[:-1],
        ring_len=ring_len,
        width=width,
        source_at=source_at,
        kind=column("kind"),
        target=column("target"),
        delay=column("delay"),
        exponent=column("exponent"),
        acc_at=column("acc_at"),
        graded=column("graded").astype(np.bool_),
        weight_at=column("weight_at"),
        weights=joined("weights").astype(np.int32),
        window=np.array(
            [p.connection.window.row if p.connection.window else [0] * 15 for _, p in parts], dtype=np.int64
        ).reshape(-1, 15),
        reach_at=column("reach_at"),
        reach=joined("reach").astype(np.int32),
        list_at=column("list_at"),
        list_ptr=joined("list_ptr"),
        post=joined("post").astype(np.int32),
        wait=joined("wait").astype(np.int32),
        listed=joined("listed").astype(np.int32),
        core_at=core_at[:-1],
        core_n=core_n,
        ops_at=column("ops_at"),
        ops=joined("ops").astype(np.int32),
        fan_at=column("fan_at"),
        fan=joined("fan"),
        ring_size=int(ring_at[-1]),
        acc_size=acc_size,
        n_cores=int(core_at[-1]),
    )


def _shifts(layer: Layer) -> tuple[int, int]:
    """Bits by which the threshold stands above its mantissa, and by which a message is shifted down."""
    if layer.kind in ("delta", "sigma-delta", "sigma"):
        return layer.spike_exp + layer.state_exp, layer.state_exp
    return 6, 0


def _columns(layer: Layer, per_core: int) -> int:
    """Columns a core of a layer (C, H, W)."""
    return per_core // (layer.size // layer.shape[-1])


def _operations(
    part: _Part, target: Layer, per_core: int, cores: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nonzero synapses of every source on every core (n_pre, cores), and into real neurons (n_pre,)."""
    assert part.counted is not None
    window = part.connection.window
    if window is not None:
        real = operations(part.counted, window, window.target[2], 1)[:, 0]
        return operations(part.counted, window, _columns(target, per_core), cores), real
    neuron = np.arange(target.size)
    if len(target.shape) == 3:
        core = neuron % target.shape[2] // _columns(target, per_core)
    else:
        core = neuron // per_core
    core = np.tile(core, target.ports)
    order = np.argsort(core, kind="stable")
    starts = np.searchsorted(core[order], np.arange(cores))
    on_core = np.add.reduceat((part.counted[order] != 0).astype(np.int64), starts, axis=0)
    return np.ascontiguousarray(on_core.T), on_core.sum(axis=0)
