"""Where one tick per hop lets spikes arrive at another step than the graph says (SEMANTICS.md R7)."""

from __future__ import annotations

from nirbridge.errors import Finding
from nirbridge.network import Drive, Network, Source


def timing_findings(network: Network) -> list[Finding]:
    """NB211 warnings for arcs that one tick a hop moves against the rest of the network.

    With node n ``depth`` ticks late, an arc u→v of delay δ in the graph arrives
    ``depth(u) + 1 − δ − depth(v)`` steps later than the graph says: 0 along shortest paths and for
    loops within one population. Graphs with feedforward_delay 1 say one tick a hop themselves.
    """
    if network.semantics.feedforward_delay == 1:
        return []
    found = []
    for at in network.neurons:
        for source in sorted(_sources(network.drives[at]), key=lambda s: s.population):
            u, v = network.populations[source.population], network.populations[at]
            if network.depth[source.population] < 0 or network.depth[at] < 0:
                continue
            late = network.depth[source.population] + 1 - source.delay - network.depth[at]
            if late:
                message = (
                    f"spikes of '{u.name}' reach '{v.name}' {abs(late)} steps "
                    f"{'later' if late > 0 else 'earlier'} than the graph says: every hop takes one tick here"
                )
                fix = "train with semantics feedforward_delay=1 to see the same on every target"
                found.append(Finding(code="NB211", level="warning", node=v.name, message=message, fix=fix))
    return found


def _sources(drive: Drive) -> set[Source]:
    items = [item for stage in drive.stages for item in stage.inputs] + list(drive.inputs)
    return {item for item in items if isinstance(item, Source)}
