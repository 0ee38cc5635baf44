"""A `.net` file run as it is: the only way for sigma-delta and resonate-and-fire layers.

NIR has no node for these neurons, and a graph whose metadata gave them another meaning would be wrong for
every reader that ignores metadata. So they have no graph, and the commands, which speak graphs, refuse
them (NB201) and name this class.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nirbridge.cost import Cost
from nirbridge.errors import BadInput, DoesNotFit
from nirbridge.placement import Placement
from nirbridge.recording import Recording
from nirbridge.spikes import Spikes
from nirbridge_loihi2.cost import chip_cost
from nirbridge_loihi2.counts import Placed, counts_of, input_counts, spikes_of, work_of
from nirbridge_loihi2.fit import fit_findings
from nirbridge_loihi2.mapping import place
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.partition import demands, partition
from nirbridge_loihi2.simulate import STATES, events, simulate
from nirbridge_loihi2.tables import tables
from nirbridge_loihi2.target import Loihi2


class NetProgram:
    """The integers of a `.net` file on a chip; layers are called ``layer1``, ``layer2``, … in order.

    path: the file. target: board, split, resets and threads. message_bits: above 0, input values count
    (the importer's argument); an input layer of sigma-delta neurons takes values in any case.

    Simulates also what a chip cannot hold, of which ``findings`` has an error: odd mixed weights beyond 127
    in magnitude, -256, biases beyond 13 bits.

    Raises `BadInput` and `Unsupported` as `read_net`, `DoesNotFit` with the placement.
    """

    def __init__(self, path: Path | str, target: Loihi2 | None = None, *, message_bits: int = 0) -> None:
        self.target = target or Loihi2()
        found = read_net(
            path,
            reset_interval=self.target.reset_interval,
            reset_offset=self.target.reset_offset,
            message_bits=message_bits,
        )
        self.network, self.findings = found.network, found.findings
        parts = tuple(
            partition(demand, self.target.split, self.target.neurons_per_core)
            for demand in demands(self.network)
        )
        placement = place(parts, self.target.board)
        over = fit_findings(parts, placement, self.target)
        if over:
            raise DoesNotFit(
                over[0].message, code=over[0].code, placement=placement, fix=over[0].fix, findings=over[1:]
            )
        self._placed = Placed(
            network=self.network,
            tables=tables(self.network, [part.per_core for part in parts]),
            parts=parts,
            placement=placement,
            names=tuple(f"layer{k + 1}" for k in range(len(self.network.layers))),
        )

    @property
    def placement(self) -> Placement:
        """Which layer stands on which core."""
        return self._placed.placement

    def run(
        self,
        spikes: Spikes,
        *,
        record: Sequence[str] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Recording:
        """Run a batch, one step a second of the spikes' time (dt 1).

        record: ``layer2`` for its spikes, graded for sigma-delta layers; ``layer2:v``, ``:u``, ``:a`` for
        integer traces (of a sigma-delta layer u and v are Σ and the activation, of a resonate-and-fire
        layer the real and the imaginary part). The output is the last layer's spikes.
        """
        if spikes.n_units > max(self.network.n_inputs, 1):
            raise BadInput(
                f"the data have {spikes.n_units} units, the file's input has {self.network.n_inputs}",
                code="NB501",
                fix="use data with as many channels as the file",
            )
        placed, names = self._placed, self._placed.names
        nodes, wanted = [], []
        for item in record:
            node, _, state = item.partition(":")
            if node not in names or (state and state not in STATES):
                raise BadInput(
                    f"'{item}' cannot be recorded",
                    code="NB504",
                    fix=f"record one of {', '.join(names)}, with :v, :u or :a for a trace",
                )
            if state:
                wanted.append((item, (names.index(node), next(s for s in STATES if s == state))))
            else:
                nodes.append(node)
        last = len(names) - 1
        ticks = spikes.n_steps(1.0)
        inputs = events(spikes, 1.0)
        began = time.perf_counter()
        outcomes = simulate(
            placed.tables,
            inputs,
            ticks,
            keep=sorted({last, *(names.index(node) for node in nodes)}),
            traces=[trace for _, trace in wanted],
            threads=self.target.threads,
            progress=progress,
        )
        wall = time.perf_counter() - began
        return Recording(
            output=spikes_of(placed, outcomes, last, 1.0, float(ticks)),
            dt=1.0,
            n_steps=ticks,
            spikes={
                node: spikes_of(placed, outcomes, names.index(node), 1.0, float(ticks)) for node in nodes
            },
            traces={
                item: np.stack([o.traces[trace] for o in outcomes]).astype(np.float64)
                for item, trace in wanted
            },
            counts={
                "input": input_counts(inputs, work_of(placed, outcomes)),
                **counts_of(placed, outcomes, ticks),
            },
            wall_s=wall,
        )

    def cost(self, recording: Recording) -> Cost:
        """Modelled energy and latency per sample (LOIHI2.md §5 and §6), for LIF networks calibrated."""
        return chip_cost(recording, len(self.placement.cores), self.target.static_scope, self.target.board)
