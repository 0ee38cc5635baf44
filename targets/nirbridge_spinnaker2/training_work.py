"""Cycles and ticks of a training batch on the PEs, assumed cycle costs (SPINNAKER2.md §6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from nirbridge_spinnaker2.power import Scenario, clock, energy_terms
from nirbridge_spinnaker2.training_layout import TrainingJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """ticks: of the batch, T_f + T_b + T_u; update_ticks T_u; seconds; busy: cycles of every used PE."""

    ticks: int
    update_ticks: int
    seconds: float
    busy: tuple[float, ...]

    def mean_duty(self, values: Mapping[str, float], scenario: Scenario) -> float:
        return sum(self.busy) / len(self.busy) / (clock(values, scenario) * self.seconds)

    def joules(self, values: Mapping[str, float], scenario: Scenario) -> dict[str, float]:
        """Energy of the batch by term [J]."""
        return energy_terms(values, scenario, self.busy, self.seconds)


def update_cycles(values: Mapping[str, float], job: TrainingJob) -> float:
    """x of each optimiser PE: (c_add·B + c_adam)·parameters/PEs; c_add receives and adds a sample."""
    return (values["c_add"] * job.batch + values["c_adam"]) * job.parameters / job.optimisers


def update_ticks(values: Mapping[str, float], job: TrainingJob, scenario: Scenario) -> int:
    """T_u = max(1, ⌈x/(f·tick − c_tick)⌉): a longer update stretches the phase."""
    free = clock(values, scenario) * job.tick_s - values["c_tick"]
    # a tick too short for its own overhead never ends; the placement's findings say so
    return max(1, ceil(update_cycles(values, job) / free)) if free > 0 else 1


def work(values: Mapping[str, float], job: TrainingJob, scenario: Scenario, spikes: Sequence[float]) -> Work:
    """Work of one batch; spikes: mean per sample of the input and of every layer.

    Input c_tick·ticks + c_p·ŝ_0; loss c_tick·ticks; layer c_tick·ticks + (T_f+T_b)·c_n·n +
    c_s·n·ŝ·(1 forward + 1 gradient + 1 error, where a layer below wants it) + 2·c_p·⌈n·m/4⌉; a recurrent
    layer also its own spikes, all three ways.
    """
    c = values
    stretch = update_ticks(c, job, scenario)
    ticks = job.ticks_forward + job.ticks_backward + stretch
    fixed = c["c_tick"] * ticks
    one = [fixed + c["c_p"] * spikes[0]]
    for at in range(1, job.depth + 1):
        n = job.layers[at]
        ways = (2 if at == 1 else 3) * spikes[at - 1] + 3 * spikes[at] * job.recurrent[at - 1]
        one.append(
            fixed
            + (job.ticks_forward + job.ticks_backward) * c["c_n"] * n
            + c["c_s"] * n * ways
            + exchange_cycles(c, job, at)
        )
    one.append(fixed)
    busy = one * job.batch + [fixed + update_cycles(c, job)] * job.optimisers
    return Work(ticks=ticks, update_ticks=stretch, seconds=ticks * job.tick_s, busy=tuple(busy))


def exchange_cycles(values: Mapping[str, float], job: TrainingJob, layer: int) -> float:
    """2·c_p·⌈n·m/4⌉: a layer's gradients out and its new weights in, 128 bit a packet."""
    return 2 * values["c_p"] * ceil(job.layers[layer] * job.fan_in(layer) / 4)


def steady_loads(values: Mapping[str, float], job: TrainingJob, scenario: Scenario) -> list[float]:
    """Busy share of the fullest tick without a spike, by role: input, layers, loss, optimiser.

    A layer's is the larger of a step (c_tick + c_n·n) and of its exchange spread over the update.
    """
    budget = clock(values, scenario) * job.tick_s
    stretch = update_ticks(values, job, scenario)
    idle = values["c_tick"]
    layers = [
        max(idle + values["c_n"] * job.layers[at], idle + exchange_cycles(values, job, at) / stretch)
        for at in range(1, job.depth + 1)
    ]
    optimiser = idle + update_cycles(values, job) / stretch
    return [cycles / budget for cycles in (idle, *layers, idle, optimiser)]
