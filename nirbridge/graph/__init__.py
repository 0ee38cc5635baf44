"""Functions on `nir.NIRGraph`: copy, inline, order, compare, digest, print, metadata.

A graph is never wrapped, and none of these functions changes its argument.
"""

from nirbridge.graph.copying import copy, make, replace_nodes
from nirbridge.graph.digest import digest, equal
from nirbridge.graph.inline import inline
from nirbridge.graph.metadata import (
    GraphMetadata,
    HistoryEntry,
    newer_schema,
    read_metadata,
    write_metadata,
)
from nirbridge.graph.order import execution_order, recurrent_edges
from nirbridge.graph.text import text

__all__ = [
    "GraphMetadata",
    "HistoryEntry",
    "copy",
    "digest",
    "equal",
    "execution_order",
    "inline",
    "make",
    "newer_schema",
    "read_metadata",
    "recurrent_edges",
    "replace_nodes",
    "text",
    "write_metadata",
]
