"""How spikes get from one population to another: pools and Flatten, one weight node, Flatten again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import nir

from nirbridge.errors import Finding
from nirbridge.network import Drive, Network, Source, Stage

WEIGHTS = (nir.Linear, nir.Affine, nir.Conv2d)
POOLS = (nir.SumPool2d, nir.AvgPool2d)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Route:
    """One way into a population: ``source`` (index into `Network.populations`) → pools → weight.

    before: Flatten and pool nodes between the source and the weight, in order. weight: the one
    weight node, or None where a SumPool2d or AvgPool2d ends in the neurons.
    """

    source: int
    target: int
    before: tuple[Stage, ...]
    weight: Stage | None

    @property
    def pools(self) -> tuple[Stage, ...]:
        return tuple(stage for stage in self.before if isinstance(stage.node, POOLS))


def _paths(drive: Drive, item: Source | int) -> Iterator[tuple[Source, tuple[Stage, ...]]]:
    if isinstance(item, Source):
        yield item, ()
        return
    stage = drive.stages[item]
    for inner in stage.inputs:
        for source, stages in _paths(drive, inner):
            yield source, (*stages, stage)


def routes(network: Network, target: int) -> tuple[list[Route], list[Finding]]:
    """All routes into a population in the order of the sum, and what is wrong with the others (NB202)."""
    drive = network.drives[target]
    found: list[Route] = []
    wrong: list[Finding] = []
    for item in drive.inputs:
        for source, stages in _paths(drive, item):
            at = next((k for k, s in enumerate(stages) if isinstance(s.node, WEIGHTS)), None)
            route = Route(
                source=source.population,
                target=target,
                before=stages if at is None else stages[:at],
                weight=None if at is None else stages[at],
            )
            finding = _source_finding(network, route) or (
                _bare_finding(network, route) if at is None else _series_finding(stages, at)
            )
            if finding is None:
                found.append(route)
            else:
                wrong.append(finding)
    if len(found) > 1:
        wrong += [_beside_finding(network, route) for route in found if route.weight is None]
    return found, wrong


def shared_weights(per_target: Sequence[Sequence[Route]], network: Network) -> list[Finding]:
    """NB202 for every weight node that feeds two populations: each needs a scale of its own."""
    users: dict[str, list[str]] = {}
    for group in per_target:
        for route in group:
            if route.weight is not None:
                names = users.setdefault(route.weight.name, [])
                name = network.populations[route.target].name
                if name not in names:
                    names.append(name)
    return [
        _finding(
            node,
            f"weight node '{node}' feeds {len(names)} populations ({', '.join(names)}), expected one: "
            "every population has its own weight scale",
            "give each population its own copy of the weight node",
        )
        for node, names in users.items()
        if len(names) > 1
    ]


def output_source(network: Network) -> tuple[int | None, list[Finding]]:
    """Index of the population that the only Output reads, or why there is none (NB202)."""
    outputs = network.of_kind("output")
    if len(outputs) != 1:
        names = ", ".join(f"'{network.populations[at].name}'" for at in outputs) or "none"
        return None, [_finding(None, f"target 'spinnaker2' needs one Output node, got {names}", "keep one")]
    drive, name = network.drives[outputs[0]], network.populations[outputs[0]].name
    ways = [way for item in drive.inputs for way in _paths(drive, item)]
    if len(ways) != 1:
        message = f"Output '{name}' sums {len(ways)} nodes, expected one population of neurons"
        return None, [_finding(name, message, "join them in one population")]
    source, stages = ways[0]
    population = network.populations[source.population]
    through = [stage for stage in stages if not isinstance(stage.node, nir.Flatten)]
    if through or not population.is_neuron:
        last = through[-1] if through else None
        what = f"'{population.name}'" if last is None else f"'{last.name}' ({type(last.node).__name__})"
        message = f"Output '{name}' reads {what}, expected neurons: only neurons leave results on a PE"
        return None, [
            _finding(name, message, "end the graph with a read-out population (LI, LIF or CubaLIF)")
        ]
    return source.population, []


def _source_finding(network: Network, route: Route) -> Finding | None:
    source, target = network.populations[route.source], network.populations[route.target]
    if source.kind == "input" or source.spiking:
        return None
    return _finding(
        source.name,
        f"node '{source.name}' ({type(source.node).__name__}) sends no spikes but feeds '{target.name}'",
        "only Output can read a read-out population",
    )


def _bare_finding(network: Network, route: Route) -> Finding | None:
    if len(route.pools) == 1:
        return None
    source, target = network.populations[route.source], network.populations[route.target]
    return _finding(
        target.name,
        f"node '{source.name}' ({type(source.node).__name__}) is wired straight to the neurons "
        f"'{target.name}'",
        "put an identity Linear between them",
    )


def _series_finding(stages: Sequence[Stage], at: int) -> Finding | None:
    for stage in stages[at + 1 :]:
        if not isinstance(stage.node, nir.Flatten):
            return _finding(
                stage.name,
                f"nodes '{stages[at].name}' ({type(stages[at].node).__name__}) and '{stage.name}' "
                f"({type(stage.node).__name__}) stand in series without a neuron between them",
                "multiply their weights into one node",
            )
    return None


def _beside_finding(network: Network, route: Route) -> Finding:
    pool, name = route.before[-1], network.populations[route.target].name
    return _finding(
        pool.name,
        f"node '{pool.name}' ({type(pool.node).__name__}) enters '{name}' beside other nodes, expected alone",
        "put a Conv2d or Linear behind it",
    )


def _finding(node: str | None, message: str, fix: str) -> Finding:
    return Finding(code="NB202", level="error", node=node, message=message, fix=fix)
