"""Write a graph as an `.onnx` file."""

from __future__ import annotations

from pathlib import Path

import nir
import onnx

from nirbridge.io.atomic import atomic_path
from nirbridge.io.onnx_out.model import Exported, to_model


def write_model(path: Path, graph: nir.NIRGraph, *, states: bool = False) -> Exported:
    """Write `to_model` of the graph to ``path``, atomically; an old file stays if anything fails."""
    exported = to_model(graph, states=states)
    with atomic_path(Path(path)) as temporary:
        onnx.save_model(exported.model, temporary, format="protobuf")
    return exported
