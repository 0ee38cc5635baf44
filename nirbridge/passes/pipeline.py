"""A sequence of passes, itself a pass, that checks the graph between them and writes the history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import ClassVar

import nir

from nirbridge.errors import BadInput, raise_on_errors
from nirbridge.graph import HistoryEntry, digest, read_metadata, write_metadata
from nirbridge.protocols import Pass, options_of
from nirbridge.validate import validate


@dataclass(frozen=True)
class Pipeline:
    """Runs passes in order. The graph must be valid before the first and after each of them.

    Every pass that changed the digest or the metadata adds an entry to the graph's history (a graph
    without ``nirbridge`` metadata has nowhere to keep one). ``seen`` is called with each pass and the
    graphs before and after it.
    """

    passes: tuple[Pass, ...]
    seen: Callable[[Pass, nir.NIRGraph, nir.NIRGraph], None] | None = None
    name: ClassVar[str] = "pipeline"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        raise_on_errors(validate(graph), "the graph before the first pass")
        done: list[str] = []
        for item in self.passes:
            after = item(graph)
            try:
                raise_on_errors(validate(after), f"the graph after pass '{item.name}'")
            except BadInput as error:
                ran = f" (ran before it: {', '.join(done)})" if done else ""
                raise RuntimeError(
                    f"pass '{item.name}' left a graph that is not valid{ran}: {error}"
                ) from error
            after = self._recorded(item, graph, after)
            if self.seen is not None:
                self.seen(item, graph, after)
            done.append(item.name)
            graph = after
        return graph

    def _recorded(self, item: Pass, before: nir.NIRGraph, after: nir.NIRGraph) -> nir.NIRGraph:
        old, new = read_metadata(before), read_metadata(after)
        if new is None or isinstance(item, Pipeline):
            return after
        digests = digest(before), digest(after)
        if digests[0] == digests[1] and old == new and not _node_metadata_differs(before, after):
            return after
        entry = HistoryEntry.model_validate(
            {
                "pass": item.name,
                "options": options_of(item),
                "tool": f"nirbridge {version('nirbridge')}",
                "before": digests[0],
                "after": digests[1],
            }
        )
        update = {"history": [*new.history, entry], "digest": digests[1]}
        return write_metadata(after, new.model_copy(update=update))


def _node_metadata_differs(a: nir.NIRGraph, b: nir.NIRGraph) -> bool:
    return any(set(a.nodes[n].metadata) != set(b.nodes[n].metadata) for n in a.nodes if n in b.nodes)
