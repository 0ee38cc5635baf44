"""Reading and writing files: NIR graphs and recordings, labelled spikes."""

from nirbridge.io.datasets import read_dataset, write_dataset
from nirbridge.io.hdf5_walk import Limits
from nirbridge.io.nir_data import read_spikes
from nirbridge.io.nir_file import lint_file, read_graph
from nirbridge.io.nir_spikes import write_spikes
from nirbridge.io.nir_write import write_graph

__all__ = [
    "Limits",
    "lint_file",
    "read_dataset",
    "read_graph",
    "read_spikes",
    "write_dataset",
    "write_graph",
    "write_spikes",
]
