"""The file ending `.net` as a plugin of the group `nirbridge.formats`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import nir

from nirbridge.errors import Finding, FindingWarning, Unsupported, raise_on_errors
from nirbridge_loihi2.layers import MAX_THRESHOLD
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.netx_graph import to_graph
from nirbridge_loihi2.netx_lower import to_network
from nirbridge_loihi2.netx_write import write_net
from nirbridge_loihi2.ranges import LOWER


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
        try:
            return to_graph(found.network)
        except Unsupported as error:
            error.message = f"{path}: {error.message}"
            error.fix = error.fix and error.fix.replace("FILE", repr(str(path)))
            raise

    def write(self, path: Path, graph: nir.NIRGraph) -> None:
        """Write a graph that is legal on the target `loihi2`; see `to_network`.

        A vThMant of 2^17 that came from a `.net` file is written again, with a `FindingWarning`.
        """
        network = to_network(graph)
        write_net(path, network)
        for layer in network.layers:
            if int(layer.threshold.max()) > MAX_THRESHOLD:
                what = f"node '{layer.name}' is written with vThMant 2^17, beyond the chip's 17-bit field"
                finding = Finding(code="NB212", level="warning", message=what, node=layer.name, fix=LOWER)
                warnings.warn(FindingWarning(finding), stacklevel=2)
