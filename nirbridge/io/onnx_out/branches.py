"""Weight nodes that are one matrix taken apart by delay, so that a model holds the matrix once.

Delays per synapse stand in a graph as weight nodes ``<n>_w<k>`` side by side, one for each distinct delay
(NIR_TOOLKIT.md §5): each is as large as the whole and has zeros where the others have weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.graph.quantization import Quantization, quantization_of

_BRANCH = re.compile(r"(.+)_w\d+")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Branch:
    """One weight node of a matrix that several share.

    stem: name of the whole. weight: (n_out, n_in), all branches together, with ``quantization`` where it
    is quantised. index: (n_out, n_in), number of the branch that each weight belongs to. number: its own.
    """

    stem: str
    weight: NDArray[np.float32]
    quantization: Quantization | None
    index: NDArray[np.integer]
    number: int


def branches_of(nodes: Mapping[str, nir.NIRNode]) -> dict[str, Branch]:
    """The nodes that share a matrix, by name: no two of one stem have a weight in the same place."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name, node in sorted(nodes.items()):
        found = _BRANCH.fullmatch(name)
        if found and isinstance(node, nir.Linear | nir.Affine) and np.ndim(node.weight) == 2:
            q = quantization_of(node, name)
            scale = None if q is None else (q.scale.tobytes(), q.zero_point, q.bits, q.axis)
            groups.setdefault((found[1], np.shape(node.weight), scale), []).append(name)
    result: dict[str, Branch] = {}
    stems = [key[0] for key, names in groups.items() if len(names) > 1]
    for (stem, *_), names in groups.items():
        if len(names) > 1 and stems.count(stem) == 1 and stem not in nodes:
            result |= _shared(stem, {name: nodes[name] for name in names})
    return result


def _shared(stem: str, members: Mapping[str, Any]) -> dict[str, Branch]:
    """The branches, or none of them where two overlap."""
    weights = [np.asarray(node.weight, dtype=np.float32) for node in members.values()]
    used = [weight != 0 for weight in weights]
    if np.any(np.sum(used, axis=0) > 1):
        return {}
    whole = np.zeros_like(weights[0])
    quantization = None
    for (name, node), weight, mask in zip(members.items(), weights, used, strict=True):
        whole[mask] = weight[mask]
        q = quantization_of(node, name)
        if q is not None and quantization is not None:
            q = replace(q, q=np.where(mask, q.q, quantization.q))
        quantization = q
    index = np.argmax(used, axis=0).astype(np.uint8 if len(members) <= 256 else np.int32)
    return {
        name: Branch(stem=stem, weight=whole, quantization=quantization, index=index, number=number)
        for number, name in enumerate(members)
    }
