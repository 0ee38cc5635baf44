"""The number formats of a training: float32, float64, s16.15 and s8.23."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FormatName = Literal["float32", "float64", "s16.15", "s8.23"]
FRACTION_BITS: dict[str, int] = {"float32": 0, "float64": 0, "s16.15": 15, "s8.23": 23}


@dataclass(frozen=True, slots=True)
class Format:
    """A format as the kernels take it.

    Fixed point: α, β, 1−α, 1−β, τ_s, ϑ, W and G are rounded to multiples of 2^−F (ties to even), sums
    are exact, every product and quotient is rounded; 32 bits, so results are clamped to ±2^(31−F).
    stochastic: round products and quotients up with the probability of what is left over.
    """

    name: FormatName
    stochastic: bool = False

    @property
    def bits(self) -> int:
        """F, 0 for floats."""
        return FRACTION_BITS[self.name]

    @property
    def fixed(self) -> bool:
        return self.bits > 0

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of the arrays in the kernels."""
        return np.dtype(np.int64 if self.fixed else self.name)

    @property
    def real(self) -> np.dtype[np.floating]:
        """Of the gradient and of Adam's moments."""
        return np.dtype(np.float64 if self.name == "float64" else np.float32)

    @property
    def unit(self) -> float:
        """What one unit of a kernel's array stands for: 2^−F."""
        return 2.0**-self.bits

    @property
    def rule(self) -> NDArray[np.int64]:
        """(2,) for `arithmetic`: F and whether rounding is stochastic."""
        return np.array([self.bits, self.stochastic], np.int64)

    def numbers(self, values: NDArray[np.floating]) -> NDArray[np.generic]:
        """The values in this format, rounded to nearest; fixed point clamps to 32 bits."""
        if not self.fixed:
            return values.astype(self.dtype)
        whole = np.rint(values.astype(np.float64) * 2.0**self.bits)
        return np.clip(whole, -(2.0**31), 2.0**31 - 1).astype(np.int64)
