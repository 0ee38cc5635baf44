"""Runs batches of a plan in continuous time: the same calls and results as the executors on a grid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Unsupported
from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact.engine import Engine
from nirbridge_eventprop.exact.losses.mse_trace import MseTrace
from nirbridge_eventprop.exact.losses.read_mean import ReadMean
from nirbridge_eventprop.exact.losses.xent_timestep import XentTimestep
from nirbridge_eventprop.exact.network import Connection, EventNetwork, event_network
from nirbridge_eventprop.exact.sums import by_parameter
from nirbridge_eventprop.executor import BatchResult
from nirbridge_eventprop.grid.parts import NEURON
from nirbridge_eventprop.grid.plan import Plan
from nirbridge_eventprop.objective import loss_of

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp

Floats = NDArray[np.float64]


def network_of(plan: Plan, flat: Floats) -> EventNetwork:
    """The plan's network in continuous time with these parameters; delays are those in steps times dt."""
    grid = plan.grids["substep"]
    layers = list(grid.layers)
    delays: dict[str, Floats] = {}
    for part in plan.parts:
        if part.kind == "delay":
            delays[part.name] = part.values(flat)
        elif part.kind in NEURON:
            changed: dict[str, Any] = {part.kind: part.values(flat)}
            layers[part.layer - 1] = replace(layers[part.layer - 1], **changed)
    connections = []
    for arc, place, c in zip(plan.arcs, plan.nodes, grid.connections, strict=True):
        here = slice(place.offset, place.offset + place.rows * place.width)
        steps: Any = delays[arc.name].reshape(arc.weight.shape) + arc.lag if arc.name in delays else c.delay
        late = np.broadcast_to(np.asarray(steps, np.float64) * grid.dt, arc.weight.shape)
        connections.append(
            Connection(
                pre=c.pre,
                post=c.post,
                weight=(flat[here] * plan.scale[here]).reshape(arc.weight.shape),
                delay=np.array(late) if late.any() or c.moves else None,
            )
        )
    return event_network(plan.n_inputs, layers, connections)


def takes_no_bias(plan: Plan) -> None:
    """Raise `Unsupported` (NB201) by node name where a graph has biases: they are currents by the step."""
    for name, _, values in plan.biases:
        if values.any():
            raise Unsupported(
                f"node '{name}' (Affine) has a bias: mode 'exact' of trainer 'eventprop' takes none",
                code="NB201",
                fix="use mode=substep, or a Linear",
            )


class ExactExecutor:
    """A plan with the trainer's loss in continuous time; ``gradients`` (1, parameters).

    Raises `Unsupported` (NB201) for graphs with biases, `UsageError` (NB701) for a target that does not fit.
    """

    def __init__(self, plan: Plan, trainer: EventProp) -> None:
        takes_no_bias(plan)
        self.plan = plan
        self.gradients = np.zeros((1, len(plan.weights)))
        loss = loss_of(trainer, plan.n_outputs)
        if isinstance(loss, XentTimestep | MseTrace):  # they have no read-out of their own
            loss = ReadMean(loss)
        self.engine = Engine(
            network_of(plan, np.asarray(plan.weights, np.float64)),
            loss,
            sigma=trainer.rescue,
            wake=trainer.wake,
            slope_floor=trainer.slope_floor,
            sensitive=plan.sensitive,
            threads=trainer.threads,
            shards=trainer.shards,
        )

    def close(self) -> None:
        """End the threads."""
        self.engine.close()

    def score(
        self,
        spikes: Spikes,
        labels: NDArray[np.int64] | None,
        weights: NDArray[np.floating],
        *,
        regular: NDArray[np.floating] | None = None,
        learn: bool = False,
        as_step: bool = False,
    ) -> BatchResult:
        """Run a batch with these parameters, always in continuous time; with ``learn`` sets ``gradients``.

        scores and logits are the loss's read-out, for spike times minus the first of them [s].
        """
        engine, plan = self.engine, self.plan
        engine.network = network_of(plan, np.asarray(weights, np.float64))
        given = np.zeros(spikes.n_samples, np.int64) if labels is None else labels
        found = engine.run(spikes, given, learn=learn, regular=regular, keep=False)
        if learn:
            self._gradient()
        scores = -found.readout if engine.network.spiking_output else found.readout
        counts = np.zeros((spikes.n_samples, plan.par.shape[1]), np.int32)
        counts[:, : found.counts.shape[1]] = found.counts
        loss = found.loss if labels is not None else np.zeros(spikes.n_samples)
        return BatchResult(loss, scores, scores, counts, found.clamped)

    def tape_bytes(self, spikes: Spikes) -> int:
        """Bytes of the tapes of these samples with the present parameters."""
        found = self.engine.run(spikes, np.zeros(spikes.n_samples, np.int64), learn=False)
        return sum(array.nbytes for tape in found.tapes for array in tape)

    def _gradient(self) -> None:
        """The engine's sums as ∂/∂(flat parameters)."""
        plan, network = self.plan, self.engine.network
        found = by_parameter(network, self.engine.sums, 1)
        to = self.gradients[0]
        for place, weight in zip(plan.nodes, found.weight, strict=True):
            here = slice(place.offset, place.offset + place.rows * place.width)
            to[here] = plan.scale[here] * weight.reshape(-1)
        for part in plan.parts:
            if part.kind == "delay":
                at = next(at for at, arc in enumerate(plan.arcs) if arc.name == part.name)
                slope = found.delay[at]
                assert slope is not None  # `network_of` gave the connection delays
                to[part.here] = slope.reshape(-1) * plan.grids["substep"].dt
                continue
            values = getattr(network.layers[part.layer - 1], part.kind)
            to[part.here] = part.slope(values, found.layer[part.layer - 1][part.kind])
