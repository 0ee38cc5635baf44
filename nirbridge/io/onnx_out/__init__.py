"""A graph's step as one ONNX model: a `Scan` over time whose states are the neurons' (NIR_TOOLKIT.md §9)."""

from nirbridge.io.onnx_out.file import write_model
from nirbridge.io.onnx_out.model import Exported, to_model
from nirbridge.io.onnx_out.state import State

__all__ = ["Exported", "State", "to_model", "write_model"]
