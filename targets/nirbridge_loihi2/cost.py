"""What a run costs on Loihi 2: the step model and the energy per action, as intervals (LOIHI2.md §5, §6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nirbridge.cost import Cost, Interval, Residual, Term, over_corners, residual, total_of, worst_basis
from nirbridge.recording import Recording
from nirbridge_loihi2 import timing

StaticScope = Literal["attributed", "chip"]

FITTED_CORES = (8, 95)  # cores of the published rows
OUTSIDE_ENERGY, OUTSIDE_LATENCY = 0.40, 0.30  # assumed bands outside the fitted workloads


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Mean per sample: ticks, synaptic operations, neuron updates, messages; dummy columns included.

    bound: by corner what t_0, t_s, t_n and t_m multiply in the steps that they bind.
    """

    cores: int
    ticks: float
    synops: float
    updates: float
    messages: float
    bound: Mapping[str, tuple[float, ...]]
    busy_steps: float

    def seconds(self, values: Mapping[str, float]) -> dict[str, float]:
        """Terms of a sample's time [s] in the corner that these coefficients are."""
        amounts = self.amounts(timing.corner_names()[timing.time_constants(values)])
        return {name: values[coefficient] * amounts[name] for name, (coefficient, _) in _LATENCY.items()}

    def amounts(self, corner: str) -> dict[str, float]:
        """What the coefficient of every term of the time multiplies."""
        steps, synops, neurons, messages = self.bound[corner]
        return {
            "base": steps,
            "used-cores": self.cores * self.ticks,
            "synaptic-ops": synops,
            "neuron-updates": neurons,
            "spike-transport": messages,
        }

    def joules(self, values: Mapping[str, float], scope: StaticScope) -> dict[str, float]:
        """Terms of a sample's energy [J] in the corner that these coefficients are."""
        t = sum(self.seconds(values).values())
        static = (
            {"base": values["P_attributed"] * t, "used-cores": values["P_core"] * self.cores * t}
            if scope == "attributed"
            else {"base": values["P_chip"] * t}
        )
        return {
            **static,
            "dynamic-floor": values["P_0"] * t,
            "synaptic-ops": values["e_s"] * self.synops,
            "neuron-updates": values["e_u"] * self.updates,
            "spike-transport": values["e_k"] * self.messages,
        }


def activity_of(recording: Recording, cores: int) -> Activity:
    """The counts of a recording as means per sample."""

    def total(key: str) -> float:
        found = [c[key] for c in recording.counts.values() if key in c]
        return float(np.mean(np.sum(found, axis=0))) if found and len(found[0]) else 0.0

    return Activity(
        cores=cores,
        ticks=recording.ticks,
        synops=total("loihi2_core_synops"),
        updates=total("updates") + total("loihi2_dummy_updates"),
        messages=total("loihi2_messages"),
        bound={
            corner: tuple(total(f"loihi2_bound_{what}_{corner}") for what in timing.BOUND)
            for corner in timing.coefficients().corner_values()
        },
        busy_steps=total("loihi2_busy_steps"),
    )


def chip_cost(recording: Recording, cores: int, scope: StaticScope, board: str) -> Cost:
    """Energy and latency per sample; samples run one after the other.

    energy = P_static·t + P_0·t + e_s·synops + e_u·updates + e_k·messages, t from `timing`. Intervals
    are over the coefficients' corners, widened by the held-out errors inside the range of the fitted
    rows and by ±40 % (energy) and, where steps are bound by work, ±30 % (latency) outside.
    """
    data = timing.coefficients()
    activity = activity_of(recording, cores)
    each_s, latency = over_corners(data, activity.seconds)
    each_j, energy = over_corners(data, lambda values: activity.joules(values, scope))
    outside = not (FITTED_CORES[0] <= cores <= FITTED_CORES[1] and activity.busy_steps == 0)
    held_out = {fit.quantity: _held_out(fit.held_out) for fit in data.fits}
    latency = latency.widened(OUTSIDE_LATENCY if activity.busy_steps else held_out["latency"])
    energy = energy.widened(OUTSIDE_ENERGY if outside else held_out["dynamic"])
    amounts, counts = _amounts(activity, latency.value, scope), activity.amounts("central")
    latency_terms = tuple(
        _term(name, value, "s", *_LATENCY[name], counts[name]) for name, value in each_s.items()
    )
    energy_terms = tuple(_term(name, value, "J", *amounts[name]) for name, value in each_j.items())
    return Cost(
        target="loihi2",
        energy=total_of(energy, energy_terms, "J", per="sample"),
        latency=total_of(latency, latency_terms, "s", per="sample"),
        energy_terms=energy_terms,
        latency_terms=latency_terms,
        scope="attributed" if scope == "attributed" else "chip",
        batch=1,
        ticks=recording.ticks,
        tick_s=recording.dt,
        scenario={"board": board, "static_scope": scope, "cores": cores},
        extrapolated=outside,
        residuals=residuals(),
        notes=(
            "bit-accurate to Lava's fixed-point process models, not to silicon",
            "a step lasts as long as the largest of t_0, t_s·synops, t_n·neurons, t_m·messages of any core "
            "(it binds): the step counts in that term of the latency only",
            "dynamic-floor is power while running (P_0): the published dynamic figures contain it",
            "outside the fitted workloads energy is ±40 % (assumed), latency ±30 % where work binds",
        ),
    )


