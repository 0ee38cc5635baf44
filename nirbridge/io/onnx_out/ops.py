"""ONNX nodes in the order in which they are computed, under names that are unique in the whole model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from onnx import NodeProto, helper


@dataclass(slots=True)
class Ops:
    """The nodes of one graph. taken: names in use, shared with the graphs inside and around it."""

    taken: set[str]
    nodes: list[NodeProto] = field(default_factory=list)

    def name(self, wanted: str) -> str:
        """``wanted``, or the first of ``wanted:2``, ``wanted:3``, … that is free; it is taken from now on."""
        name, count = wanted, 1
        while name in self.taken:
            count += 1
            name = f"{wanted}:{count}"
        self.taken.add(name)
        return name

    def add(self, kind: str, inputs: Sequence[str], wanted: str, **attributes: Any) -> str:
        """Append a node with one output; node and output have the name that is returned."""
        name = self.name(wanted)
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name
