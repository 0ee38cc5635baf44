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
PICO = 1e12


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


def work_seconds(
    values: Mapping[str, float], synops: NDArray[np.int64], messages: NDArray[np.int64], neurons: int
) -> NDArray[np.float64]:
    """``max(t_0, …)`` of every step in seconds, without the share of the cores.

    synops, messages: (steps,) most on any core; neurons: most on any core.
    """
    t_0, t_s, t_n, t_m = time_constants(values)
    floor = max(t_0, t_n * neurons)
    work: NDArray[np.float64] = np.maximum(floor, np.maximum(t_s * synops, t_m * messages))
    return work
