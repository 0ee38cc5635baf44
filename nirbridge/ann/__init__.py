"""Feed-forward ANNs: their own answer, and the rate-coded spiking graph that gives it too.

An `Ann` is a list of layers read from a file (`nirbridge.io.onnx_in`). `rate_code` makes a NIR graph of
it whose IF neurons fire at rates in proportion to its activations on calibration samples.
"""

from nirbridge.ann.balance import Activation, balance
from nirbridge.ann.coding import RateCoded, encoding_in, rate_code
from nirbridge.ann.encode import Encoding, encoding_of
from nirbridge.ann.forward import batches, forward
from nirbridge.ann.options import RateCoding
from nirbridge.ann.rewrite import fold_normalization, replace_max_pools
from nirbridge.ann.shapes import layer_shape, shapes_of
from nirbridge.ann.spiking import spiking_graph
from nirbridge.ann.types import Ann, Layer, Op, Window

__all__ = [
    "Activation",
    "Ann",
    "Encoding",
    "Layer",
    "Op",
    "RateCoded",
    "RateCoding",
    "Window",
    "balance",
    "batches",
    "encoding_in",
    "encoding_of",
    "fold_normalization",
    "forward",
    "layer_shape",
    "rate_code",
    "replace_max_pools",
    "shapes_of",
    "spiking_graph",
]
