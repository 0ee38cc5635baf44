"""Integer weights behind a float weight: ``node.metadata["nirbridge_q"]`` (NIR_TOOLKIT.md §5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput

KEY = "nirbridge_q"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Quantization:
    """weight = float32((q − zero_point)·scale), product in float64, bit for bit.

    q: int8, the weight's shape. scale: float32, (1,) or (shape[axis],) broadcast along ``axis``
    (−1: one scale for the whole array). bits: 2 to 8.
    """

    q: NDArray[np.int8]
    scale: NDArray[np.float32]
    zero_point: int = 0
    bits: int = 8
    axis: int = -1

    def weight(self) -> NDArray[np.float32]:
        """The float32 weight that these integers stand for."""
        scale = self.scale.astype(np.float64)
        if self.axis >= 0:
            shape = [1] * self.q.ndim
            shape[self.axis] = len(scale)
            scale = scale.reshape(shape)
        else:
            scale = scale.reshape(-1)[0]
        return ((self.q.astype(np.int64) - self.zero_point) * scale).astype(np.float32)

    def as_metadata(self) -> dict[str, Any]:
        """The value of ``node.metadata["nirbridge_q"]``."""
        return {
            "q": self.q,
            "scale": self.scale,
            "zero_point": self.zero_point,
            "bits": self.bits,
            "axis": self.axis,
        }


def quantization_of(node: nir.NIRNode, name: str) -> Quantization | None:
    """The integers behind a node's weight, or None where it is not quantised.

    Raises `BadInput` (NB403) where the stored integers do not give the stored weight.
    """
    if KEY not in node.metadata:
        return None
    raw = node.metadata[KEY]
    try:
        result = Quantization(
            q=np.asarray(raw["q"], dtype=np.int8),
            scale=_scale(raw["scale"]),
            zero_point=int(raw["zero_point"]),
            bits=int(raw["bits"]),
            axis=int(raw["axis"]),
        )
        agrees = np.array_equal(result.weight(), np.asarray(getattr(node, "weight", None), np.float32))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadInput(
            f"node '{name}': metadata '{KEY}' is not readable: {error}", code="NB403", fix="quantise again"
        ) from error
    if not agrees:
        raise BadInput(
            f"node '{name}': the stored integers times their scale are not the stored weight",
            code="NB403",
            fix="remove the key and quantise again: the weight was edited after quantisation",
        )
    return result


def _scale(raw: Any) -> NDArray[Any]:
    """The stored scale; one that another tool kept in float64 is not rounded."""
    scale = np.atleast_1d(np.asarray(raw))
    return scale if scale.dtype == np.float64 else scale.astype(np.float32)
