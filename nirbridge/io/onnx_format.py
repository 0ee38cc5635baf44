"""The file ending `.onnx` as a plugin of the group `nirbridge.formats`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import nir


@dataclass(frozen=True, slots=True)
class OnnxFormat:
    """ONNX models: a network's step is written, a feed-forward network of rectified units is read.

    states: the neurons' states are inputs and outputs of the written model, so that chunks can be chained.
    """

    endings: ClassVar[tuple[str, ...]] = (".onnx",)

    states: bool = False

    def read(self, path: Path) -> nir.NIRGraph:
        """The spiking network that the model becomes (see `nirbridge.io.onnx_in.read`)."""
        from nirbridge.io.onnx_in import read

        return read(path)

    def write(self, path: Path, graph: nir.NIRGraph) -> str:
        """Write the step of the graph (see `nirbridge.io.onnx_out.to_model`); says how large its state is."""
        from nirbridge.io.onnx_out import write_model

        states = write_model(path, graph, states=self.states).states
        size = sum(state.nbytes for state in states)
        where = "as inputs and outputs" if self.states else "inside"
        return f"{len(states)} states {where}, {size} bytes a sample"
