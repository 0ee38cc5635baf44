"""Late injection: delays behind the Input that are longer than a synapse can wait.

The chip delays a synapse by 62 steps at most. What the Input sends, the host can send as late as it
likes: a channel that some synapses hear k > 62 steps late becomes one more channel of the chip, whose
messages the host sends k steps later. Every such copy is a message of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nirbridge_loihi2.layers import INPUT, MAX_DELAY, Connection

if TYPE_CHECKING:
    from nirbridge_loihi2.simulate import Events

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Injection:
    """The chip's input channels: number c carries the graph's channel[c], late[c] steps later.

    channel, late: (n_channels,) int64.
    """

    channel: Ints
    late: Ints

    @property
    def size(self) -> int:
        """Input channels of the chip."""
        return len(self.channel)

    @property
    def n_late(self) -> int:
        """Channels whose messages are sent later than they arrive."""
        return int(np.count_nonzero(self.late))

    def split(self, weight: Ints, delay: Ints) -> tuple[Ints, Ints]:
        """Weights and delays of a connection from the Input, (n_post, n_channels), on the chip's channels.

        weight, delay: (n_post, graph channels); what is left of a delay once the host has sent late.
        """
        if self.n_late == 0:
            return weight, delay
        w, d = weight[:, self.channel], delay[:, self.channel]
        wanted = np.where(self.late > 0, d == self.late, d <= MAX_DELAY)
        return np.where(wanted, w, 0), np.where(wanted & (self.late == 0), d, 0)

    def messages(self, inputs: Events, ticks: int) -> Events:
        """The messages that the host sends within ``ticks`` steps, by chip channel."""
        if self.n_late == 0:
            return inputs
        order = np.argsort(self.channel, kind="stable")
        first, last = (np.searchsorted(self.channel[order], inputs.unit, side=s) for s in ("left", "right"))
        copies = last - first
        source = np.repeat(np.arange(len(inputs.unit)), copies)
        nth = np.arange(len(source)) - np.repeat(np.cumsum(copies) - copies, copies)
        target = order[first[source] + nth]
        step = _steps(inputs)[source] + self.late[target]
        sample = np.repeat(np.arange(len(inputs.at)), inputs.counts)[source]
        kept = np.flatnonzero(step < ticks)
        kept = kept[np.lexsort((target[kept], step[kept], sample[kept]))]
        key = sample[kept] * ticks + step[kept]
        edges = np.arange(len(inputs.at))[:, None] * ticks + np.arange(ticks + 1)
        at = np.searchsorted(key, edges).astype(np.int64)
        return replace(inputs, at=at, unit=target[kept], value=inputs.value[source[kept]])

    def late_counts(self, sent: Events) -> Ints:
        """Messages of a batch that were sent late, (n_samples,)."""
        total = np.concatenate([[0], np.cumsum(self.late[sent.unit] > 0)])
        return np.asarray(total[sent.at[:, -1]] - total[sent.at[:, 0]], dtype=np.int64)


def _steps(inputs: Events) -> Ints:
    """Step index of every message, (n_events,)."""
    steps = [np.repeat(np.arange(row.size), row) for row in np.diff(inputs.at, axis=1)]
    return np.concatenate([np.zeros(0, np.int64), *steps]).astype(np.int64)


def injection(channels: int, synapses: Sequence[tuple[Ints, Ints]]) -> Injection:
    """The channels that a network needs.

    synapses: (weight, delay) of every connection from the Input, each (n_post, channels). Without
    longer delays the chip's channels are the graph's; else only those that some synapse hears.
    """
    pairs: set[tuple[int, int]] = set()
    for weight, delay in synapses:
        late = np.where(delay > MAX_DELAY, delay, 0)
        post, pre = np.nonzero(weight)
        pairs |= set(zip(late[post, pre].tolist(), pre.tolist(), strict=True))
    if all(late == 0 for late, _ in pairs):
        return Injection(channel=np.arange(channels), late=np.zeros(channels, np.int64))
    late_of, channel = np.array(sorted(pairs), dtype=np.int64).T
    return Injection(channel=channel.copy(), late=late_of.copy())


def joined(connections: Sequence[Connection]) -> list[Connection]:
    """Connections into one layer, those from the Input as one where no synapse stands in two of them.

    A delay line beside a direct path is two weight nodes over the same channels; apart, every message
    would be counted, and every row of synapses stored, once for each.
    """
    result: list[Connection] = []
    for c in connections:
        at = next((k for k, d in enumerate(result) if d.source == c.source == INPUT and _apart(c, d)), None)
        if at is None:
            result.append(c)
            continue
        d = result[at]
        delay = None
        if c.delay is not None or d.delay is not None:
            delay = np.zeros_like(c.weight) + (0 if c.delay is None else c.delay)
            delay += 0 if d.delay is None else d.delay
        result[at] = replace(d, name=f"{d.name}+{c.name}", weight=c.weight + d.weight, delay=delay)
    return result


def _apart(c: Connection, d: Connection) -> bool:
    """Whether no synapse stands in both; a delay without a weight is 0 in either."""
    if c.window is not None or d.window is not None:
        return False
    return not np.any((c.weight != 0) & (d.weight != 0))
