"""SpiNNaker2: int8 inference by the py-spinnaker2 import rules, on-chip EventProp, memory, time, power."""

from nirbridge_spinnaker2.target import Spinnaker2
from nirbridge_spinnaker2.training import ChipEventProp

__all__ = ["ChipEventProp", "Spinnaker2"]
