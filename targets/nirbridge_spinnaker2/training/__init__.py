"""EventProp with a first-spike loss as SpiNNaker2 trains it: forward, adjoint and Adam on the PEs."""

from nirbridge_spinnaker2.training.trainer import ChipEventProp

__all__ = ["ChipEventProp"]
