"""The published on-chip EventProp run as this cost model computes it: the row the model is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil

from nirbridge_spinnaker2.memory import usable_bytes
from nirbridge_spinnaker2.power import APPLICATION_PES, Scenario, clock, energy_terms


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
    """PEs, bytes, time [ms], power [mW] and energy [mJ] of one training batch (SPINNAKER2.md §6).

    layers: units of input, hidden …, output; spikes_per_sample: of each of them. Per sample one PE
    for the input, each layer and the loss; ⌈16·parameters/94,208⌉ optimiser PEs, whose update of
    x = (c_add·B + c_adam)·parameters/PEs cycles takes max(1, ⌈x/(f·tick − c_tick)⌉) ticks.
    """
    c = values
    pairs = list(pairwise(layers))
    parameters = sum(m * n for m, n in pairs)
    optimisers = ceil(16 * parameters / usable_bytes())
    cycles_per_tick = clock(c, scenario) * tick_s
    update = (c["c_add"] * batch + c["c_adam"]) * parameters / optimisers
    update_ticks = max(1, ceil(update / (cycles_per_tick - c["c_tick"])))
    ticks = ticks_forward + ticks_backward + update_ticks
    fixed = c["c_tick"] * ticks
    one_sample = [fixed + c["c_p"] * spikes_per_sample[0], fixed]
    for at, (m, n) in enumerate(pairs):
        passes = 2 if at == 0 else 3
        one_sample.append(
            fixed
            + (ticks_forward + ticks_backward) * c["c_n"] * n
            + c["c_s"] * n * spikes_per_sample[at] * passes
            + 2 * c["c_p"] * ceil(n * m / 4)
        )
    busy = one_sample * batch + [fixed + update] * optimisers
    seconds = ticks * tick_s
    energy = sum(energy_terms(c, scenario, busy, seconds).values())
    layer_bytes = [_layer_bytes(m, n, ticks_forward) for m, n in pairs]
    return {
        "pes": len(busy),
        "fits": len(busy) <= APPLICATION_PES * scenario.chips and max(layer_bytes) <= usable_bytes(),
        "parameters": parameters,
        "layer_bytes": layer_bytes,
        "optimiser_bytes": 16 * parameters,
        "update_ticks": update_ticks,
        "time_ms": seconds * 1e3,
        "mean_duty": sum(busy) / len(busy) / (clock(c, scenario) * seconds),
        "power_mw": energy / seconds * 1e3,
        "energy_mj": energy * 1e3,
        "energy_per_sample_mj": energy / batch * 1e3,
    }


def _layer_bytes(m: int, n: int, ticks: int) -> int:
    """W and its gradient 8·n·m, state 16·n, record of I − V⁻ 4·T·n, spike bits 4·T·(⌈n/32⌉+⌈m/32⌉)."""
    return 8 * n * m + 16 * n + 4 * ticks * n + 4 * ticks * (ceil(n / 32) + ceil(m / 32))
