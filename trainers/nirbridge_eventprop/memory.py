"""How much memory a training will take, said before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nirbridge.data import Dataset
from nirbridge.errors import BadInput
from nirbridge_eventprop.executor import TAPE
from nirbridge_eventprop.stack import Stack

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp

GIB = 1 << 30


def forecast(trainer: EventProp, stack: Stack, data: Dataset, validation: Dataset | None) -> int:
    """Bytes at the peak of a training: weights and their moments, the data, and each shard's work space.

    Not counted: the interpreter with its libraries, and tapes beyond their first size (they grow where a
    sample has more spikes than that).
    """
    real = stack.weights.itemsize
    weights = len(stack.weights)
    # start, trained, two moments, average, total, gradient and rate factors, step of the rate; float64 nodes
    kept = (9 + trainer.shards + (trainer.bits > 0) + (trainer.patience > 0)) * real * weights
    kept += (40 if trainer.bits else 8) * weights  # rounding works in float64
    spikes = [item.spikes for item in (data, validation) if item is not None]
    events = sum(12 * len(item.times) + 8 * len(item.offsets) for item in spikes)
    largest = int(data.spikes.counts().max(initial=0))
    events += 4 * 12 * min(trainer.batch, len(data)) * largest  # a batch and its augmented copies
    widest = max((len(item) for item in (data, validation) if item is not None), default=0)
    states, outputs = stack.par.shape[1], len(stack.a_mean)
    results = (4 * states + 16 * outputs + 24) * max(trainer.batch, widest if validation is not None else 0)
    steps = data.spikes.n_steps(stack.network.semantics.dt)
    history = steps * int(stack.sizes[0, 1]) * real
    shard = TAPE * (8 + 8 + 6 * real) + history + 8 * steps * len(stack.sizes) + 24 * largest
    return int(kept + events + results + trainer.shards * shard)


def within_limit(bytes_needed: int, limit: float) -> None:
    """Raise `BadInput` (NB514) where a forecast is above ``limit`` GiB; 0 allows everything."""
    if limit and bytes_needed > limit * GIB:
        raise BadInput(
            f"training needs {bytes_needed / GIB:.3g} GiB of memory, expected at most {limit:g} (option "
            "memory_limit)",
            code="NB514",
            fix="lower batch or shards, use fewer neurons or a shorter duration, or raise memory_limit",
        )
