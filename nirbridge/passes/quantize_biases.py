"""Biases as a mantissa and an exponent in steps of the weights, as chips add them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import UsageError
from nirbridge.graph import inline, replace_nodes
from nirbridge.network import Network, Population, build, window_of
from nirbridge.network.windows import bias_of
from nirbridge.passes.population_scale import population_scale
from nirbridge.passes.row_scaling import ROUNDING, float_like, refused

Floats = NDArray[np.float64]
MANTISSA, MOST = 4095, 7  # 13 bits signed, exponents up to 7: Loihi's fields (LOIHI2.md §1)


@dataclass(frozen=True)
class QuantizeBiases:
    """Each bias becomes m·2^(e−6) weight steps, m a whole number of 13 bits (|m| ≤ 4095).

    A weight step is Δ = scale·b_s·b_m, what an integer weight of 1 adds to V (LOIHI2.md §3). e is
    ``exponent`` (6: whole weight steps, what a NetX file holds), or 7 for a population that needs it. The
    leak (1−a_m)·v_leak and each bias of a weight node are rounded by themselves. A bias in front of a
    synapse (CubaLIF, CubaLI) moves into v_leak with its steady value, b_s·b_m·B/(1−a_s): a chip adds
    biases to the membrane.

    What stays equal: the graph where its biases are such multiples already; else each term of a bias errs
    by half of 2^(e−6) weight steps at most, and one behind a synapse acts at once instead of building up.
    Raises `Unsupported`: NB212 for biases beyond 13 bits or weights that are no integers yet, NB202 for a
    weight node with a bias whose targets differ in having a synapse.
    """

    exponent: int = 6
    name: ClassVar[str] = "quantize-biases"
    law: ClassVar[str] = "bias errs by half a weight step at most, steady value kept behind a synapse"

    def __post_init__(self) -> None:
        if not 0 <= self.exponent <= MOST:
            raise UsageError(
                f"quantize-biases: exponent is {self.exponent}, expected 0 to {MOST}", code="NB701"
            )

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        network = build(flat, keep_delays=True)
        semantics = network.semantics
        changed: dict[str, nir.NIRNode] = {}
        moved: dict[str, bool] = {}
        for at in network.neurons:
            p = network.populations[at]
            if p.cuba and (semantics.bias_path != "synapse" or semantics.syn_input != "after"):
                continue  # no chip that keeps 13-bit biases runs these
            given = _biases(network, at)
            if not given and not np.any(p.leak):
                continue
            found = population_scale(network, at, "the bias")
            scale = 1.0 if found is None else found  # the Input alone feeds it
            leak = p.leak.copy()
            node: Any
            for name, bias in given.items():
                if moved.setdefault(name, p.cuba) != p.cuba:
                    raise refused(
                        "NB202",
                        name,
                        f"weight node '{name}' has a bias and feeds '{p.name}' and another node, of which "
                        "one has a synapse",
                        "give each target its own copy of the weight node",
                    )
                node = flat.nodes[name]
                if p.cuba:
                    leak += bias * p.b_s * p.b_m / (1.0 - p.a_s)
                    changed[name] = _with(node, "bias", np.zeros(np.shape(node.bias)))
                    continue
                own: Floats = np.asarray(node.bias, dtype=np.float64)
                rounded = self._rounded(p, own, np.array(scale))
                if not _is(own, rounded):
                    changed[name] = _with(node, "bias", rounded)
            rounded = self._rounded(p, leak, scale * p.b_s * p.b_m)
            if not _is(p.leak, rounded):
                node = flat.nodes[p.name]
                shape = np.shape(node.v_leak) if np.size(node.v_leak) == p.size else p.shape
                changed[p.name] = _with(node, "v_leak", (rounded / (1.0 - p.a_m)).reshape(shape))
        return replace_nodes(flat, changed)

    def _rounded(self, p: Population, bias: Floats, quantum: Floats) -> Floats:
        """Biases in whole steps of the smallest exponent with which all mantissas have 13 bits."""
        if not np.any(bias):
            return bias
        for exponent in range(self.exponent, MOST + 1):
            step = quantum * 2.0 ** (exponent - 6)
            mantissa = np.rint(bias / step)
            if np.abs(mantissa).max() <= MANTISSA:
                return np.asarray(mantissa * step, dtype=np.float64)
        largest = np.abs(bias / quantum).max()
        raise refused(
            "NB212",
            p.name,
            f"node '{p.name}': a bias of {largest:.6g} weight steps, expected at most "
            f"{MANTISSA * 2 ** (MOST - 6)}",
            "make biases and v_leak smaller against the largest weight",
        )


def _biases(network: Network, at: int) -> dict[str, Floats]:
    """Biases of the weight nodes into a population that are not 0, (n,) each."""
    found: dict[str, Floats] = {}
    for stage in network.drives[at].stages:
        node: Any = stage.node
        if isinstance(node, nir.Conv1d | nir.Conv2d):
            bias = bias_of(node, window_of(node, stage.name, stage.in_shape).out_shape(stage.in_shape))
        else:
            bias = getattr(node, "bias", None)
        if bias is not None and np.any(bias):
            size = network.populations[at].size
            found[stage.name] = np.broadcast_to(np.asarray(bias, np.float64).reshape(-1), (size,))
    return found


def _is(old: Floats, new: Floats) -> bool:
    """Whether values differ by no more than float32 storage explains."""
    return bool(np.all(np.abs(new - old) <= ROUNDING * np.abs(new)))


def _with(node: Any, field: str, values: Floats) -> nir.NIRNode:
    """A copy of the node with other values, in the float type that it had."""
    result: Any = deepcopy(node)
    setattr(result, field, float_like(getattr(node, field), values))
    changed: nir.NIRNode = result
    return changed
