"""The graph, the data and a verdict in words, as the report shows them."""

from __future__ import annotations

import nir
import numpy as np

from nirbridge.data import Dataset
from nirbridge.evaluate.running import Run
from nirbridge.graph import digest, read_metadata
from nirbridge.graph.digest import node_fields
from nirbridge.report import DataSummary, GraphSummary, Versus
from nirbridge.semantics import semantics_of


def graph_summary(graph: nir.NIRGraph, file: str) -> GraphSummary:
    """Nodes with type, shape, number of parameters and ranges; edges; what the metadata say."""
    metadata = read_metadata(graph)
    nodes = []
    for name in sorted(graph.nodes):
        node = graph.nodes[name]
        values = {} if isinstance(node, nir.NIRGraph) else node_fields(node)
        arrays = {
            key: np.asarray(value)
            for key, value in values.items()
            if not isinstance(value, str) and value is not None and key != "shape"
        }
        shape = (node.output_type or {}).get("output")
        nodes.append(
            {
                "name": name,
                "type": type(node).__name__,
                "shape": [int(n) for n in np.atleast_1d(shape)] if shape is not None else [],
                "parameters": int(sum(a.size for a in arrays.values())),
                "fields": {
                    key: {"shape": list(a.shape), "min": float(a.min()), "max": float(a.max())}
                    for key, a in arrays.items()
                    if a.size and np.issubdtype(a.dtype, np.number)
                },
            }
        )
    return GraphSummary(
        file=file,
        digest=digest(graph),
        dt=semantics_of(graph).dt,
        nodes=tuple(nodes),
        edges=tuple((str(a), str(b)) for a, b in sorted(map(tuple, graph.edges))),
        readout=(metadata.readout if metadata else None) or "",
        training=metadata.training if metadata else None,
        history=tuple(h.model_dump(by_alias=True) for h in metadata.history) if metadata else (),
    )


def data_summary(data: Dataset, cut: int) -> DataSummary:
    """What ran: number and length of samples, spikes per sample, classes."""
    return DataSummary(
        file=data.source,
        n_samples=len(data),
        classes=data.classes,
        n_units=data.spikes.n_units,
        duration_s=data.spikes.duration,
        spikes_per_sample=len(data.spikes.times) / max(len(data), 1),
        cut_spikes=cut,
    )


def verdict(spec: str, done: Run, versus: Versus | None) -> str:
    """One sentence: does it fit, what accuracy, what differs, on which basis energy stands."""
    placement = done.program.placement
    parts = []
    if placement.core_name != "process":
        fits = "fits" if placement.fits else "does not fit"
        parts.append(f"{fits} on {len(placement.cores)} of {placement.available} {placement.core_name}s")
    if done.accuracy is not None:
        parts.append(f"{done.correct} of {done.recording.n_samples} samples right ({done.accuracy:.3f})")
    if versus is not None:
        change = versus.change
        if change is not None:
            parts.append(f"{change.change:+d} ± {change.se:.1f} samples against the first target")
        if versus.first_difference is None:
            parts.append("every spike agrees")
        elif versus.spikes_agree is not None:
            parts.append(
                f"{100 * versus.spikes_agree:.1f} % of spikes agree, the first that differs is "
                f"{versus.first_difference}"
            )
    energy = done.cost.energy
    parts.append("energy unknown" if energy is None else f"energy {energy.basis}")
    if done.cost.overruns:
        parts.append("work misses its tick (overruns), computed as if in time")
    deployable = "Deployable" if placement.fits else "Not deployable"
    lead = "Reference run" if placement.core_name == "process" else deployable
    return f"{lead}: {'; '.join(parts)}."
