"""Passes: graph -> graph, each a frozen dataclass whose fields are its options, one a file."""

from nirbridge.passes.fold_input_weight import FoldInputWeight
from nirbridge.passes.pipeline import Pipeline
from nirbridge.passes.quantize_weights import QuantizeWeights
from nirbridge.passes.rescale_lif import RescaleLif

__all__ = ["FoldInputWeight", "Pipeline", "QuantizeWeights", "RescaleLif"]
