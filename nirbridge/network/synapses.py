"""The drive of a population as weight matrices from other populations: what dense targets need."""

from __future__ import annotations

from dataclasses import dataclass

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput, Finding, Unsupported
from nirbridge.network.operators import WINDOWS, operator
from nirbridge.network.sparse import Sparse
from nirbridge.network.types import Network, Source, Stage


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Synapses:
    """Weights from one population to another.

    name: the weight node, or None for a plain edge (then ``weight`` is None: the identity).
    source, target: indices into `Network.populations`; delay: steps, 0 or 1.
    weight: (n_post, n_pre) float64. bias: (n_post,) float64 or None, added in every step; a weight
    node that sums several sources carries it on its first one only.
    """

    name: str | None
    node: nir.NIRNode | None
    source: int
    target: int
    delay: int
    weight: NDArray[np.float64] | None
    bias: NDArray[np.float64] | None


def synapses(network: Network, target: int) -> tuple[Synapses, ...]:
    """All synapses into a population, in name order of the nodes that carry them.

    Raises `Unsupported` (NB202) where two pass-through nodes stand in series, (NB201) for convolutions
    and pools, `BadInput` (NB128) for weights that are too large as a dense matrix.
    """
    drive = network.drives[target]
    for_stage: list[list[Synapses]] = []
    for stage in drive.stages:
        if isinstance(stage.node, WINDOWS):
            message = f"node '{stage.name}' ({type(stage.node).__name__}) is no dense weight matrix"
            finding = Finding(code="NB201", level="error", node=stage.name, message=message)
            raise Unsupported(message, code="NB201", findings=[finding])
        op = operator(stage.node, stage.name, stage.in_shape)
        matrix = None if op.matrix is None else dense(op.matrix, stage)
        found: list[Synapses] = []
        for at, source in enumerate(stage.inputs):
            if not isinstance(source, Source):
                message = (
                    f"nodes '{drive.stages[source].name}' and '{stage.name}' stand in series without a "
                    "neuron between them"
                )
                fix = "multiply their weights into one node"
                finding = Finding(code="NB202", level="error", node=stage.name, message=message, fix=fix)
                raise Unsupported(message, code="NB202", fix=fix, findings=[finding])
            found.append(
                Synapses(
                    name=stage.name,
                    node=stage.node,
                    source=source.population,
                    target=target,
                    delay=source.delay,
                    weight=matrix,
                    bias=op.bias if at == 0 else None,
                )
            )
        for_stage.append(found)
    result: list[Synapses] = []
    for item in drive.inputs:
        if isinstance(item, Source):
            result.append(
                Synapses(
                    name=None,
                    node=None,
                    source=item.population,
                    target=target,
                    delay=item.delay,
                    weight=None,
                    bias=None,
                )
            )
        else:
            result.extend(for_stage[item])
    return tuple(result)


def dense(matrix: NDArray[np.float64] | Sparse, stage: Stage) -> NDArray[np.float64]:
    """The operator's matrix (n_out, n_in); raises `BadInput` (NB128) by node above 1 GiB."""
    try:
        return np.asarray(matrix, np.float64)
    except BadInput as error:
        message = f"node '{stage.name}' ({type(stage.node).__name__}): {error.message}"
        raise BadInput(message, code=error.code, fix=error.fix) from None
