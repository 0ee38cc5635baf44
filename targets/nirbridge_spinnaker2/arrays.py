"""A lowered network as the flat arrays that the compiled time loop reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.spikes import Spikes
from nirbridge_spinnaker2.kernels import Events, Neurons, Slices, Synapses
from nirbridge_spinnaker2.lowering import Lowered, Projection
from nirbridge_spinnaker2.partition import Partition


def events_of(spikes: Spikes, dt: float) -> Events:
    """Input events by sample and step; several of one channel in one step stay several."""
    return Events(spikes.offsets, spikes.steps(dt).astype(np.int32), spikes.units)


def neurons_of(lowered: Lowered, dtype: np.dtype[np.floating]) -> Neurons:
    """Coefficients of all populations one after the other, in the arithmetic of the run."""

    def joined(name: str) -> NDArray[np.floating]:
        return np.concatenate([getattr(layer, name) for layer in lowered.layers]).astype(dtype)

    return Neurons(
        start=np.concatenate([[0], np.cumsum([layer.size for layer in lowered.layers])]).astype(np.int64),
        cuba=np.array([layer.population.cuba for layer in lowered.layers]),
        alpha=joined("alpha"),
        delta=joined("delta"),
        theta=joined("theta"),
        i_offset=joined("i_offset"),
        subtract=lowered.network.semantics.reset == "subtract",
    )


def slices_of(part: Partition) -> Slices:
    """PEs of every population with what the central cost corner charges them, for peaks and overruns."""
    cores = [core for core in part.placement.cores if "base_cycles" in core.detail]
    return Slices(
        first=np.concatenate([[0], np.cumsum([len(sizes) for sizes in part.slices])]).astype(np.int64),
        neurons=np.array([core.neurons for core in cores], np.int64),
        base_cycles=np.array([core.detail["base_cycles"] for core in cores], np.float64),
        costs=np.array([cores[0].detail["cycles_per_synop"], cores[0].detail["tick_cycles"]]),
    )


class _Column:
    """One flat array made of pieces; ``add`` returns where the piece begins."""

    def __init__(self, dtype: type[np.generic]) -> None:
        self.dtype, self.pieces, self.length = dtype, [np.zeros(0, dtype)], 0

    def add(self, piece: NDArray[Any]) -> int:
        at = self.length
        self.pieces.append(np.ascontiguousarray(piece, self.dtype).reshape(-1))
        self.length += piece.size
        return at

    def flat(self) -> NDArray[Any]:
        return np.concatenate(self.pieces)


def synapses_of(lowered: Lowered, sizes: Sequence[Sequence[int]]) -> Synapses:
    """All projections; ``sizes``: neurons of every slice of every population."""
    row_of, dense, begin = _Column(np.int32), _Column(np.int8), _Column(np.int64)
    index, weight = _Column(np.int32), _Column(np.int8)
    nonzero, fan = _Column(np.int32), _Column(np.int32)
    table: list[tuple[int, ...]] = []
    for target, layer in enumerate(lowered.layers):
        edges = np.concatenate([[0], np.cumsum(sizes[target])]).astype(np.int64)
        for projection in layer.projections:
            rows = projection.rows
            starts = [row_of.add(rows.row_of), -1, -1, nonzero.add(rows.nonzero()), -1]
            if rows.dense is not None:
                starts[1] = dense.add(rows.dense)
            elif rows.start is not None and rows.index is not None and rows.weight is not None:
                starts[2] = begin.add(rows.start + index.add(rows.index))
                weight.add(rows.weight)
                starts[4] = fan.add(rows.fan(edges))
            table.append((_source(lowered, projection), target, *starts))
    columns = np.array(table, np.int64).reshape(-1, 7)
    return Synapses(
        source=np.ascontiguousarray(columns[:, 0]),
        target=np.ascontiguousarray(columns[:, 1]),
        table=np.ascontiguousarray(columns[:, 2:]),
        row_of=row_of.flat(),
        dense=dense.flat(),
        begin=begin.flat(),
        index=index.flat(),
        weight=weight.flat(),
        nonzero=nonzero.flat(),
        fan=fan.flat(),
    )


def _source(lowered: Lowered, projection: Projection) -> int:
    layer = lowered.layer_of(projection.source)
    return -1 if layer is None else layer
