"""What an ONNX file may take up, and the errors for one that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nirbridge.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxLimits:
    """Limits of a file; raise them for one that you trust.

    max_bytes: of the file, all its tensors inside. max_fields: entries of all its messages together.
    max_depth: messages inside messages. max_nodes: operators of the graph.
    """

    max_bytes: int = 1 << 30
    max_fields: int = 500_000
    max_depth: int = 32
    max_nodes: int = 20_000


def refused(path: Path, message: str, *, code: str, fix: str | None = None) -> BadInput:
    """The error for an ONNX file that cannot be used as it is."""
    return BadInput(f"{path}: {message}", code=code, fix=fix or "export the model again")
