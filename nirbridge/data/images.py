"""Samples that are arrays of values, such as images: what an ANN is calibrated and measured on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """``n`` samples of one shape.

    x: (n, *shape), integers or floats; ``scale·x`` is what the ANN receives (uint8 pixels: 1/255).
    labels: (n,) int64 in 0 … len(classes)−1, or None. classes: names in label order, may be empty.
    source: what the samples came from, for messages.

    Raises `BadInput` (NB513) where the arrays do not agree or hold other things than finite numbers.
    """

    x: NDArray[Any]
    scale: float = 1.0
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    source: str = "memory"

    def __post_init__(self) -> None:
        if self.x.dtype.kind not in "iuf" or self.x.ndim < 2 or self.x.size == 0:
            raise self._bad(
                f"x has shape {self.x.shape} and dtype {self.x.dtype}, "
                "expected at least one sample (n, ...) of numbers"
            )
        if self.x.dtype.kind == "f" and not np.isfinite(self.x).all():
            raise self._bad("x holds values that are not finite")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise self._bad(f"scale is {self.scale:g}, expected a positive number")
        if self.labels is None:
            return
        labels = np.asarray(self.labels)
        if labels.shape != (len(self.x),) or labels.dtype.kind not in "iu":
            raise self._bad(
                f"{len(self.x)} samples but labels of shape {labels.shape} and dtype {labels.dtype}, "
                "expected one whole number a sample"
            )
        if labels.min() < 0 or (self.classes and labels.max() >= len(self.classes)):
            raise self._bad(
                f"labels run from {labels.min()} to {labels.max()} with {len(self.classes)} class names"
            )
        object.__setattr__(self, "labels", labels.astype(np.int64))

    def _bad(self, message: str) -> BadInput:
        return BadInput(
            f"{self.source}: {message}",
            code="NB513",
            fix="give an .npz with x (n, ...), optionally y (n,), classes and scale",
        )

    def __len__(self) -> int:
        return len(self.x)

    def select(self, samples: slice) -> Images:
        """These samples."""
        labels = None if self.labels is None else self.labels[samples]
        return replace(self, x=self.x[samples], labels=labels)

    def head(self, n: int | None) -> Images:
        """The first ``n`` samples; all of them if ``n`` is None or beyond."""
        return self if n is None or n >= len(self) else self.select(slice(0, n))

    def shaped(self, shape: tuple[int, ...]) -> Images:
        """The samples in this shape: axes of length 1 may come and go, and a flat shape takes any.

        Raises `BadInput` (NB513) for every other difference, such as channels that stand last.
        """
        own = self.x.shape[1:]
        same = [n for n in own if n != 1] == [n for n in shape if n != 1]
        if not same and not (len(shape) == 1 and math.prod(own) == shape[0]):
            raise BadInput(
                f"{self.source}: samples have shape {own}, the ANN takes {shape}",
                code="NB513",
                fix="store the samples with channels first, in the shape that the ANN takes",
            )
        return replace(self, x=self.x.reshape(len(self.x), *shape))

    def values(self) -> NDArray[np.float32]:
        """What the ANN receives, (n, *shape) float32."""
        return np.asarray(self.x, np.float32) * np.float32(self.scale)
