"""Learning rate of a batch, and what a validation metric decides: rate, end, best epoch.

Everything follows from the curve of finished epochs, so that a resumed training decides alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp


def rate(trainer: EventProp, curve: Sequence[dict[str, float]], count: int, per_epoch: int) -> float:
    """Learning rate of batch ``count`` (from 1), after the epochs of ``curve``; per_epoch: its batches."""
    value = trainer.lr
    if trainer.schedule == "exponential":
        value *= trainer.decay ** len(curve)
    elif trainer.schedule == "cosine":
        share = (count - 1) / max(per_epoch * trainer.epochs, 1)
        value *= 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))
    elif trainer.schedule == "plateau":
        value *= 0.5 ** halvings(metrics(trainer, curve), trainer.plateau)
    if trainer.ease_in > 1:
        exponent = min((count - 1) * math.log(trainer.ease_in), math.log(100.0))
        value *= math.exp(exponent) / 100.0
    return value


def metrics(trainer: EventProp, curve: Sequence[dict[str, float]]) -> list[float]:
    """The validation metric of each epoch, larger is better."""
    if trainer.metric == "loss":
        return [-entry["valid_loss"] for entry in curve]
    return [entry["valid_accuracy"] for entry in curve]


def halvings(values: Sequence[float], wait: int) -> int:
    """How often ``wait`` values in a row brought nothing better than the best before them."""
    found, best, since = 0, -math.inf, 0
    for value in values:
        best, since = (value, 0) if value > best else (best, since + 1)
        if since == wait:
            found, since = found + 1, 0
    return found


def is_best(values: Sequence[float]) -> bool:
    """True where the last value is better than all before it."""
    return len(values) == 1 or values[-1] > max(values[:-1])


def is_over(values: Sequence[float], patience: int) -> bool:
    """True where the best value is ``patience`` values old; never for patience 0."""
    return bool(patience) and len(values) - 1 - values.index(max(values)) >= patience if values else False
