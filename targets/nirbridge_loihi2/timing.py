"""Time of a step: the max-affine form of arXiv 2601.10035 with fitted constants (LOIHI2.md §5).

``t_step = t_c·cores + max(t_0, max_core max(t_s·synops, t_n·neurons, t_m·messages))``
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nirbridge.cost import Coefficients, load

_CONSTANTS = ("t_0", "t_s", "t_n", "t_m")
BOUND = ("steps", "synops", "neurons", "messages")  # what they multiply


@cache
def coefficients() -> Coefficients:
    """The cited coefficients of this package."""
    return load("nirbridge_loihi2")


def corner_names() -> dict[tuple[float, ...], str]:
    """The name of every corner by its time constants in seconds, t_0, t_s, t_n, t_m."""
    return {time_constants(values): name for name, values in coefficients().corner_values().items()}


def time_constants(values: Mapping[str, float]) -> tuple[float, ...]:
    """t_0, t_s, t_n, t_m in seconds."""
    return tuple(values[name] for name in _CONSTANTS)


def binding(
    values: Mapping[str, float], synops: NDArray[np.int64], messages: NDArray[np.int64], neurons: int
) -> NDArray[np.int64]:
    """What t_0, t_s, t_n and t_m multiply, (4, steps): in every step only the largest product counts.

    synops, messages: (steps,) most on any core; neurons: most on any core.
    """
    counts = np.stack([np.ones_like(synops), synops, np.full_like(synops, neurons), messages])
    largest = np.argmax(counts * np.array(time_constants(values))[:, None], axis=0)
    return np.asarray(np.where(largest == np.arange(4)[:, None], counts, 0), dtype=np.int64)
