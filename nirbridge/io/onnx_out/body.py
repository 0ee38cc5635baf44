"""Walks a network in the order of a step and writes down each population with what arrives at it."""

from __future__ import annotations

from collections.abc import Sequence

from nirbridge.io.onnx_out.branches import branches_of
from nirbridge.io.onnx_out.delay import delayed
from nirbridge.io.onnx_out.neurons import neuron
from nirbridge.io.onnx_out.ops import Ops
from nirbridge.io.onnx_out.parameters import Parameters
from nirbridge.io.onnx_out.passing import passed
from nirbridge.io.onnx_out.ports import Ports
from nirbridge.io.onnx_out.step import Step
from nirbridge.network import Network, Source


class Body:
    """One step of a network.

    outer: the graph around it. sent: name of the value that each source gives its readers.
    """

    def __init__(self, network: Network, taken: set[str], inputs: Ports) -> None:
        outer = Ops(taken)
        batch = outer.add("Shape", [next(iter(inputs.values()))], "batch", start=1, end=2)
        self.network = network
        self.outer = outer
        self.parameters = Parameters(outer, batch, branches_of(network.graph.nodes))
        self.step = Step(Ops(taken), self.parameters, network.semantics)
        self.sent: dict[Source, str] = {}
        self._made: dict[tuple[str, ...], str] = {}
        self._walk(inputs)

    def _walk(self, inputs: Ports) -> None:
        late = self._late()
        for at in late:
            p = self.network.populations[at]
            self.sent[Source(at, 1)] = self.step.state(f"{p.name}.s", p.shape)
        for at, p in enumerate(self.network.populations):
            if at in inputs:
                sent = self.step.ops.name(f"step/{inputs[at]}")
            else:
                x = self._received(at)
                sent = neuron(p, x, self.step) if p.is_neuron else x or self.parameters.zeros(p.shape)
                sent = delayed(p, sent, self.step) if p.kind == "delay" else sent
            self.sent[Source(at, 0)] = sent
            if at in late:
                self.step.keep(f"{p.name}.s", sent)
        order = {p.name: at for at, p in enumerate(self.network.populations)}
        self.step.states.sort(key=lambda s: (order[s.name[:-2]], "visd".index(s.name[-1])))

    def _late(self) -> list[int]:
        """Populations that a consumer reads one step late."""
        items = (
            item
            for p, drive in zip(self.network.populations, self.network.drives, strict=True)
            for inputs in (*(stage.inputs for stage in drive.stages), drive.inputs)
            for item in inputs
        )
        return sorted({item.population for item in items if isinstance(item, Source) and item.delay == 1})

    def _received(self, at: int) -> str | None:
        """The summed input of a population; None where nothing arrives."""
        drive = self.network.drives[at]
        place: list[str] = []
        for stage in drive.stages:
            values = self._values(stage.inputs, place)
            # A node that several consumers read at the same delay is computed once.
            key = (stage.name, *values)
            if key not in self._made:
                x = self._sum(values, f"{stage.name}.x")
                self._made[key] = passed(stage.node, stage, x, self.step)
            place.append(self._made[key])
        values = self._values(drive.inputs, place)
        return self._sum(values, f"{self.network.populations[at].name}.x") if values else None

    def _values(self, items: Sequence[Source | int], place: list[str]) -> list[str]:
        return [self.sent[item] if isinstance(item, Source) else place[item] for item in items]

    def _sum(self, values: list[str], wanted: str) -> str:
        total = values[0]
        for value in values[1:]:
            total = self.step.op("Add", [total, value], wanted)
        return total
