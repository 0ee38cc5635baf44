"""A training batch as one table of numbers: PEs, bytes, time, power, energy (SPINNAKER2.md §6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nirbridge_spinnaker2.memory import usable_bytes
from nirbridge_spinnaker2.power import APPLICATION_PES, Scenario
from nirbridge_spinnaker2.training_layout import OPTIMISER_BYTES, TrainingJob, layer_bytes
from nirbridge_spinnaker2.training_work import work


def eventprop_run(
    values: Mapping[str, float],
    scenario: Scenario,
    *,
    layers: Sequence[int],
    batch: int,
    ticks_forward: int,
    ticks_backward: int,
    tick_s: float,
    spikes_per_sample: Sequence[float],
) -> dict[str, object]:
    """PEs, bytes, time [ms], power [mW] and energy [mJ] of one training batch without recurrence.

    layers: units of input, hidden …, output; spikes_per_sample: of each of them.
    """
    job = TrainingJob(
        names=("input", *(f"layer {at}" for at in range(1, len(layers)))),
        layers=tuple(layers),
        recurrent=(False,) * (len(layers) - 1),
        batch=batch,
        ticks_forward=ticks_forward,
        ticks_backward=ticks_backward,
        tick_s=tick_s,
    )
    done = work(values, job, scenario, spikes_per_sample)
    energy = sum(done.joules(values, scenario).values())
    sizes = [sum(layer_bytes(job, at).values()) for at in range(1, job.depth + 1)]
    return {
        "pes": job.pes,
        "fits": job.pes <= APPLICATION_PES * scenario.chips and max(sizes) <= usable_bytes(),
        "parameters": job.parameters,
        "layer_bytes": sizes,
        "optimiser_bytes": OPTIMISER_BYTES * job.parameters,
        "update_ticks": done.update_ticks,
        "time_ms": done.seconds * 1e3,
        "mean_duty": done.mean_duty(values, scenario),
        "power_mw": energy / done.seconds * 1e3,
        "energy_mj": energy * 1e3,
        "energy_per_sample_mj": energy / batch * 1e3,
    }
