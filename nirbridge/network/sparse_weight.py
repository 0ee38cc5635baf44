"""The weight of a Linear with few synapses, for networks whose matrix would not fit in memory.

NIR knows only dense weights. A generated network of 10,000 neurons or more carries this object in their
place, in memory; whoever asks for an array gets the dense one, so that writing the graph gives plain NIR. The
reference reads such a file's weights as sparse ones again where they are few.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.network.sparse import Sparse


class SparseWeight:
    """Weights (n_post, n_pre) by source: source j reaches ``targets[start[j]:start[j+1]]``.

    start: (n_pre+1,) int64, rising from 0; targets: (n,) of integers, 0 ≤ target < n_post, kept as uint16
    where n_post ≤ 2¹⁶, else as int32; values: (n,) float32 or float64. Several synapses of one pair add.
    Arrays of these types are kept, not copied, and must not change. Raises `BadInput` (NB109) where they
    do not fit together.
    """

    ndim = 2

    def __init__(
        self,
        start: NDArray[np.int64],
        targets: NDArray[np.integer],
        values: NDArray[np.floating],
        n_post: int,
    ) -> None:
        ends = len(start) > 0 and start[0] == 0 and start[-1] == len(targets) and np.all(np.diff(start) >= 0)
        inside = not len(targets) or (targets.min() >= 0 and targets.max() < n_post)
        if not ends or not inside or len(targets) != len(values):
            raise BadInput(
                f"a sparse weight onto {n_post} units has {len(start)} starts, {len(targets)} targets and "
                f"{len(values)} values that do not fit together",
                code="NB109",
                fix="start rises from 0 to the number of targets; a target is below n_post",
            )
        self.start = np.asarray(start, np.int64)
        narrow: type[np.integer] = np.uint16 if n_post <= 2**16 else np.int32
        self.targets: NDArray[np.integer] = np.asarray(targets, narrow)
        self.values = values
        self.shape = (int(n_post), len(start) - 1)

    @property
    def dtype(self) -> np.dtype[np.floating]:
        return self.values.dtype

    @property
    def size(self) -> int:
        """Entries of the dense matrix."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return int(self.start.nbytes + self.targets.nbytes + self.values.nbytes)

    def sparse(self) -> Sparse:
        """The operator that lowering reads; shares the arrays."""
        return Sparse(self.start, self.targets, self.values, self.shape[0])

    def any(self, axis: tuple[int, ...]) -> NDArray[np.bool_]:
        """(n_post,) which outputs have a weight that is not zero; ``axis`` is that of the inputs."""
        return np.bincount(self.targets[self.values != 0], minlength=self.shape[0]) > 0

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.floating]:
        """The dense matrix. Raises `BadInput` (NB128) above 1 GiB."""
        return np.asarray(self.sparse(), self.dtype if dtype is None else dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> SparseWeight:
        return self
