"""Late injection: delays behind the Input that are longer than a synapse can wait.

The chip delays a synapse by 62 steps at most. What the Input sends, the host can send as late as it
likes: a channel that some synapses hear more than 62 steps late becomes one more channel of the chip, whose
messages the host sends k steps later, k the shortest of these delays; synapses wait for what is left. Delays
beyond k + 62 start a channel of their own. Every such copy is a message of its own.
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
        left = d - self.late
        wanted = (left >= 0) & (left <= MAX_DELAY)
        return np.where(wanted, w, 0), np.where(wanted, left, 0)

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
    heard = [np.broadcast_to(delay, weight.shape)[weight != 0] for weight, delay in synapses]
    starts = _starts(np.unique(np.concatenate([np.zeros(0, np.int64), *heard])))
    if len(starts) == 1:
        return Injection(channel=np.arange(channels), late=np.zeros(channels, np.int64))
    pairs = [np.zeros(0, np.int64)]
    for weight, delay in synapses:
        post, pre = np.nonzero(weight)
        late = starts[np.searchsorted(starts, np.broadcast_to(delay, weight.shape)[post, pre], "right") - 1]
        pairs.append(np.unique(late * channels + pre))
    late_of, channel = np.divmod(np.unique(np.concatenate(pairs)), channels)
    return Injection(channel=channel, late=late_of)


def _starts(delays: Ints) -> Ints:
    """How late the host sends, ascending from 0: the fewest such that a synapse waits 62 steps at most."""
    starts = [0]
    for delay in delays.tolist():
        if delay > starts[-1] + MAX_DELAY:
            starts.append(delay)
    return np.array(starts, dtype=np.int64)


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


def sharing(connections: Sequence[Connection]) -> list[Connection]:
    """Connections into one layer, those that add delayed synapses to a source's rows marked as ``shared``.

    A pair with several delays, as in a delay line, takes several synapses in the axon's row, and one message.
    """
    result: list[Connection] = []
    for c in connections:
        before = [d for d in result if d.source == c.source and d.window is None and c.window is None]
        delayed = c.delay is not None or any(d.delay is not None for d in before)
        result.append(replace(c, shared=True) if before and delayed else c)
    return result


def _apart(c: Connection, d: Connection) -> bool:
    """Whether no synapse stands in both; a delay without a weight is 0 in either."""
    if c.window is not None or d.window is not None:
        return False
    return not np.any((c.weight != 0) & (d.weight != 0))
