"""What a network remembers from one step to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """One state of a sample, float32 of ``shape``; in the model it has the batch in front, (B, *shape).

    name: ``<node>.v`` (membrane), ``<node>.i`` (synaptic current), ``<node>.s`` (what the node sent in
    the step before) or ``<node>.d`` (the last inputs of a Delay, oldest first). start: before step 0.
    """

    name: str
    shape: Shape
    start: NDArray[np.float32]

    @property
    def after(self) -> str:
        """Name of its value after the last step."""
        return f"{self.name}.next"

    @property
    def nbytes(self) -> int:
        """Bytes of one sample's state."""
        return 4 * int(np.prod(self.shape, dtype=np.int64))

    def as_dict(self) -> dict[str, Any]:
        """Name in, name out, shape of one sample, and the start: one number, or one for each element."""
        start = self.start.reshape(-1)
        same = bool(np.all(start == start[:1]))
        return {
            "name": self.name,
            "next": self.after,
            "shape": list(self.shape),
            "start": float(start[0]) if same and start.size else start.tolist(),
        }
