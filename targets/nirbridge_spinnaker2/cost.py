"""What a run costs: ticks decide the time, chip power the energy; every figure with corners and basis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nirbridge.cost import Cost, Interval, over_corners, total_of
from nirbridge.recording import Recording
from nirbridge_spinnaker2.cost_terms import alternatives, scenario_dict, term_rows, tick_notes, time_term
from nirbridge_spinnaker2.lowering import Lowered
from nirbridge_spinnaker2.memory import coefficients
from nirbridge_spinnaker2.overruns import overruns
from nirbridge_spinnaker2.partition import Partition
from nirbridge_spinnaker2.power import busy_cycles, clock, energy_terms
from nirbridge_spinnaker2.published import published_notes, published_residuals

if TYPE_CHECKING:
    from nirbridge_spinnaker2.target import Spinnaker2

CLAIM = "follows the py-spinnaker2 NIR import rules; not bit-accurate to silicon; cycle costs are assumed"
LOCKED = "latency is ticks × tick_s by definition: no interval"


def cost_of(lowered: Lowered, part: Partition, target: Spinnaker2, recording: Recording) -> Cost:
    """Energy and latency of one sample, the mean over the recording; samples run one after another.

    time = ticks·tick_s; E = P·time with the power of SPINNAKER2.md §5. The used PEs are those of
    neurons; input PEs count as idle. Synaptic operations of a population spread over its PEs by their
    neurons.
    """
    scenario, ticks = target.scenario, recording.ticks
    seconds = ticks * target.tick_s
    slices = _slices(lowered, part, recording)

    def busy(values: Mapping[str, float]) -> list[float]:
        return [busy_cycles(values, ticks=ticks, neurons=n, synops=s) for n, s in slices]

    def terms(values: Mapping[str, float]) -> dict[str, float]:
        return energy_terms(values, scenario, busy(values), seconds)

    each, energy = over_corners(coefficients(), terms)
    central = coefficients().corner_values()["central"]
    available = clock(central, scenario) * seconds
    duty = [b / available if seconds else 0.0 for b in busy(central)]
    cycles = sum(min(b, available) for b in busy(central))
    span = Interval(seconds, seconds, seconds)
    energy_rows = term_rows(each, scenario, seconds, len(slices), cycles)
    time_row = time_term(ticks, span)
    longest = max(busy(central), default=0.0) / clock(central, scenario)
    notes = [CLAIM, LOCKED, *tick_notes(energy, each, duty, ticks, target.tick_s, longest)]
    notes.append(alternatives(central, busy(central), scenario, seconds))
    return Cost(
        target="spinnaker2",
        energy=total_of(energy, energy_rows, "J", per="sample"),
        latency=total_of(span, [time_row], "s", per="sample"),
        energy_terms=tuple(energy_rows),
        latency_terms=(time_row,),
        scope="board" if scenario.board_mw > 0 else "chip",
        batch=1,
        ticks=ticks,
        tick_s=target.tick_s,
        scenario=scenario_dict(scenario, target.tick_s),
        residuals=published_residuals(),
        notes=(*notes, *published_notes()),
        overruns=overruns(lowered, part, target, recording, duty),
    )


def _slices(lowered: Lowered, part: Partition, recording: Recording) -> list[tuple[int, float]]:
    """(neurons, mean synops of a sample) of every used PE."""
    result = []
    for layer, sizes in zip(lowered.layers, part.slices, strict=True):
        synops = recording.counts[layer.name]["synops"]
        mean = float(np.mean(synops)) if len(synops) else 0.0
        result += [(n, mean * n / layer.size) for n in sizes]
    return result
