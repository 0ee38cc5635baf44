"""Which fields each NIR node type has: the one table that the reader, the writer and the rules share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nir


@dataclass(frozen=True, slots=True)
class NodeFields:
    """Fields of one node type as they stand in a file.

    required, optional: names, ``type`` and ``metadata`` aside.
    parameters: those that must have one shape, that of the node (scalars broadcast).
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


def _neuron(required: str, optional: str = "") -> NodeFields:
    names, more = tuple(required.split()), tuple(optional.split())
    return NodeFields(names, more, names + more)


FIELDS: dict[str, NodeFields] = {
    "Affine": NodeFields(("weight", "bias")),
    "AvgPool2d": NodeFields(("kernel_size", "stride", "padding")),
    "Conv1d": NodeFields(("weight", "stride", "padding", "dilation", "groups", "bias"), ("input_shape",)),
    "Conv2d": NodeFields(("weight", "stride", "padding", "dilation", "groups", "bias"), ("input_shape",)),
    "CubaLI": _neuron("tau_syn tau_mem r v_leak", "w_in"),
    "CubaLIF": _neuron("tau_syn tau_mem r v_leak v_threshold", "v_reset w_in"),
    "Delay": _neuron("delay"),
    "Flatten": NodeFields((), ("start_dim", "end_dim", "input_type")),
    "I": _neuron("r"),
    "IF": _neuron("r v_threshold", "v_reset"),
    "Input": NodeFields(("shape",)),
    "LI": _neuron("tau r v_leak"),
    "LIF": _neuron("tau r v_leak v_threshold", "v_reset"),
    "Linear": NodeFields(("weight",)),
    "NIRGraph": NodeFields(("nodes", "edges")),
    "Output": NodeFields(("shape",)),
    "Scale": _neuron("scale"),
    "SumPool2d": NodeFields(("kernel_size", "stride", "padding")),
    "Threshold": _neuron("threshold"),
}

STATEFUL = (nir.Input, nir.I, nir.LI, nir.IF, nir.LIF, nir.CubaLI, nir.CubaLIF, nir.Delay)
"""Node types with memory (SEMANTICS.md §1, rule 2)."""

NEURONS = (nir.I, nir.LI, nir.IF, nir.LIF, nir.CubaLI, nir.CubaLIF)


def type_name(node: nir.NIRNode) -> str:
    return type(node).__name__


def field_values(node: nir.NIRNode) -> Iterator[tuple[str, Any]]:
    """The fields of a node as a file names them, metadata aside; None where one is not set.

    ``shape`` of Input and Output is their port's, ``input_type`` of Flatten its input's.
    """
    fields = FIELDS.get(type_name(node))
    if fields is None or isinstance(node, nir.NIRGraph):
        return
    for name in fields.all:
        if name == "shape":
            key = "input" if isinstance(node, nir.Input) else "output"
            types = node.input_type if isinstance(node, nir.Input) else node.output_type
            yield name, (types or {}).get(key)
        elif name == "input_type":
            yield name, (node.input_type or {}).get("input")
        else:
            yield name, getattr(node, name, None)
