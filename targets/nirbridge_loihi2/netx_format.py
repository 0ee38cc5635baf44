"""The file ending `.net` as a plugin of the group `nirbridge.formats`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import nir

from nirbridge.errors import FindingWarning, raise_on_errors
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.netx_graph import to_graph
from nirbridge_loihi2.netx_lower import to_network
from nirbridge_loihi2.netx_write import write_net


@dataclass(frozen=True, slots=True)
class NetxFormat:
    """NetX files (HDF5), Lava's format for Loihi 2; every integer is kept both ways."""

    endings: ClassVar[tuple[str, ...]] = (".net",)

    def read(self, path: Path) -> nir.NIRGraph:
        """The network as a graph whose unit of time is the step (dt 1); see `to_graph`.

        Warning: a `.net` file does not say how long a step lasts. Its graph carries the metadata key
        ``in_steps``; until ``--dt SECONDS`` is stated, data and time constants are in steps, so data in
        seconds must not be fed to it.
        Known defects that are reproduced (LOIHI2.md §2) come as `FindingWarning`.
        Raises `BadInput` for a damaged file and for weights or fields that the chip cannot hold.
        """
        found = read_net(path)
        raise_on_errors(found.findings, str(path))
        for finding in found.findings:
            warnings.warn(FindingWarning(finding), stacklevel=2)
        return to_graph(found.network)

    def write(self, path: Path, graph: nir.NIRGraph) -> None:
        """Write a graph that is legal on the target `loihi2`; see `to_network`."""
        write_net(path, to_network(graph))
