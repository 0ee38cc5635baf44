"""What a run costs: measured on this host, or the fitted model of a GPU board (ENERGY.md §4)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal

from nirbridge.cost import (
    Band,
    Coefficients,
    Cost,
    Interval,
    Residual,
    Term,
    Total,
    load,
    over_corners,
    residual,
    total_of,
)
from nirbridge.errors import Unsupported
from nirbridge.network import Network
from nirbridge.recording import Recording
from nirbridge_reference.power import Energy

IN_UNIT = {"mJ": 1e3, "ms": 1e3, "uJ*s": 1e6}  # of a published row, from SI


@cache
def coefficients() -> Coefficients:
    """The cited coefficients of this package."""
    return load("nirbridge_reference")


def host_cost(recording: Recording, threads: int, energy: Energy | str) -> Cost:
    """Latency as it was measured here: mean, shortest and longest sample on its thread; energy where counted.

    energy: of the processor packages during the run, from their power counters, or why it is unknown. The
    package's idle power over the run's wall time is a term of its own, the rest is the run's.
    """
    each = recording.sample_s
    measured = each is not None and len(each) > 0
    source = f"{recording.n_samples} samples timed here, one thread each"
    latency = Total(
        value=float(each.mean()) if each is not None and measured else 0.0,
        low=float(each.min()) if each is not None and measured else 0.0,
        high=float(each.max()) if each is not None and measured else 0.0,
        unit="s",
        basis="measured",
        source=source,
        per="sample",
    )
    total, terms = counted_energy("host", energy, max(recording.n_samples, 1))
    return Cost(
        target="reference",
        energy=total,
        latency=latency,
        energy_terms=terms,
        latency_terms=(),
        scope="host",
        batch=recording.n_samples,
        ticks=recording.ticks,
        tick_s=recording.dt,
        scenario={"device": "host", "threads": threads},
        notes=(
            f"{threads} threads, batch of {recording.n_samples}: "
            f"{1e3 * (recording.wall_s or 0.0) / max(recording.n_samples, 1):.3g} ms of wall time per sample",
        ),
    )


def counted_energy(name: str, energy: Energy | str, samples: int) -> tuple[Total | None, tuple[Term, ...]]:
    """Energy per sample as a counter gave it, and its terms: idle, and what the run adds.

    name: of the one term where it is unknown; ``energy`` then says why.
    """
    if isinstance(energy, str):
        return None, (_counted(name, "dynamic", None, None, None, f"unknown: {energy}"),)
    source = f"{energy.counted}, {energy.seconds:.3g} s here"
    seconds, whole = energy.seconds / samples, energy.joules / samples
    idle, low, high = (watt * seconds for watt in energy.idle_w)
    terms = (
        _counted("idle", "static", idle, low, high, f"{source}; idle power of three windows before the run"),
        _counted("run", "dynamic", whole - idle, whole - high, whole - low, f"{source}; idle subtracted"),
    )
    value = Total(value=whole, low=whole, high=whole, unit="J", basis="measured", source=source, per="sample")
    return value, terms


def _counted(
    name: str,
    kind: Literal["static", "dynamic"],
    value: float | None,
    low: float | None,
    high: float | None,
    source: str,
) -> Term:
    return Term(
        name=name,
        kind=kind,
        quantity=None,
        quantity_unit="J",
        coefficient=None,
        value=value,
        low=low,
        high=high,
        unit="J",
        basis="measured",
        source=source,
    )


def jetson_cost(network: Network, recording: Recording, batch: int) -> Cost:
    """The Jetson Orin Nano fitted to six published rows: launch floor, work ∝ B·H and B·H².

    lat = l_0 + l_bh·B·H; E_dyn = p_d·lat + e_bh·B·H + e_bhh·B·H²; E_tot = p_s·lat + E_dyn per batch,
    every coefficient but p_s scaled by steps/1000 (ENERGY.md §4; the number of steps of the published
    rows is not stated, 1000 is assumed). Raises `Unsupported` for a graph without hidden neurons.
    """
    hidden = [network.populations[at].size for at in network.neurons if network.populations[at].spiking]
    if not hidden:
        raise Unsupported(
            "device 'jetson-orin-nano' is fitted to networks with spiking hidden neurons, the graph has none",
            code="NB605",
            fix="use reference:device=host",
        )
    data = coefficients()
    h, steps = sum(hidden), recording.n_steps / 1000.0

    def latency_terms(c: Mapping[str, float]) -> dict[str, float]:
        return {"launch-floor": c["l_0"] * steps, "work": c["l_bh"] * batch * h * steps}

    def energy_terms(c: Mapping[str, float]) -> dict[str, float]:
        seconds = sum(latency_terms(c).values()) / batch
        return {
            "base": c["p_s"] * seconds,
            "dynamic-floor": c["p_d"] * seconds,
            "neuron-updates": c["e_bh"] * h * steps,
            "synaptic-ops": c["e_bhh"] * h * h * steps,
        }

    each_lat, latency = over_corners(data, latency_terms)
    each, energy = over_corners(data, energy_terms)
    bands = _bands(data)
    width = {band.quantity: band.error_pct / 100 for band in bands}
    latency, energy = latency.widened(width["latency"]), energy.widened(width["total"])
    amounts = {
        "launch-floor": ("l_0", steps, "10³ steps"),
        "work": ("l_bh", batch * h * steps, "10³ neuron steps"),
        "base": ("p_s", latency.value / batch, "s"),
        "dynamic-floor": ("p_d", latency.value / batch, "s"),
        "neuron-updates": ("e_bh", h * steps, "10³ neuron steps"),
        "synaptic-ops": ("e_bhh", h * h * steps, "10³ neuron² steps"),
    }
    time_rows = tuple(_fitted(name, value, "s", *amounts[name]) for name, value in each_lat.items())
    energy_rows = tuple(_fitted(name, value, "J", *amounts[name]) for name, value in each.items())
    return Cost(
        target="reference:device=jetson-orin-nano",
        energy=total_of(energy, energy_rows, "J", per="sample"),
        latency=total_of(latency, time_rows, "s", per="batch"),
        energy_terms=energy_rows,
        latency_terms=time_rows,
        scope="board",
        batch=batch,
        ticks=recording.ticks,
        tick_s=recording.dt,
        scenario={"device": "jetson-orin-nano", "batch": batch, "steps_of_published_rows": "1000, assumed"},
        extrapolated=not (256 <= h <= 1024 and (batch == 1 or 64 <= batch <= 128) and batch * h <= 65536),
        residuals=_residuals(data),
        notes=("sparsity does not enter: the board computes every neuron in every step",),
        bands=bands,
    )


def _bands(data: Coefficients) -> tuple[Band, ...]:
    """For each quantity of the fit the largest error of a row that was left out of it."""
    found = []
    for fit in data.fits:
        source = (
            f"largest error of {len(fit.rows)} rows, each left out of its fit; {data.sources['KWS'].cite}"
        )
        error = max(abs(x) for x in fit.leave_one_out_band_pct)
        found.append(Band(quantity=fit.quantity, error_pct=error, basis="fitted", source=source))
    return tuple(found)


def _fitted(
    name: str, value: Interval, unit: Literal["J", "s"], coefficient: str, quantity: float, counted: str
) -> Term:
    """A term of the board's energy per sample or time per batch."""
    data = coefficients()
    return Term(
        name=name,
        kind="static" if name == "base" else "dynamic",
        quantity=quantity,
        quantity_unit=counted,
        coefficient=coefficient,
        value=value.value,
        low=value.low,
        high=value.high,
        unit=unit,
        basis=data.basis_of(coefficient),
        source=data.source_of(coefficient),
    )


def jetson_model(batch: int, hidden: int) -> dict[str, float]:
    """The model at 1000 steps: latency [s per batch], dynamic and total energy [J per sample], and the
    total energy per sample times the latency per batch [J·s]."""
    c = coefficients().corner_values()["central"]
    latency = c["l_0"] + c["l_bh"] * batch * hidden
    dynamic = c["p_d"] * latency + c["e_bh"] * batch * hidden + c["e_bhh"] * batch * hidden**2
    total = (dynamic + c["p_s"] * latency) / batch
    return {
        "latency_s": latency,
        "dynamic_j": dynamic / batch,
        "total_j": total,
        "edp_js": total * latency,
    }


def _residuals(data: Coefficients) -> tuple[Residual, ...]:
    """The model against the time, energy and energy-delay product of every published row."""
    result = []
    for check in data.checks:
        model = jetson_model(int(check.inputs["batch"]), int(check.inputs["hidden"]))
        value = model[str(check.quantity)] * IN_UNIT[check.unit]
        result.append(residual(data, check, value))
    return tuple(result)
