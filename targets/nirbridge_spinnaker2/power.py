"""Busy cycles, chip power and energy of a tick-locked run (SPINNAKER2.md §4, §5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Rail = Literal["0.8V", "0.5V"]
IdlePolicy = Literal["off", "sleep-0.5V", "sleep-0.8V"]
PES = 152
APPLICATION_PES = 148
ROUTING_ENTRIES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What the published figures leave open: rail of the used PEs, state of the unused, board power."""

    used_rail: Rail = "0.8V"
    idle_pes: IdlePolicy = "sleep-0.5V"
    board_mw: float = 0.0
    chips: int = 1

    @property
    def suffix(self) -> str:
        """Ending of the coefficient names of the used rail: ``0v8`` or ``0v5``."""
        return self.used_rail.removesuffix("V").replace(".", "v")


def clock(values: Mapping[str, float], scenario: Scenario) -> float:
    """Cycles per second of a used PE: 300 MHz at 0.8 V, 150 MHz at 0.5 V."""
    return values[f"clock_{scenario.suffix}"]


def idle_power(values: Mapping[str, float], policy: IdlePolicy) -> float:
    """Watts of one unused PE."""
    return 0.0 if policy == "off" else values[f"sleep_{policy.removeprefix('sleep-')[:-1].replace('.', 'v')}"]


def busy_cycles(values: Mapping[str, float], *, ticks: float, neurons: float, synops: float) -> float:
    """Cycles of one PE over ``ticks`` ticks: c_tick·ticks + c_n·neurons·ticks + c_s·synops."""
    return values["c_tick"] * ticks + values["c_n"] * neurons * ticks + values["c_s"] * synops


def energy_terms(
    values: Mapping[str, float], scenario: Scenario, busy: Sequence[float], seconds: float
) -> dict[str, float]:
    """Joules by term; ``busy``: cycles of every used PE over ``seconds`` seconds.

    E = time·(board + 75.2 mW + Σ_idle + Σ_used s) + Σ_used min(busy, f·time)·e_cycle, which is
    P·time with P = … + Σ_used (s + duty·(a−s)), duty = busy/(f·time) clamped to 1.
    """
    available = clock(values, scenario) * seconds
    cycles = sum(min(b, available) for b in busy)
    return {
        "base": (values["base"] * scenario.chips + scenario.board_mw * 1e-3) * seconds,
        "idle-cores": (PES * scenario.chips - len(busy)) * idle_power(values, scenario.idle_pes) * seconds,
        "used-cores": len(busy) * values[f"sleep_{scenario.suffix}"] * seconds,
        "active-cycles": cycles * values[f"active_cycle_{scenario.suffix}"],
    }


def chip_power(values: Mapping[str, float], scenario: Scenario, used: int, duty: float) -> float:
    """Watts of the chip with ``used`` PEs at one duty (0 to 1)."""
    cycles = clock(values, scenario) * duty
    return sum(energy_terms(values, scenario, [cycles] * used, 1.0).values())