# a step lasts as long as the largest product: its count stands in that term alone
_LATENCY: dict[str, tuple[str, str]] = {
    "base": ("t_0", "floor step"),
    "used-cores": ("t_c", "core step"),
    "synaptic-ops": ("t_s", "binding synop"),
    "neuron-updates": ("t_n", "binding update"),
    "spike-transport": ("t_m", "binding message"),
}


def _amounts(activity: Activity, seconds: float, scope: StaticScope) -> dict[str, tuple[str, str, float]]:
    """Coefficient, unit and quantity of every energy term."""
    return {
        "base": ("P_attributed" if scope == "attributed" else "P_chip", "s", seconds),
        "used-cores": ("P_core", "core s", activity.cores * seconds),
        "dynamic-floor": ("P_0", "s", seconds),
        "synaptic-ops": ("e_s", "synop", activity.synops),
        "neuron-updates": ("e_u", "update", activity.updates),
        "spike-transport": ("e_k", "message", activity.messages),
    }


def _term(
    name: str, value: Interval, unit: Literal["J", "s"], coefficient: str, kind: str, quantity: float
) -> Term:
    data = timing.coefficients()
    basis = data.basis_of(coefficient)
    if kind in ("s", "core s"):  # the seconds are themselves modelled
        basis = worst_basis([basis, "fitted"])
    return Term(
        name=name,
        kind="static" if name in ("base", "used-cores") else "dynamic",
        quantity=quantity,
        quantity_unit=kind,
        coefficient=coefficient,
        value=value.value,
        low=value.low,
        high=value.high,
        unit=unit,
        basis=basis,
        source=data.source_of(coefficient),
    )


def _held_out(rows: list[dict[str, Any]]) -> float:
    return max((abs(x) / 100 for row in rows for x in row.get("range_pct", [row["error_pct"]])), default=0.0)


def published_activity(inputs: Mapping[str, Any]) -> Activity:
    """The activity of a published row, as the coefficients file states it.

    ``busiest_synops``: synaptic operations of the busiest core, one entry a phase that repeats.
    """
    steps = float(inputs["steps"])
    busiest = np.array(inputs.get("busiest_synops", [0]), dtype=np.int64)
    idle = np.zeros_like(busiest)
    bound = {
        corner: tuple(steps * timing.binding(values, busiest, idle, 0).mean(axis=1))
        for corner, values in timing.coefficients().corner_values().items()
    }
    return Activity(
        cores=int(inputs["cores"]),
        ticks=steps,
        synops=float(inputs.get("synops", 0)),
        updates=float(inputs.get("neurons", 0)) * steps,
        messages=float(inputs.get("messages", 0)),
        bound=bound,
        busy_steps=0.0,
    )


def residuals() -> tuple[Residual, ...]:
    """The model against every published row of the coefficients file, with its role."""
    data = timing.coefficients()
    values = data.corner_values()["central"]
    result = []
    for check in data.checks:
        activity = published_activity(check.inputs)
        joules = activity.joules(values, "attributed")
        static = joules["base"] + joules["used-cores"]
        model = (
            1e3
            * {
                "latency": sum(activity.seconds(values).values()),
                "static": static,
                "dynamic": sum(joules.values()) - static,
            }[str(check.quantity)]
        )
        result.append(residual(data, check, model))
    return tuple(result)
