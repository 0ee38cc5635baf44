"""A matrix of which only the entries that its making gives a value are held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput

MOST_BYTES = 1 << 30  # of the dense array that is made on request


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """A matrix by source: source j reaches ``targets[start[j]:start[j+1]]`` with ``values`` alike.

    start (n_in+1,) int64, targets (n,) integers, values (n,) floats; those of nodes are int64, ascending
    within a source, and float64.
    """

    start: NDArray[np.int64]
    targets: NDArray[np.integer]
    values: NDArray[np.floating]
    n_out: int

    @property
    def n_in(self) -> int:
        return len(self.start) - 1

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.floating]:
        """The matrix (n_out, n_in), in float64 where no type is asked for.

        Raises `BadInput` (NB128) above 1 GiB.
        """
        wanted = np.dtype(dtype if dtype is not None else np.float64)
        size = self.n_out * self.n_in * wanted.itemsize
        if size > MOST_BYTES:
            raise BadInput(
                f"a matrix of shape {(self.n_out, self.n_in)} takes {size / 2**30:.1f} GiB as a dense "
                f"array of {wanted}, expected at most {MOST_BYTES >> 30} GiB",
                code="NB128",
                fix="run the graph on target reference, which reads it as it is; for a file, another target "
                "or a pass that changes weights generate a smaller network",
            )
        full = np.zeros((self.n_out, self.n_in), wanted)
        np.add.at(full, (self.targets, np.repeat(np.arange(self.n_in), np.diff(self.start))), self.values)
        return full
