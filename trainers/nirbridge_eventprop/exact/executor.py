"""Runs batches of a plan in continuous time: the same calls and results as the executors on a grid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Unsupported, UsageError
from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact.engine import Engine
from nirbridge_eventprop.exact.network import Connection, EventNetwork, event_network
from nirbridge_eventprop.exact.sums import by_parameter
from nirbridge_eventprop.executor import BatchResult
from nirbridge_eventprop.grid.executor import loss_of
from nirbridge_eventprop.grid.plan import Plan

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp

Floats = NDArray[np.float64]


def network_of(plan: Plan, flat: Floats) -> EventNetwork:
    """The plan's network in continuous time with these parameters; delays are those in steps times dt."""
    grid = plan.grids["substep"]
    layers = list(grid.layers)
    delays: dict[str, Floats] = {}
    for part in plan.parts:
        values = np.array(flat[part.here])
        if part.kind == "delay":
            delays[part.name] = values
        elif part.kind in ("tau_mem", "tau_syn", "v_th"):
            changed: dict[str, Any] = {part.kind: values if part.kind == "v_th" else np.exp(values)}
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


class ExactExecutor:
    """A plan with the trainer's loss in continuous time; ``gradients`` (1, parameters).

    Raises `Unsupported` (NB201) for graphs with biases, which are currents by the step, `UsageError` (NB701)
    for a loss without a read-out.
    """

    def __init__(self, plan: Plan, trainer: EventProp) -> None:
        if plan.biases and any(values.any() for _, _, values in plan.biases):
            name = next(name for name, _, values in plan.biases if values.any())
            raise Unsupported(
                f"node '{name}' (Affine) has a bias: mode 'exact' of trainer 'eventprop' takes none",
                code="NB201",
                fix="use mode=substep, or a Linear",
            )
        if trainer.loss == "xent-timestep":
            raise UsageError(
                "trainer option loss is xent-timestep, mode=exact needs one with a read-out",
                code="NB701",
                fix="use for example xent-mean",
            )
        self.plan = plan
        self.gradients = np.zeros((1, len(plan.weights)))
        self.engine = Engine(
            network_of(plan, np.asarray(plan.weights, np.float64)),
            loss_of(trainer),
            sigma=trainer.rescue,
            wake=trainer.wake,
            slope_floor=trainer.slope_floor,
            sensitive=any(part.kind in ("tau_mem", "tau_syn") for part in plan.parts),
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
        found = engine.run(spikes, given, learn=learn, regular=regular)
        if learn:
            self._gradient()
        scores = -found.readout if engine.network.spiking_output else found.readout
        counts = np.zeros((spikes.n_samples, plan.par.shape[1]), np.int32)
        counts[:, : found.counts.shape[1]] = found.counts
        loss = found.loss if labels is not None else np.zeros(spikes.n_samples)
        return BatchResult(loss, scores, scores, counts, found.clamped)

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
            slope = found.layer[part.layer - 1][part.kind]
            if part.kind in ("tau_mem", "tau_syn"):  # the parameter is the logarithm
                slope = slope * getattr(network.layers[part.layer - 1], part.kind)
            to[part.here] = slope
