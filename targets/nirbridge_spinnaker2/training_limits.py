"""What keeps a training batch from the chip, with the exact sum and the smallest change that fits (§6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil

from nirbridge.errors import Finding
from nirbridge_spinnaker2.memory import coefficients, usable_bytes
from nirbridge_spinnaker2.power import APPLICATION_PES, Scenario, clock
from nirbridge_spinnaker2.training_layout import OPTIMISER_BYTES, TrainingJob, layer_bytes, layer_regions
from nirbridge_spinnaker2.training_work import exchange_cycles, update_cycles, update_ticks


def training_findings(job: TrainingJob, scenario: Scenario) -> list[Finding]:
    """NB601 a layer or the optimiser beyond its PEs, NB602 a batch beyond the chip, NB604 slow work.

    NB604 is a warning where a PE misses its tick or the update its one tick: both are charged, and said.
    """
    found = [finding for at in range(1, job.depth + 1) if (finding := _layer(job, at)) is not None]
    found += [finding for finding in (_optimiser(job), _chip(job, scenario)) if finding is not None]
    return found + _overruns(job, scenario)


def largest_batch(job: TrainingJob, scenario: Scenario) -> int:
    """Samples that the application PEs hold beside the optimiser; 0 where not even one fits."""
    return max((APPLICATION_PES * scenario.chips - job.optimisers) // job.per_sample, 0)


def _layer(job: TrainingJob, at: int) -> Finding | None:
    regions = layer_bytes(job, at)
    total, limit = sum(regions.values()), usable_bytes()
    if total <= limit:
        return None
    n, m, ticks, name = job.layers[at], job.fan_in(at), job.ticks_forward, job.names[at]
    largest = max(regions, key=lambda key: regions[key])
    message = (
        f"node '{name}': training needs {total:,} B on its PE for {n} neurons of {m} inputs over {ticks} "
        f"ticks, usable are {limit:,} B; the largest region is {largest} with {regions[largest]:,} B"
    )
    loop = job.recurrent[at - 1]

    def fits(neurons: int, steps: int) -> bool:
        inputs = job.layers[at - 1] + neurons * loop
        return sum(layer_regions(inputs, neurons, steps).values()) <= limit

    changes = []
    neurons = _most(n, lambda k: fits(k, ticks))
    steps = _most(ticks, lambda k: fits(n, k))
    if neurons:
        changes.append(f"give '{name}' at most {neurons} neuron{'s' * (neurons > 1)}")
    if steps:
        changes.append(f"shorten the samples: train_ticks={steps} fits")
    fix = ", or ".join(changes) or "no single neuron fits: fewer inputs and shorter samples"
    return Finding(code="NB601", level="error", node=name, message=message, fix=fix)


def _most(upper: int, fits: Callable[[int], bool]) -> int:
    """The largest k below ``upper`` that fits, 0 for none; what fits stays fitting when made smaller."""
    low, high = 0, upper
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _optimiser(job: TrainingJob) -> Finding | None:
    each, limit = OPTIMISER_BYTES * ceil(job.parameters / job.optimisers), usable_bytes()
    if each <= limit:
        return None
    pes = "PE" if job.optimisers == 1 else "PEs"
    need = ceil(OPTIMISER_BYTES * job.parameters / limit)
    message = (
        f"the optimiser needs {each:,} B on a PE: {job.parameters:,} parameters of {OPTIMISER_BYTES} B on "
        f"{job.optimisers} {pes}, usable are {limit:,} B ({limit // OPTIMISER_BYTES:,} parameters a PE)"
    )
    return Finding(code="NB601", level="error", message=message, fix=f"spinnaker2:optimiser_pes={need}")


def _chip(job: TrainingJob, scenario: Scenario) -> Finding | None:
    available = APPLICATION_PES * scenario.chips
    if job.pes <= available:
        return None
    most, chips = largest_batch(job, scenario), ceil(job.pes / APPLICATION_PES)
    message = (
        f"batch {job.batch} needs {job.pes:,} PEs ({job.batch} × {job.per_sample} for input, "
        f"{job.depth} layer{'s' * (job.depth > 1)} and loss, {job.optimisers} for the optimiser), there are "
        f"{available:,}"
    )
    fix = f"spinnaker2:batch={most}" if most else f"spinnaker2:chips={chips}"
    return Finding(code="NB602", level="error", message=message, fix=fix)


def _overruns(job: TrainingJob, scenario: Scenario) -> list[Finding]:
    """Ticks that a PE misses before a spike arrives, and an update longer than a tick."""
    values = coefficients().corner_values()["central"]
    budget = clock(values, scenario) * job.tick_s
    stretch = update_ticks(values, job, scenario)
    found = []
    for at in range(1, job.depth + 1):
        step = values["c_tick"] + values["c_n"] * job.layers[at]
        exchange = values["c_tick"] + exchange_cycles(values, job, at) / stretch
        busy, what = max((step, "a step without spikes"), (exchange, "sending gradients, receiving weights"))
        if busy > budget:
            message = (
                f"node '{job.names[at]}': {what} takes {busy:,.0f} cycles of a tick's {budget:,.0f} on "
                f"each of its {job.batch} PEs"
            )
            fix = _knobs(busy, job, scenario)
            found.append(Finding(code="NB604", level="warning", node=job.names[at], message=message, fix=fix))
    if stretch > 1:
        cycles = update_cycles(values, job)
        message = (
            f"the update takes {cycles:,.0f} cycles on {job.optimisers} optimiser PE"
            f"{'s' * (job.optimisers > 1)}, a tick leaves {budget - values['c_tick']:,.0f}: it overruns into "
            f"{stretch} ticks and every PE waits"
        )
        smaller = _most(job.batch, lambda k: update_ticks(values, replace(job, batch=k), scenario) == 1)
        changes = [f"spinnaker2:batch={smaller}"] if smaller else []
        changes.append(f"spinnaker2:optimiser_pes={ceil(job.optimisers * stretch)}")
        found.append(Finding(code="NB604", level="warning", message=message, fix=" or ".join(changes)))
    return found


def _knobs(busy: float, job: TrainingJob, scenario: Scenario) -> str:
    values = coefficients().corner_values()["central"]
    needed = busy / clock(values, scenario)
    changes = [f"spinnaker2:tick_s={ceil(needed * 1e6) / 1e6:g} (now {job.tick_s:g} s)"]
    fast = clock(values, replace(scenario, used_rail="0.8V")) * job.tick_s
    if scenario.used_rail == "0.5V" and busy <= fast:
        changes.append("used_rail=0.8V")
    return " or ".join(changes)
