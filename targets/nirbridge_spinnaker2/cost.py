"""What a run costs: ticks decide the time, chip power the energy; every figure with corners and basis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nirbridge.cost import Cost, Interval, Term, over_corners, total_of
from nirbridge.cost.types import Basis
from nirbridge.recording import Recording
from nirbridge_spinnaker2.lowering import Lowered
from nirbridge_spinnaker2.memory import coefficients
from nirbridge_spinnaker2.partition import Partition
from nirbridge_spinnaker2.power import PES, IdlePolicy, Scenario, busy_cycles, clock, energy_terms
from nirbridge_spinnaker2.published import published_notes, published_residuals

if TYPE_CHECKING:
    from nirbridge_spinnaker2.target import Spinnaker2

CLAIM = "follows the py-spinnaker2 NIR import rules; not bit-accurate to silicon; cycle costs are assumed"
LOCKED = "latency is ticks × tick_s by definition: no interval"
CHOSEN = "chosen after seeing the target: the match with the published run is a consistency check"
ALTERNATIVES: tuple[tuple[str, IdlePolicy], ...] = (
    ("unused PEs off", "off"),
    ("unused PEs asleep at 0.5 V", "sleep-0.5V"),
    ("unused PEs asleep at 0.8 V", "sleep-0.8V"),
)


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
    energy_rows = _energy_terms(each, scenario, seconds, len(slices), cycles)
    time_row = _time_term(ticks, seconds)
    notes = [CLAIM, LOCKED, *_tick_notes(energy, each, duty, ticks, target)]
    notes.append(_alternatives(central, busy(central), scenario, seconds))
    return Cost(
        target="spinnaker2",
        energy=total_of(energy, energy_rows, "J", per="sample"),
        latency=total_of(Interval(seconds, seconds, seconds), [time_row], "s", per="sample"),
        energy_terms=tuple(energy_rows),
        latency_terms=(time_row,),
        scope="board" if scenario.board_mw > 0 else "chip",
        batch=1,
        ticks=ticks,
        tick_s=target.tick_s,
        scenario={
            "used_rail": scenario.used_rail,
            "idle_pes": scenario.idle_pes,
            "board_mw": scenario.board_mw,
            "chips": scenario.chips,
            "tick_s": target.tick_s,
            "choice": CHOSEN,
        },
        residuals=published_residuals(),
        notes=(*notes, *_overrun_notes(lowered, part, target, recording, duty), *published_notes()),
    )


def _time_term(ticks: int, seconds: float) -> Term:
    return Term(
        name="ticks",
        kind="static",
        quantity=float(ticks),
        quantity_unit="tick",
        coefficient="tick_s",
        value=seconds,
        low=seconds,
        high=seconds,
        unit="s",
        basis="assumed",
        source="option tick_s: the PEs are locked to the tick",
    )


def _slices(lowered: Lowered, part: Partition, recording: Recording) -> list[tuple[int, float]]:
    """(neurons, mean synops of a sample) of every used PE."""
    result = []
    for layer, sizes in zip(lowered.layers, part.slices, strict=True):
        synops = recording.counts[layer.name]["synops"]
        mean = float(np.mean(synops)) if len(synops) else 0.0
        result += [(n, mean * n / layer.size) for n in sizes]
    return result


def _energy_terms(
    each: Mapping[str, Interval], scenario: Scenario, seconds: float, used: int, cycles: float
) -> list[Term]:
    suffix = scenario.suffix
    idle = None if scenario.idle_pes == "off" else f"sleep_{scenario.idle_pes[6:-1].replace('.', 'v')}"
    pes = PES * scenario.chips - used
    board, policy = scenario.board_mw, scenario.idle_pes
    whole = "" if not board else "; no coefficient: two powers in one term"
    # coefficient id, quantity and its unit, basis of the term and the choice behind it (idle policy and
    # rail are options, cycles are modelled), note
    rows: dict[str, tuple[str | None, float, str, Basis, str, str]] = {
        "base": (
            None if board else "base",
            scenario.chips * seconds,
            "chip s",
            "assumed" if board else "published",
            "option board_mw; the chip: " if board else "",
            f"{scenario.chips} chip(s), all PEs off, and board_mw = {board:g} mW{whole}",
        ),
        "idle-cores": (
            idle,
            pes * seconds,
            "PE s",
            "assumed",
            f"our choice idle_pes={policy}" + ("; a PE: " if idle else ""),
            f"{pes} unused PEs, {policy}",
        ),
        "used-cores": (
            f"sleep_{suffix}",
            used * seconds,
            "PE s",
            "assumed",
            f"our choice used_rail={scenario.used_rail}; a PE: ",
            f"{used} PEs at {scenario.used_rail}, asleep",
        ),
        "active-cycles": (
            f"active_cycle_{suffix}",
            cycles,
            "cycle",
            "assumed",
            "our choice of cycles a tick and a neuron; a cycle: ",
            "modelled busy cycles, central corner",
        ),
    }
    found = [
        Term(
            name=name,
            kind="dynamic" if name == "active-cycles" else "static",
            quantity=rows[name][1],
            quantity_unit=rows[name][2],
            coefficient=rows[name][0],
            value=value.value,
            low=value.low,
            high=value.high,
            unit="J",
            basis=rows[name][3],
            source=rows[name][4] + _cited(name, rows[name][0]),
            note=rows[name][5],
        )
        for name, value in each.items()
    ]
    found += [
        Term(
            name=name,
            kind="dynamic",
            quantity=None,
            quantity_unit=unit,
            coefficient=None,
            value=None,
            low=None,
            high=None,
            unit="J",
            basis="assumed",
            source="unknown: no published figure",
            note=note,
        )
        for name, unit, note in (
            ("spike-transport", "packet", "NoC and router energy per packet is unknown"),
            ("memory", "byte", "DRAM energy is unknown; the network runs from SRAM"),
        )
    ]
    return found


def _cited(name: str, coefficient: str | None) -> str:
    """Citation behind a term; PEs that are off have none."""
    key = "base" if name == "base" else coefficient
    return "" if key is None else coefficients().source_of(key)


def _tick_notes(
    energy: Interval, each: Mapping[str, Interval], duty: list[float], ticks: int, target: Spinnaker2
) -> list[str]:
    if not duty or energy.value == 0:
        return []
    static = 100 * (1 - each["active-cycles"].value / energy.value)
    return [
        f"the tick decides, not compute: {ticks} ticks of {target.tick_s * 1e3:g} ms at a mean duty of "
        f"{100 * sum(duty) / len(duty):.2g} %; {static:.3g} % of the energy is static, so time and idle "
        "policy decide, not synaptic operations"
    ]


def _alternatives(
    values: Mapping[str, float], cycles: list[float], scenario: Scenario, seconds: float
) -> str:
    """Energy under the other idle policies, printed beside and not folded into the interval."""
    parts = []
    for text, policy in ALTERNATIVES:
        if policy != scenario.idle_pes:
            other = replace(scenario, idle_pes=policy)
            joules = sum(energy_terms(values, other, cycles, seconds).values())
            parts.append(f"{text} {joules * 1e3:.4g} mJ")
    return f"other scenarios, per sample: {'; '.join(parts)}"


def _overrun_notes(
    lowered: Lowered, part: Partition, target: Spinnaker2, recording: Recording, duty: list[float]
) -> list[str]:
    notes = []
    budget = part.placement.cores[-1].detail["tick_cycles"]
    for layer in lowered.layers:
        counts = recording.counts[layer.name]
        total = int(counts["spinnaker2_overruns"].sum())
        if total:
            worst = int(np.argmax(counts["spinnaker2_peak_cycles"]))
            excess = float(counts["spinnaker2_peak_cycles"][worst]) - budget
            rail = " or used_rail=0.8V" if target.used_rail == "0.5V" else ""
            notes.append(
                f"OVERRUN: node '{layer.name}' misses the tick {total} times (PEs × ticks × samples), "
                f"worst PE {int(counts['spinnaker2_peak_pe'][worst])} at tick "
                f"{int(counts['spinnaker2_peak_tick'][worst])} of sample {worst} by {excess:,.0f} cycles "
                f"over {budget:,.0f}; spikes are computed as if in time; use a smaller max_atoms "
                f"(now {target.max_atoms}), a longer tick_s{rail}"
            )
    if any(d > 1 for d in duty):
        notes.append(
            f"duty is clamped to 1 on {sum(d > 1 for d in duty)} PEs: their work does not fit the time"
        )
    return notes
