"""The file ending `.nir` as a plugin of the group `nirbridge.formats`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import nir

from nirbridge.io.nir_file import read_graph
from nirbridge.io.nir_write import write_graph


@dataclass(frozen=True, slots=True)
class NirFormat:
    """NIR graphs in HDF5, as `nir.write` makes them; ``repair`` mends what has one repair on reading."""

    endings: ClassVar[tuple[str, ...]] = (".nir",)

    repair: bool = False

    def read(self, path: Path) -> nir.NIRGraph:
        """The graph in the file (see `nirbridge.io.read_graph`)."""
        return read_graph(path, repair=self.repair)

    def write(self, path: Path, graph: nir.NIRGraph) -> None:
        """Write the graph (see `nirbridge.io.write_graph`)."""
        write_graph(path, graph)
