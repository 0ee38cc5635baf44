"""Passes: graph -> graph, each a frozen dataclass whose fields are its options, one a file."""

from nirbridge.passes.fold_delays import FoldDelays
from nirbridge.passes.fold_input_weight import FoldInputWeight
from nirbridge.passes.lower_delays import LowerDelays
from nirbridge.passes.pipeline import Pipeline
from nirbridge.passes.quantize_decays import QuantizeDecays
from nirbridge.passes.quantize_thresholds import QuantizeThresholds
from nirbridge.passes.quantize_weights import QuantizeWeights
from nirbridge.passes.rescale_lif import RescaleLif
from nirbridge.passes.round_delays import RoundDelays

__all__ = [
    "FoldDelays",
    "FoldInputWeight",
    "LowerDelays",
    "Pipeline",
    "QuantizeDecays",
    "QuantizeThresholds",
    "QuantizeWeights",
    "RescaleLif",
    "RoundDelays",
]
