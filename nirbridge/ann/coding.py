"""The whole conversion: an ANN and samples in, a spiking graph with its semantics out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import nir

from nirbridge.ann.balance import Activation, balance
from nirbridge.ann.encode import Encoding, encoding_of
from nirbridge.ann.options import RateCoding
from nirbridge.ann.rewrite import fold_normalization, replace_max_pools
from nirbridge.ann.spiking import spiking_graph
from nirbridge.ann.types import Ann
from nirbridge.data import Images
from nirbridge.errors import BadInput
from nirbridge.graph import GraphMetadata, read_metadata, write_metadata

KEY = "rate_coding"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RateCoded:
    """What `rate_code` gives: the graph, the ANN in the form that was converted, and what was measured.

    activations: of every spiking layer, on ``samples`` calibration samples.
    """

    graph: nir.NIRGraph
    ann: Ann
    encoding: Encoding
    activations: Mapping[str, Activation]
    samples: int


def rate_code(
    ann: Ann,
    images: Images,
    options: RateCoding | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> RateCoded:
    """A spiking graph of an ANN, its thresholds balanced on the first ``options.samples`` images.

    Normalisations are folded and max pools replaced first. The graph's semantics, in its metadata:
    subtraction of the threshold, a spike at V ≥ θ, I and IF add their input once a step, the read-out is
    V at the last step. ``metadata["nirbridge"]["rate_coding"]`` holds the input's coding. Raises what
    the steps raise.
    """
    options = options or RateCoding()
    used = images.head(options.samples).shaped(ann.shape)
    ready = replace_max_pools(fold_normalization(ann), options.max_pool)
    activations = balance(ready, used.values(), options.percentile, progress=progress)
    encoding = encoding_of(used, options.coding, steps=options.steps, dt=options.dt)
    scales = {name: activation.scale for name, activation in activations.items()}
    plain = spiking_graph(ready, scales, encoding.scale)
    metadata = GraphMetadata.model_validate(
        {
            "dt": options.dt,
            "semantics": {"reset": "subtract", "compare": ">="},
            "readout": "last",
            "classes": list(images.classes) or None,
            KEY: {
                "coding": encoding.coding,
                "scale": encoding.scale,
                "steps": encoding.steps,
                "percentile": options.percentile,
                "calibration_samples": len(used),
                "max_pool": options.max_pool,
            },
        }
    )
    graph = write_metadata(plain, metadata)
    return RateCoded(graph=graph, ann=ready, encoding=encoding, activations=activations, samples=len(used))


def encoding_in(graph: nir.NIRGraph) -> Encoding | None:
    """How a graph takes images, as its metadata say, or None where they say nothing about it.

    Raises `BadInput` (NB401) where they say it wrongly.
    """
    metadata = read_metadata(graph)
    said: Any = (metadata.model_extra or {}).get(KEY) if metadata is not None else None
    if metadata is None or said is None:
        return None
    good = (
        isinstance(said, dict)
        and said.get("coding") in ("current", "rate")
        and isinstance(said.get("scale"), int | float)
        and said["scale"] > 0
        and isinstance(said.get("steps"), int)
        and 1 <= said["steps"] <= 1_000_000
    )
    if not good:
        raise BadInput(
            f"metadata key '{KEY}' does not say coding, scale and steps",
            code="NB401",
            fix="convert the ANN again",
        )
    return Encoding(coding=said["coding"], scale=float(said["scale"]), steps=said["steps"], dt=metadata.dt)
