"""The options of a rate coding: the one dataclass behind the command line and the Python functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from nirbridge.ann.rewrite import MaxPools
from nirbridge.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class RateCoding:
    """How an ANN becomes a spiking graph.

    percentile: of a layer's positive activations on the calibration samples; that value is one spike.
    samples: calibration samples that are used, from the first.
    coding: of the input, ``current`` (the values themselves, in every step) or ``rate`` (spikes).
    steps: of one sample; longer is more exact. dt [s] of one step; it changes no spike.
    max_pool: see `replace_max_pools`.
    """

    percentile: float = 99.9
    samples: int = 512
    coding: Literal["current", "rate"] = "current"
    steps: int = 128
    dt: float = 1e-3
    max_pool: MaxPools = "relu"
    name: ClassVar[str] = "rate-coding"

    def __post_init__(self) -> None:
        for field, good, expected in (
            ("percentile", 0 < self.percentile <= 100, "above 0 and at most 100"),
            ("samples", self.samples >= 1, "at least 1"),
            ("coding", self.coding in ("current", "rate"), "current or rate"),
            ("steps", 1 <= self.steps <= 1_000_000, "1 to 1000000"),
            ("dt", self.dt > 0 and math.isfinite(self.dt), "a positive number of seconds"),
            ("max_pool", self.max_pool in ("relu", "average", "refuse"), "relu, average or refuse"),
        ):
            if not good:
                value = getattr(self, field)
                raise UsageError(f"{self.name}: {field} is {value!r}, expected {expected}", code="NB701")
