"""Ticks that a PE misses, predicted and in a run: which PE and tick, by how much, what is enough."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np

from nirbridge.errors import Finding
from nirbridge.recording import Recording
from nirbridge_spinnaker2.lowering import Lowered
from nirbridge_spinnaker2.memory import coefficients
from nirbridge_spinnaker2.partition import Partition
from nirbridge_spinnaker2.power import clock

if TYPE_CHECKING:
    from nirbridge_spinnaker2.target import Spinnaker2


def overruns(
    lowered: Lowered, part: Partition, target: Spinnaker2, recording: Recording, duty: Sequence[float]
) -> tuple[str, ...]:
    """A sentence a population that missed a tick (central cost corner), and one for PEs that never rest.

    Spikes are computed as if every PE had been in time: on the chip such a PE drifts.
    """
    found = []
    budget = part.placement.cores[-1].detail["tick_cycles"]
    for at, layer in enumerate(lowered.layers):
        counts = recording.counts[layer.name]
        total = int(counts["spinnaker2_overruns"].sum())
        if not total:
            continue
        worst = int(np.argmax(counts["spinnaker2_peak_cycles"]))
        peak = float(counts["spinnaker2_peak_cycles"][worst])
        samples = int(np.count_nonzero(counts["spinnaker2_overruns"]))
        found.append(
            f"node '{layer.name}' misses its tick {total:,} times (PEs × ticks) in {samples} of "
            f"{recording.n_samples} samples, worst PE {int(counts['spinnaker2_peak_pe'][worst])} at tick "
            f"{int(counts['spinnaker2_peak_tick'][worst])} of sample {worst} by {peak - budget:,.0f} cycles "
            f"over {budget:,.0f}; spikes are computed as if in time; enough would be "
            f"{' or '.join(_knobs(part.slices[at], target, peak))}"
        )
    late = sum(d > 1 for d in duty)
    if late:
        found.append(
            f"duty is clamped to 1 on {late} PE{'s' * (late > 1)}: their work exceeds the time of the run"
        )
    return tuple(found)


def overrun_findings(lowered: Lowered, target: Spinnaker2, part: Partition) -> list[Finding]:
    """NB604: PEs that miss the tick without a spike (warning), or would if every source spiked (info)."""
    found = []
    for layer, first, sizes in zip(lowered.layers, part.first_pe, part.slices, strict=True):
        core = part.placement.cores[first]
        detail = core.detail
        budget, base, most = detail["tick_cycles"], detail["base_cycles"], detail["all_spike_cycles"]
        if base > budget:
            message = (
                f"node '{layer.name}': {core.neurons} neurons take {base:,.0f} cycles of a tick's "
                f"{budget:,.0f} on a PE before any spike arrives"
            )
            fix = " or ".join(_knobs(sizes, target, base))
            found.append(Finding(code="NB604", level="warning", node=layer.name, message=message, fix=fix))
        elif most > budget:
            message = (
                f"node '{layer.name}': a PE overruns its tick when more than "
                f"{detail['spikes_in_time']:,.0f} of {detail['sources']:,.0f} sources spike in one tick"
            )
            fix = f"if the run reports overruns: in every case {' or '.join(_knobs(sizes, target, most))}"
            found.append(Finding(code="NB604", level="info", node=layer.name, message=message, fix=fix))
    return found


def _knobs(sizes: Sequence[int], target: Spinnaker2, peak: float) -> list[str]:
    """Options that bring the worst tick down to its length, with the value that does.

    Fewer neurons a PE take synaptic operations down in proportion: exact for dense rows.
    """
    values = coefficients().corner_values()["central"]
    rate = clock(values, target.scenario)
    budget = rate * target.tick_s
    per_neuron = (peak - values["c_tick"]) / sizes[0]
    neurons = floor((budget - values["c_tick"]) / per_neuron)
    changes = [f"max_atoms={neurons} (now {sizes[0]} on a PE)"] if 0 < neurons < sizes[0] else []
    changes.append(f"tick_s={ceil(peak / rate * 1e6) / 1e6:g} (now {target.tick_s:g} s)")
    if target.used_rail == "0.5V" and peak <= 2 * budget:
        changes.append("used_rail=0.8V")
    return changes
