"""Whether a training fits the chip, and what the cost model says it takes (SPINNAKER2.md §6)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nirbridge.errors import DoesNotFit, Finding, FindingWarning
from nirbridge_spinnaker2.memory import coefficients
from nirbridge_spinnaker2.power import Scenario
from nirbridge_spinnaker2.training.structure import Stack
from nirbridge_spinnaker2.training_layout import TrainingJob, place
from nirbridge_spinnaker2.training_limits import training_findings
from nirbridge_spinnaker2.training_work import work

TICK_S = 1e-3


def job_of(stack: Stack, *, batch: int, n_steps: int, optimiser_pes: int = 0) -> TrainingJob:
    """The training batch as PEs: T_f = T_b = T + one tick a hop + one for the loss (T 27, two layers: 30)."""
    network = stack.network
    ticks = n_steps + len(stack.layers) + 1
    return TrainingJob(
        names=(network.populations[network.of_kind("input")[0]].name, *stack.names),
        layers=stack.sizes,
        recurrent=tuple(bool(first >= 0) for first in stack.layers[:, 4]),
        batch=batch,
        ticks_forward=ticks,
        ticks_backward=ticks,
        tick_s=TICK_S,
        optimiser_pes=optimiser_pes,
    )


def check_fit(job: TrainingJob, chips: int) -> list[Finding]:
    """Raise `DoesNotFit` (with the placement) where a layer's PE, the optimiser's or the chip is exceeded.

    Returns what fits but takes longer than its tick, and says it as `FindingWarning`.
    """
    scenario = Scenario(chips=chips)
    found = [
        replace(finding, fix=(finding.fix or "").replace("spinnaker2:", "trainer option "))
        for finding in training_findings(job, scenario)
    ]
    errors = [finding for finding in found if finding.level == "error"]
    if errors:
        first, *rest = errors
        fix = f"{first.fix}, or device=host"
        raise DoesNotFit(
            first.message, code=first.code, fix=fix, findings=rest, placement=place(job, scenario)
        )
    for finding in found:
        warnings.warn(FindingWarning(finding), stacklevel=2)
    return found


def modelled(job: TrainingJob, chips: int, spikes: Sequence[float], updates: int) -> dict[str, Any]:
    """What the central cost corner says of one update and of all, for a training's summary.

    spikes: mean per sample of the input and of every layer. Packets of a sample: its spikes forward, and
    one back for every spike of a layer below another (or in a loop); weights go out and gradients in, 128
    bits a packet.
    """
    scenario = Scenario(chips=chips)
    values = coefficients().corner_values()["central"]
    done = work(values, job, scenario, spikes)
    joules = sum(done.joules(values, scenario).values())
    back = sum(spikes[at] for at in range(1, job.depth + 1) if at < job.depth or job.recurrent[at - 1])
    exchanged = sum(-(-job.layers[at] * job.fan_in(at) // 4) for at in range(1, job.depth + 1))
    return {
        "basis": "assumed",
        "pes": job.pes,
        "ticks": done.ticks,
        "update_ms": done.seconds * 1e3,
        "update_mj": joules * 1e3,
        "power_mw": joules / done.seconds * 1e3,
        "spike_packets_per_sample": sum(spikes) + back,
        "weight_packets_per_sample": 2 * exchanged,
        "training_s": done.seconds * updates,
        "training_j": joules * updates,
    }
