"""Read a feed-forward ANN from an ``.onnx`` file: nothing outside it is read, nothing in it is run."""

from nirbridge.io.onnx_in.file import read, read_ann
from nirbridge.io.onnx_in.limits import OnnxLimits

__all__ = ["OnnxLimits", "read", "read_ann"]
