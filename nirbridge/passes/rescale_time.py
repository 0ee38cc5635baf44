"""Seconds or milliseconds: the unit in which a file states time constants and delays."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.graph import inline, read_metadata, replace_nodes, write_metadata
from nirbridge.network import build
from nirbridge.passes.gains import keep_gains
from nirbridge.passes.row_scaling import float_like
from nirbridge.semantics import semantics_of, with_semantics

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


@dataclass(frozen=True)
class RescaleTime:
    """Every τ and delay times old unit/new unit, and the new ``time_unit`` in the metadata.

    Where a gain counts in file units (``gain: dirac``, ``integrate: time``) r and w_in are scaled against
    it. dt is in seconds and stays.

    What stays equal: every time constant and delay in seconds, so every spike time, up to float rounding.
    """

    unit: Literal["s", "ms", "us"] = "s"
    name: ClassVar[str] = "rescale-time"
    law: ClassVar[str] = "spike times unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        old = semantics_of(flat)
        new = replace(old, time_unit=SECONDS[self.unit])
        if new == old:
            return flat
        changed: dict[str, nir.NIRNode] = {}
        for p in build(flat, old, keep_delays=True).populations:
            node: Any = deepcopy(flat.nodes[p.name])
            for field in ("tau", "tau_mem", "tau_syn", "delay"):
                if hasattr(node, field):
                    setattr(node, field, _scaled(getattr(node, field), old.time_unit, new.time_unit))
            if p.is_neuron:
                keep_gains(node, p, new)
            changed[p.name] = node
        return _without_steps(with_semantics(replace_nodes(flat, changed), new))


def _scaled(value: Any, old: float, new: float) -> NDArray[Any]:
    """Multiplied by a power of ten that is a whole number, or divided by one, so that it rounds once."""
    array = np.asarray(value)
    wide = array.astype(np.float64)
    return float_like(array, wide * (old / new) if old >= new else wide / (new / old))


def _without_steps(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The key ``in_steps`` (a NetX file's) would let any dt become the unit again."""
    metadata = read_metadata(graph)
    if metadata is None or not (metadata.model_extra or {}).get("in_steps"):
        return graph
    values = metadata.model_dump(by_alias=True)
    del values["in_steps"]
    return write_metadata(graph, type(metadata).model_validate(values))
