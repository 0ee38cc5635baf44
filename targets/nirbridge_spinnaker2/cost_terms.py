"""Terms of a cost on SpiNNaker2: ticks for the time, chip power by term for the energy (§5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nirbridge.cost import Interval, Term
from nirbridge.cost.types import Basis
from nirbridge_spinnaker2.memory import coefficients
from nirbridge_spinnaker2.power import PES, IdlePolicy, Rail, Scenario, energy_terms

CHOSEN = "chosen after seeing the target: the match with the published run is a consistency check"
ALTERNATIVES: tuple[tuple[str, IdlePolicy], ...] = (
    ("unused PEs off", "off"),
    ("unused PEs asleep at 0.5 V", "sleep-0.5V"),
    ("unused PEs asleep at 0.8 V", "sleep-0.8V"),
)


def scenario_dict(scenario: Scenario, tick_s: float) -> dict[str, object]:
    """The choices that a cost stands on, by name, and that they were made after seeing the target."""
    return {
        "used_rail": scenario.used_rail,
        "idle_pes": scenario.idle_pes,
        "board_mw": scenario.board_mw,
        "chips": scenario.chips,
        "tick_s": tick_s,
        "choice": CHOSEN,
    }


def time_term(ticks: int, seconds: Interval) -> Term:
    """Time of ``ticks`` ticks; an interval only where their number depends on the cost corner."""
    return Term(
        name="ticks",
        kind="static",
        quantity=float(ticks),
        quantity_unit="tick",
        coefficient="tick_s",
        value=seconds.value,
        low=seconds.low,
        high=seconds.high,
        unit="s",
        basis="assumed",
        source="option tick_s: the PEs are locked to the tick",
    )


def term_rows(
    each: Mapping[str, Interval], scenario: Scenario, seconds: float, used: int, cycles: float
) -> list[Term]:
    """Energy terms: seconds and busy cycles (central corner) are per what the intervals are per."""
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


def alternatives(
    values: Mapping[str, float],
    cycles: Sequence[float],
    scenario: Scenario,
    seconds: float,
    samples: int = 1,
) -> str:
    """Energy under the other choices, printed beside and not folded into the interval."""
    rail: Rail = "0.5V" if scenario.used_rail == "0.8V" else "0.8V"
    others = [
        (text, replace(scenario, idle_pes=policy))
        for text, policy in ALTERNATIVES
        if policy != scenario.idle_pes
    ]
    others.append((f"used PEs at {rail.replace('V', ' V')}", replace(scenario, used_rail=rail)))
    parts = []
    for text, other in others:
        joules = sum(energy_terms(values, other, cycles, seconds).values()) / samples
        parts.append(f"{text} {joules * 1e3:.4g} mJ")
    what = "per sample" if samples == 1 else f"per training sample of a batch of {samples}"
    return f"other scenarios, {what}: {'; '.join(parts)}"


def tick_notes(
    energy: Interval,
    each: Mapping[str, Interval],
    duty: Sequence[float],
    ticks: int,
    tick_s: float,
    longest: float,
) -> list[str]:
    """What the tick costs against the compute; ``longest``: seconds that the busiest PE computes."""
    if not duty or energy.value == 0:
        return []
    static = 100 * (1 - each["active-cycles"].value / energy.value)
    lead = "the tick decides, not compute" if longest < ticks * tick_s else "compute exceeds the ticks"
    return [
        f"{lead}: {ticks} ticks of {tick_s * 1e3:g} ms are "
        f"{ticks * tick_s * 1e3:g} ms, the busiest PE computes {longest * 1e3:.3g} ms of them, mean duty "
        f"{100 * sum(duty) / len(duty):.2g} %; {static:.3g} % of the energy is static, so time and idle "
        "policy decide, not synaptic operations"
    ]
