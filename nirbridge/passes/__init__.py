"""Passes: graph -> graph, each a frozen dataclass whose fields are its options, one a file."""

from nirbridge.passes.fold_batchnorm import FoldBatchnorm
from nirbridge.passes.fold_delays import FoldDelays
from nirbridge.passes.fold_input_weight import FoldInputWeight
from nirbridge.passes.fold_scale import FoldScale
from nirbridge.passes.fuse_affine import FuseAffine
from nirbridge.passes.inline import Inline
from nirbridge.passes.lower_delays import LowerDelays
from nirbridge.passes.nest import Nest
from nirbridge.passes.pipeline import Pipeline
from nirbridge.passes.quantize_biases import QuantizeBiases
from nirbridge.passes.quantize_decays import QuantizeDecays
from nirbridge.passes.quantize_thresholds import QuantizeThresholds
from nirbridge.passes.quantize_weights import QuantizeWeights
from nirbridge.passes.remove_dead import RemoveDead
from nirbridge.passes.rename import Rename
from nirbridge.passes.rescale_lif import RescaleLif
from nirbridge.passes.rescale_time import RescaleTime
from nirbridge.passes.round_delays import RoundDelays
from nirbridge.passes.set_nir_version import SetNirVersion
from nirbridge.passes.shift_reset import ShiftReset
from nirbridge.passes.strict_threshold import StrictThreshold
from nirbridge.passes.to_euler import ToEuler
from nirbridge.passes.to_exact import ToExact

__all__ = [
    "FoldBatchnorm",
    "FoldDelays",
    "FoldInputWeight",
    "FoldScale",
    "FuseAffine",
    "Inline",
    "LowerDelays",
    "Nest",
    "Pipeline",
    "QuantizeBiases",
    "QuantizeDecays",
    "QuantizeThresholds",
    "QuantizeWeights",
    "RemoveDead",
    "Rename",
    "RescaleLif",
    "RescaleTime",
    "RoundDelays",
    "SetNirVersion",
    "ShiftReset",
    "StrictThreshold",
    "ToEuler",
    "ToExact",
]
