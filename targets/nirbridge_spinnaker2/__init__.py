"""SpiNNaker2: int8 inference as the py-spinnaker2 NIR import does it, PE memory, tick time and power."""

from nirbridge_spinnaker2.target import Spinnaker2

__all__ = ["Spinnaker2"]
